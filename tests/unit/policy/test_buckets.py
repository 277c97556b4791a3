"""bucket-safety and backup-hardening."""

import json
from dataclasses import replace

import pytest

from checks import buckets
from checks.model import UNKNOWN, Provider
from tests.unit.policy.stacks import BLOCKED, PEER_READY, backup_bucket, of_stack, stack


def judged(parts, policy=buckets.POLICY, region=PEER_READY, **config):
    return [message for _, message in of_stack(policy, stack(*parts.values(), region=region), **config)]


def changed(part, **props):
    parts = backup_bucket()
    parts[part] = replace(parts[part], props={**parts[part].props, **props})
    return parts


def test_a_bucket_with_all_its_parts_is_safe():
    assert judged(backup_bucket()) == []
    assert judged(backup_bucket(), buckets.HARDENING) == []


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("BucketVersioning", "keeps no versions"),
        ("BucketPublicAccessBlock", "may become public"),
        ("BucketServerSideEncryptionConfiguration", "is not encrypted"),
        ("BucketPolicy", "answers without TLS"),
        ("BucketLifecycleConfiguration", "keeps deleted versions for ever"),
        ("BucketReplicationConfig", "has no copy in the other region"),
    ],
)
def test_each_part_that_is_missing_is_named(missing, said):
    parts = backup_bucket()
    del parts[missing]
    (message,) = judged(parts)
    assert said in message


@pytest.mark.parametrize(
    ("part", "props", "said"),
    [
        ("Bucket", {"forceDestroy": True}, "force_destroy"),
        ("BucketVersioning", {"versioningConfiguration": {"status": "Suspended"}}, "keeps no versions"),
        ("BucketPublicAccessBlock", {**BLOCKED, "blockPublicPolicy": False}, "may become public"),
        ("BucketPolicy", {"policy": '{"Statement": [{"Effect": "Allow", "Action": "s3:GetObject"}]}'}, "without TLS"),
        ("BucketReplicationConfig", {"rules": [{"status": "Disabled"}]}, "no copy"),
        (
            "BucketLifecycleConfiguration",
            {"rules": [{"status": "Enabled", "noncurrentVersionExpiration": {"noncurrentDays": 7.0}}]},
            "brought back for 7 days only",
        ),
        ("BucketLifecycleConfiguration", {"rules": [{"status": "Enabled", "expiration": {"days": 90.0}}]}, "by age"),
    ],
)
def test_each_part_that_does_not_do_its_work_is_named(part, props, said):
    (message,) = judged(changed(part, **props))
    assert said in message


@pytest.mark.parametrize("prefix", ["etcd/", "drills/"])
def test_etcd_snapshots_and_records_of_drills_may_expire_by_age_for_none_needs_another(prefix):
    rule = {"status": "Enabled", "filter": {"prefix": prefix}, "expiration": {"days": 30.0}}
    assert judged(changed("BucketLifecycleConfiguration", rules=[rule])) == []


def test_what_is_unknown_in_a_preview_is_asked_again_in_the_up():
    parts = {
        name: replace(part, props={**part.props, "bucket": UNKNOWN}, refers={"bucket": frozenset({"urn:Bucket"})})
        if name != "Bucket"
        else part
        for name, part in backup_bucket().items()
    }
    parts["BucketPolicy"] = replace(parts["BucketPolicy"], props={"policy": UNKNOWN})
    assert judged(parts) == []


def test_parts_of_another_bucket_do_not_count():
    other = {f"other-{name}": part for name, part in backup_bucket("acme-etcd-us-east-1-123456789012").items()}
    lonely = {"Bucket": backup_bucket()["Bucket"]}
    assert len(judged({**lonely, **other})) == 6


def test_a_bucket_that_holds_no_backups_needs_no_copy_and_no_lifecycle():
    parts = backup_bucket("acme-dr-flag-us-west-2-123456789012")
    for name in ("BucketLifecycleConfiguration", "BucketReplicationConfig", "BucketObjectLockConfiguration"):
        del parts[name]
    assert judged(parts) == []
    assert judged(parts, buckets.HARDENING) == []
    assert judged(parts, backupBuckets="-dr-flag-")


def test_a_store_that_has_no_tls_cannot_demand_it():
    plain = Provider(name="aws", props={"endpoints": json.dumps([{"s3": "http://172.30.0.1:5555"}])})
    parts = backup_bucket(provider=plain)
    del parts["BucketPolicy"]
    assert judged(parts) == []


def test_before_the_peer_is_there_a_missing_copy_is_advice():
    parts, region = backup_bucket(), {**PEER_READY, "peerReady": False}
    del parts["BucketReplicationConfig"]
    assert judged(parts, region=region) == []
    (message,) = judged(parts, buckets.HARDENING, region=region)
    assert "peerReady" in message


def test_versions_that_can_be_deleted_are_advice():
    parts = backup_bucket()
    del parts["BucketObjectLockConfiguration"]
    (message,) = judged(parts, buckets.HARDENING)
    assert "objectLock" in message
    parts = changed("BucketVersioning", versioningConfiguration={"status": "Enabled", "mfaDelete": "Enabled"})
    del parts["BucketObjectLockConfiguration"]
    assert judged(parts, buckets.HARDENING) == []


def test_a_team_may_demand_more_days():
    assert judged(backup_bucket(), recoveryDays=60.0) == []
    assert judged(backup_bucket(), recoveryDays=61.0)
