"""Object Lock, metrics and access logs can be switched on for buckets in use. No resource is replaced for that."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from lab.pulumi import touched
from tests.engine.conftest import Pair
from tests.examples import ROOT

WORST_DAY = ROOT / "docs" / "worst-day.md"
PURPOSES = ("velero", "etcd", "database")
STORAGE = {
    "objectLock": {"mode": "GOVERNANCE", "days": 30},
    "etcdSnapshotDays": 30,
    "replicationMetrics": True,
    "accessLogs": True,
}


def store(pair: Pair, storage: dict[str, Any]) -> None:
    """Write `storage` of both stacks."""
    file = pair.pulumi.directory / "Pulumi.yaml"
    document = yaml.safe_load(file.read_text())
    document["config"]["storage"] = {"value": storage}
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def test_what_protects_backups_is_added_to_buckets_that_exist(pair: Pair) -> None:
    store(pair, STORAGE)
    before = pair.pulumi.resources("secondary")
    pair.pulumi.up("secondary")

    done = [change for change in touched(before, pair.pulumi.resources("secondary")) if change["type"].startswith("aws:")]
    created = {change["name"] for change in done if change["operation"] == "create"}
    assert created == {
        *(f"storage-{purpose}-object-lock" for purpose in PURPOSES),
        *(f"storage-access-logs-of-{purpose}" for purpose in PURPOSES),
        *(f"storage-access-logs{part}" for part in ("", "-public-access", "-ownership", "-versioning")),
        *(f"storage-access-logs{part}" for part in ("-encryption", "-lifecycle", "-policy")),
    }
    changed = {change["name"] for change in done if change["operation"] == "update"}
    assert changed == {"storage-etcd-lifecycle", *(f"storage-{purpose}-replication" for purpose in PURPOSES)}
    assert len(done) == len(created | changed), "nothing is replaced"

    s3 = pair.client("s3")
    for purpose in PURPOSES:
        bucket = f"acme-{purpose}-us-west-2-123456789012"
        retention = s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
        assert (retention["Mode"], retention["Days"]) == ("GOVERNANCE", 30)
        logging = s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]
        assert (logging["TargetBucket"], logging["TargetPrefix"]) == ("acme-logs-us-west-2-123456789012", "access/")
    pair.pulumi.up("secondary", "--expect-no-changes")


@pytest.mark.long
def test_to_stop_logging_the_logs_bucket_is_given_up_and_stays_with_what_it_holds(pair: Pair) -> None:
    """By the commands of docs/worst-day.md, Access logs."""
    assert "`pulumi state unprotect URN` and `pulumi state delete URN --target-dependents`" in WORST_DAY.read_text()
    store(pair, {"accessLogs": True})
    pair.pulumi.up("secondary")
    (urn,) = [each["urn"] for each in pair.pulumi.resources("secondary") if each["urn"].endswith("::storage-access-logs")
              and each["type"] == "aws:s3/bucket:Bucket"]  # fmt: skip
    store(pair, {"accessLogs": False})
    s3, buckets = pair.client("s3"), [f"acme-{purpose}-us-west-2-123456789012" for purpose in PURPOSES]
    for bucket in buckets:  # as `aws s3api put-bucket-logging` does
        s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    pair.pulumi.run("state", "unprotect", urn, "-s", "secondary", "--yes")
    pair.pulumi.run("state", "delete", urn, "--target-dependents", "-s", "secondary", "--yes")
    pair.pulumi.up("secondary")
    s3.head_bucket(Bucket="acme-logs-us-west-2-123456789012")
    assert [bucket for bucket in buckets if "LoggingEnabled" in s3.get_bucket_logging(Bucket=bucket)] == []
    pair.pulumi.up("secondary", "--expect-no-changes")
