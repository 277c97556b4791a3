"""The backup buckets: how long they keep objects, and how they protect and replicate them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from settings.fields import MOST_DAYS, Model, Switch, Whole
from settings.mistake import Mistake


class ObjectLock(Model):
    """S3 Object Lock: nobody can delete a locked backup before its lock ends."""

    mode: Literal["GOVERNANCE", "COMPLIANCE"] = Field(
        description="GOVERNANCE: a privileged role can lift the lock; COMPLIANCE: nobody can"
    )
    days: Whole = Field(ge=1, le=MOST_DAYS, description="days for which each version is locked; noncurrentDays or fewer")


class StorageSettings(Model):
    """The three backup buckets of a region."""

    noncurrent_days: Whole = Field(
        default=60, ge=1, le=MOST_DAYS, description="days for which a deleted or overwritten version can be brought back"
    )
    object_lock: ObjectLock | None = Field(
        default=None,
        description="locks every version that is written from then on; docs/worst-day.md says what that costs, and in which "
        "order to set it up",
    )
    etcd_snapshot_days: Whole | None = Field(
        default=None,
        ge=7,
        le=MOST_DAYS,
        description="days after which an etcd snapshot is deleted, even the newest if no other follows; by default never",
    )
    replication_time_control: Switch = Field(
        default=False,
        description="S3 Replication Time Control, with its metrics: 99.9 % of objects arrive within 15 minutes, at extra cost",
    )
    replication_metrics: Switch = Field(
        default=False,
        description="only the metrics of replication: how far it is behind, and how many objects failed; replicationTimeControl "
        "brings them too",
    )
    access_logs: Switch = Field(
        default=False,
        description="logs who reads and writes the backup buckets, into a separate bucket of the same region",
    )
    access_log_days: Whole = Field(default=365, ge=1, le=MOST_DAYS, description="days for which access logs are kept")

    @model_validator(mode="after")
    def _a_lock_ends_before_its_version(self) -> StorageSettings:
        lock, days = self.object_lock, self.noncurrent_days
        if lock is not None and lock.days > days:
            raise Mistake(
                "objectLock.days {} is more than noncurrentDays {}: no lifecycle rule removes a locked version, so deleted ones "
                "would stay longer than is said; set noncurrentDays to {} or more, or objectLock.days to {} or less",
                *map(str, (lock.days, days, lock.days, days)),
            )
        return self
