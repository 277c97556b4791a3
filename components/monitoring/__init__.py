"""Alerts, and what Prometheus scrapes for them."""
