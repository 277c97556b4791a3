"""Object Lock, metrics and access logs can be switched on for buckets in use. No resource is replaced for that."""

from __future__ import annotations

import yaml

from lab.pulumi import touched
from tests.engine.conftest import Pair

PURPOSES = ("velero", "etcd", "database")
STORAGE = {
    "objectLock": {"mode": "GOVERNANCE", "days": 30},
    "etcdSnapshotDays": 30,
    "replicationMetrics": True,
    "accessLogs": True,
}


def test_what_protects_backups_is_added_to_buckets_that_exist(pair: Pair) -> None:
    file = pair.pulumi.directory / "Pulumi.yaml"
    document = yaml.safe_load(file.read_text())
    document["config"]["storage"] = {"value": STORAGE}
    file.write_text(yaml.safe_dump(document, sort_keys=False))
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
