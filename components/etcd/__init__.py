"""Snapshots of a self-managed control plane's etcd."""
