"""Velero on one cluster: its installation, the region's own schedules, and restores of the peer's backups."""
