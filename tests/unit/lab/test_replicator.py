"""The replicator does what S3's replication rules say, and nothing that they do not say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lab.cloud.lines import read_state
from lab.cloud.network import control
from lab.cloud.replication import Event, Rule, parse, rules_for
from lab.cloud.replicator import Replicator, replicated, wanted
from tests.unit.lab.aws import client, serving

REGIONS = ("us-east-1", "us-west-2")
LAG = 60.0


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    """One for each test: its journal is what the replicator lives on."""
    with serving(tmp_path / "access.jsonl") as url:
        yield url


class Pair:
    """Two buckets with versions, `east` and `west`, and a replicator whose clock is the test's."""

    numbers = count()

    def __init__(self, endpoint: str, directory: Path) -> None:
        self.endpoint, self.state_file = endpoint, directory / "replicator.json"
        self.said: list[str] = []
        self.s3 = {region: client(endpoint, "s3", region) for region in REGIONS}
        number = next(self.numbers)
        self.east, self.west = f"east-{number}", f"west-{number}"
        self.s3["us-east-1"].create_bucket(Bucket=self.east)
        self.s3["us-west-2"].create_bucket(Bucket=self.west, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        for bucket in (self.east, self.west):
            self.of(bucket).put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        self.replicator = self.new_replicator()

    def new_replicator(self) -> Replicator:
        return Replicator(self.endpoint, self.state_file, lag=LAG, say=self.said.append)

    def of(self, bucket: str) -> Any:
        return self.s3["us-east-1" if bucket == self.east else "us-west-2"]

    def rule(self, source: str, destination: str, *, prefix: str = "", delete_markers: bool = True, **extra: Any) -> None:
        rule = {
            "ID": "to-peer",
            "Status": "Enabled",
            "Priority": 1,
            "Filter": {"Prefix": prefix},
            "DeleteMarkerReplication": {"Status": "Enabled" if delete_markers else "Disabled"},
            "Destination": {"Bucket": f"arn:aws:s3:::{destination}"},
            **extra,
        }
        configuration = {"Role": "arn:aws:iam::123456789012:role/replication", "Rules": [rule]}
        self.of(source).put_bucket_replication(Bucket=source, ReplicationConfiguration=configuration)

    def put(self, bucket: str, key: str, body: str = "x", **extra: Any) -> None:
        self.of(bucket).put_object(Bucket=bucket, Key=key, Body=body.encode(), **extra)

    def keys(self, bucket: str) -> set[str]:
        return {found["Key"] for found in self.of(bucket).list_objects_v2(Bucket=bucket).get("Contents", ())}

    def body(self, bucket: str, key: str) -> str:
        return str(self.of(bucket).get_object(Bucket=bucket, Key=key)["Body"].read().decode())

    def versions(self, bucket: str) -> int:
        return len(self.of(bucket).list_object_versions(Bucket=bucket).get("Versions", ()))

    def later(self) -> None:
        """Let the lag pass, and give the replicator a second look at what its own copies caused."""
        for _ in range(3):
            self.replicator.step(time.time() + LAG + 1)

    def state(self) -> dict[str, Any]:
        return read_state(self.state_file) or {}


@pytest.fixture
def pair(endpoint: str, tmp_path: Path) -> Pair:
    return Pair(endpoint, tmp_path)


def test_an_object_arrives_whole_under_its_own_key(pair: Pair) -> None:
    pair.rule(pair.east, pair.west)
    pair.put(
        pair.east, "a/ä key+1", "hello", Metadata={"who": "me"}, ContentType="text/x", CacheControl="no-store", Tagging="t=1"
    )
    pair.later()
    found = pair.of(pair.west).get_object(Bucket=pair.west, Key="a/ä key+1")
    assert found["Body"].read() == b"hello"
    assert (found["Metadata"], found["ContentType"], found["CacheControl"]) == ({"who": "me"}, "text/x", "no-store")
    assert found["TagCount"] == 1
    assert replicated(pair.of(pair.east), pair.of(pair.west), bucket=pair.east, replica=pair.west)


def test_objects_from_before_the_rule_stay_where_they_are(pair: Pair) -> None:
    pair.put(pair.east, "old")
    pair.rule(pair.east, pair.west)
    pair.put(pair.east, "new")
    pair.later()
    assert pair.keys(pair.west) == {"new"}
    assert not replicated(pair.of(pair.east), pair.of(pair.west), bucket=pair.east, replica=pair.west)


def test_only_what_is_below_the_prefix_is_replicated(pair: Pair) -> None:
    pair.rule(pair.east, pair.west, prefix="velero/primary/")
    for key in ("velero/primary/backups/1", "velero/secondary/backups/1", "other"):
        pair.put(pair.east, key)
    pair.later()
    assert pair.keys(pair.west) == {"velero/primary/backups/1"}


def test_both_ways_make_no_circle(pair: Pair) -> None:
    pair.rule(pair.east, pair.west)
    pair.rule(pair.west, pair.east)
    pair.put(pair.east, "from-east")
    pair.put(pair.west, "from-west")
    pair.later()
    assert pair.keys(pair.east) == pair.keys(pair.west) == {"from-east", "from-west"}
    assert (pair.versions(pair.east), pair.versions(pair.west)) == (2, 2)


def test_nothing_is_replicated_before_its_lag_has_passed(pair: Pair) -> None:
    pair.rule(pair.east, pair.west)
    pair.put(pair.east, "k")
    pair.replicator.step(time.time() + LAG - 5)
    assert (pair.keys(pair.west), pair.state()["pending"]) == (set(), 1)
    pair.replicator.step(time.time() + LAG + 5)
    assert (pair.keys(pair.west), pair.state()["pending"]) == ({"k"}, 0)
    assert pair.state()["last"]["key"] == "k"
    assert pair.state()["last"]["age_seconds"] == pytest.approx(LAG + 5, abs=3)


def test_the_lag_can_change_while_objects_wait(pair: Pair) -> None:
    pair.rule(pair.east, pair.west)
    pair.put(pair.east, "k")
    pair.replicator.step()
    assert pair.keys(pair.west) == set()
    control(pair.endpoint, "replication-lag/0", method="PUT")
    pair.replicator.step()
    assert pair.keys(pair.west) == {"k"}


@pytest.mark.parametrize("with_many", [False, True])
def test_a_delete_marker_follows_where_the_rule_says_so(pair: Pair, with_many: bool) -> None:
    pair.rule(pair.east, pair.west)
    pair.rule(pair.west, pair.east, delete_markers=False)
    for bucket in (pair.east, pair.west):
        pair.put(bucket, f"made-{bucket}")
    pair.later()
    for bucket in (pair.east, pair.west):
        if with_many:
            pair.of(bucket).delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"made-{bucket}"}]})
        else:
            pair.of(bucket).delete_object(Bucket=bucket, Key=f"made-{bucket}")
    pair.later()
    assert pair.keys(pair.west) == set()
    assert pair.keys(pair.east) == {f"made-{pair.west}"}


