"""The backup buckets: how long, how safe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from settings.fields import Model, Switch, Whole


class ObjectLock(Model):
    """Backups that nobody can delete before their time."""

    mode: Literal["GOVERNANCE", "COMPLIANCE"] = Field(description="GOVERNANCE: a privileged role can lift it; COMPLIANCE: nobody")
    days: Whole = Field(ge=1, le=36500, description="days each version is locked; noncurrentDays or fewer")


class StorageSettings(Model):
    """The three backup buckets of a region."""

    noncurrent_days: Whole = Field(default=60, ge=1, description="days that deleted and overwritten versions can be brought back")
    object_lock: ObjectLock | None = Field(
        default=None, description="lock every version written from then on; docs/worst-day.md has what it costs, and the order"
    )
    etcd_snapshot_days: Whole | None = Field(
        default=None,
        ge=7,
        description="days until an etcd snapshot is deleted, the newest too if none follows; by default never",
    )
    replication_time_control: Switch = Field(
        default=False, description="S3 replication time control and its metrics: 99.9 % of objects within 15 minutes, at a price"
    )
    replication_metrics: Switch = Field(
        default=False,
        description="the metrics of replication alone: how far behind, how many failed; time control brings them too",
    )
    access_logs: Switch = Field(
        default=False, description="who read and wrote the backup buckets, kept in a bucket of its own in the same region"
    )
    access_log_days: Whole = Field(default=365, ge=1, description="days that access logs are kept")

    @model_validator(mode="after")
    def _a_lock_ends_before_its_version(self) -> StorageSettings:
        lock, days = self.object_lock, self.noncurrent_days
        if lock is not None and lock.days > days:
            raise ValueError(
                f"objectLock.days {lock.days} is more than noncurrentDays {days}: no lifecycle rule removes a locked version, so "
                f"deleted ones would stay longer than is said; set noncurrentDays to {lock.days} or more, or objectLock.days to "
                f"{days} or less"
            )
        return self
