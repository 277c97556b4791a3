"""Provides what the lab runs: programs built from pinned Go modules, and container images."""
