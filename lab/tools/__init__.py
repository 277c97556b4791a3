"""What the lab runs and where it comes from: programs built from pinned Go modules, system packages, container images."""
