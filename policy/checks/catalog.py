"""Every policy of the pack, in the order of its documentation."""

from __future__ import annotations

from . import buckets, charts, credentials, databases, dns, protection, providers, residency, tags, velero, workloads
from .model import Policy

POLICIES: tuple[Policy, ...] = (
    buckets.POLICY,
    buckets.HARDENING,
    protection.POLICY,
    residency.POLICY,
    credentials.POLICY,
    providers.POLICY,
    velero.POLICY,
    databases.POLICY,
    dns.POLICY,
    workloads.POLICY,
    tags.POLICY,
    charts.POLICY,
)