def test_deleting_one_version_is_never_replicated(pair: Pair) -> None:
    pair.rule(pair.east, pair.west)
    pair.put(pair.east, "k")
    pair.later()
    version = pair.of(pair.east).head_object(Bucket=pair.east, Key="k")["VersionId"]
    pair.of(pair.east).delete_object(Bucket=pair.east, Key="k", VersionId=version)
    pair.later()
    assert (pair.keys(pair.east), pair.keys(pair.west)) == (set(), {"k"})


@pytest.mark.parametrize("dead", REGIONS)
def test_a_silent_region_sends_and_receives_nothing_until_it_is_back(pair: Pair, dead: str) -> None:
    pair.rule(pair.east, pair.west)
    pair.put(pair.east, "k", "first")
    pair.put(pair.east, "k", "second")
    control(pair.endpoint, f"black-hole/{dead}", method="PUT")
    pair.later()
    assert pair.state()["pending"] == 2
    assert pair.said == []  # it did not even try, which would hold up everything else
    control(pair.endpoint, f"black-hole/{dead}", method="DELETE")
    assert pair.keys(pair.west) == set()
    pair.later()
    assert pair.body(pair.west, "k") == "second"
    assert pair.state()["pending"] == 0


def test_versions_of_one_key_arrive_in_order_even_if_the_first_has_to_wait(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.rule(pair.east, pair.west)
    for body in ("first", "second"):
        pair.put(pair.east, "k", body)
    copy, failures = pair.replicator._do, iter([True])
    monkeypatch.setattr(pair.replicator, "_do", lambda *task: False if next(failures, False) else copy(*task))
    pair.later()
    assert pair.body(pair.west, "k") == "second"
    assert pair.versions(pair.west) == 2


def test_an_object_encrypted_by_kms_needs_a_rule_that_says_so(pair: Pair) -> None:
    pair.rule(pair.east, pair.west)
    pair.put(pair.east, "left-out", ServerSideEncryption="aws:kms")
    key = "arn:aws:kms:us-west-2:123456789012:alias/acme"
    pair.rule(
        pair.east,
        pair.west,
        SourceSelectionCriteria={"SseKmsEncryptedObjects": {"Status": "Enabled"}},
        Destination={"Bucket": f"arn:aws:s3:::{pair.west}", "EncryptionConfiguration": {"ReplicaKmsKeyID": key}},
    )
    pair.put(pair.east, "taken", ServerSideEncryption="aws:kms")
    pair.later()
    assert pair.keys(pair.west) == {"taken"}
    assert pair.of(pair.west).head_object(Bucket=pair.west, Key="taken")["SSEKMSKeyId"] == key


def test_without_a_rule_any_more_nothing_new_is_replicated(pair: Pair) -> None:
    pair.rule(pair.east, pair.west)
    pair.put(pair.east, "before")
    pair.of(pair.east).delete_bucket_replication(Bucket=pair.east)
    pair.put(pair.east, "after")
    pair.later()
    assert pair.keys(pair.west) == {"before"}


def test_an_object_that_is_gone_before_its_turn_fails_and_holds_nobody_up(pair: Pair) -> None:
    pair.rule(pair.east, pair.west)
    pair.put(pair.east, "gone")
    version = pair.of(pair.east).head_object(Bucket=pair.east, Key="gone")["VersionId"]
    pair.of(pair.east).delete_object(Bucket=pair.east, Key="gone", VersionId=version)
    pair.put(pair.east, "k")
    pair.later()
    assert pair.keys(pair.west) == {"k"}
    assert (pair.state()["failed"], pair.state()["pending"]) == (1, 0)


def test_a_replicator_that_was_killed_goes_on_where_it_was(pair: Pair) -> None:
    pair.rule(pair.east, pair.west)
    pair.put(pair.east, "done")
    pair.later()
    pair.put(pair.east, "waiting")
    pair.replicator.step()
    pair.replicator = pair.new_replicator()
    pair.later()
    assert pair.keys(pair.west) == {"done", "waiting"}
    assert pair.versions(pair.west) == 2


# Rules by themselves


def test_the_rule_of_the_highest_priority_wins_for_each_destination() -> None:
    low = Rule(id="low", destination="b", enabled=True, priority=1)
    high = Rule(id="high", destination="b", enabled=True, priority=2, prefix="a/")
    elsewhere = Rule(id="elsewhere", destination="c", enabled=True, priority=0)
    off = Rule(id="off", destination="d", enabled=False)
    assert {rule.id for rule in rules_for([high, low, elsewhere, off], "a/1")} == {"high", "elsewhere"}
    assert {rule.id for rule in rules_for([high, low, elsewhere, off], "z")} == {"low", "elsewhere"}


def test_a_prefix_is_read_wherever_the_api_allows_it() -> None:
    def prefix(where: str) -> str:
        rule = f"<Rule><Status>Enabled</Status>{where}<Destination><Bucket>arn:aws:s3:::b</Bucket></Destination></Rule>"
        return parse(f"<ReplicationConfiguration>{rule}</ReplicationConfiguration>".encode())[0].prefix

    assert prefix("<Filter><Prefix>a/</Prefix></Filter>") == "a/"
    assert prefix("<Filter><And><Prefix>a/</Prefix></And></Filter>") == "a/"
    assert prefix("<Prefix>a/</Prefix>") == "a/"
    assert prefix("<Filter/>") == ""
    with pytest.raises(ValueError, match="by prefix, not by tag"):
        prefix("<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>")


def test_delete_markers_and_kms_need_the_rule_s_word() -> None:
    deleted = Event(sequence=1, time=0, kind="deleted", bucket="a")
    encrypted = Event(sequence=2, time=0, kind="written", bucket="a", kms_encrypted=True)
    silent = Rule(id="r", destination="b", enabled=True)
    assert (wanted(deleted, silent), wanted(encrypted, silent)) == (False, False)
    outspoken = Rule(id="r", destination="b", enabled=True, delete_markers=True, kms_encrypted=True)
    assert (wanted(deleted, outspoken), wanted(encrypted, outspoken)) == (True, True)
