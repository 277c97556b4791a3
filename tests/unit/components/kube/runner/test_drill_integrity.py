"""The drill `integrity` with a bucket in memory: it passes where all is whole, and else says what is wrong."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.kube.runner import drill_velero
from components.kube.runner.api import ApiError
from components.kube.runner.drill_ask import FIRST, ask
from components.kube.runner.drill_choice import BACKUPS, REPOSITORIES, SERVING
from components.kube.runner.drill_choose import SECOND, choose
from components.kube.runner.drill_etcd import container_said
from components.kube.runner.drill_fetch import LISTING_BYTES
from components.kube.runner.drill_integrity import judge
from components.kube.runner.drill_record import Drill
from components.kube.runner.drill_tar import files
from components.kube.runner.failure import StepFailedError
from components.kube.runner.password import fingerprint
from tests.unit.components.kube.runner.fake_api import FakeApi

NOW = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)
HOUR = 3600
NAME = "daily-full-use1-20260302020000"
SECRET = "/api/v1/namespaces/velero/secrets/velero-repo-credentials"
PASSWORD = "of both regions"
SERVER = "orders-primary-g1"
BASE = "20260302T030000"
SEGMENTS = [f"0000000100000000000000{number:02X}" for number in range(5, 10)]
LABEL = "\n".join(
    (
        "status=DONE",
        "begin_time=2026-03-02T03:00:00+00:00",
        "end_time=2026-03-02T03:05:00+00:00",
        f"begin_wal={SEGMENTS[0]}",
        f"end_wal={SEGMENTS[1]}",
        "tablespaces=None",
    )
)
HELD = {"apps/v1/Deployment": ["shop/web"], "v1/Namespace": ["shop"], "v1/Secret": ["shop/key"]}


def archive(held: dict[str, list[str]]) -> bytes:
    """What Velero writes: each object twice, the second time by its version."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as members:
        for name in (each for names in held.values() for each in names):
            namespace, _, short = name.rpartition("/")
            where = f"namespaces/{namespace}" if namespace else "cluster"
            for path in (f"resources/things/{where}/{short}.json", f"resources/things/v1-preferredversion/{where}/{short}.json"):
                members.addfile(tarfile.TarInfo(path), io.BytesIO())
    return out.getvalue()


def packed(value: Any) -> bytes:
    return gzip.compress(json.dumps(value).encode())


def snapshot(pages: int = 4) -> bytes:
    content = bytes(512) * pages
    return content + hashlib.sha256(content).digest()


@dataclass
class Region:
    """A region with everything that the drill looks at, whole and new; a test breaks one thing of it."""

    directory: Path
    serves: bool = False
    api: FakeApi = field(default_factory=FakeApi)
    objects: dict[tuple[str, str], tuple[bytes, datetime]] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    opened: str | None = None
    task: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.serves:
            self.api.objects[SERVING] = {"metadata": {"name": "serving"}}
        status = {
            "phase": "Completed",
            "startTimestamp": "2026-03-02T02:00:00Z",
            "completionTimestamp": "2026-03-02T02:10:00Z",
            "expiration": "2026-04-01T02:00:00Z",
            "progress": {"itemsBackedUp": 3},
        }
        labels = {"velero.io/schedule-name": "daily-full-use1"}
        self.api.objects[f"{BACKUPS}/{NAME}"] = {"metadata": {"name": NAME, "labels": labels}, "status": status}
        self.api.objects[SECRET] = {"data": {"repository-password": base64.b64encode(PASSWORD.encode()).decode()}}
        began = NOW - timedelta(hours=3, minutes=25)
        moved = [
            {"pvcNamespace": "shop", "snapshotDataMoved": True, "result": "succeeded", "startTimestamp": "2026-03-02T02:05:00Z"}
        ]
        directory, kopia = f"velero/primary/backups/{NAME}", "velero/primary/kopia/shop"
        for name, content in {
            f"{directory}/velero-backup.json": b"{}",
            f"{directory}/{NAME}.tar.gz": archive(HELD),
            f"{directory}/{NAME}-logs.gz": gzip.compress(b"level=info"),
            f"{directory}/{NAME}-resource-list.json.gz": packed(HELD),
            f"{directory}/{NAME}-volumeinfo.json.gz": packed(moved),
            f"{directory}/{NAME}-results.gz": packed({}),
            f"{kopia}/kopia.repository": b"{}",
            f"{kopia}/kopia.blobcfg": b"x",
            f"{kopia}/xn0_0a": b"index",
            f"{kopia}/q0a": b"metadata",
            f"{kopia}/p0a": b"data",
        }.items():
            self.put("velero", name, content, began + timedelta(minutes=1))
        for number, segment in enumerate(SEGMENTS):
            time = NOW - timedelta(minutes=60 - 10 * number)
            self.put("database", f"cnpg/{SERVER}/wals/{segment[:16]}/{segment}.gz", b"wal", time)
        for file, content in {"backup.info": LABEL.encode(), "data.tar": b"all of it"}.items():
            self.put("database", f"cnpg/{SERVER}/base/{BASE}/{file}", content, NOW - timedelta(hours=2))
        self.mark(NOW - timedelta(minutes=2))
        self.put("database", "freshness/inventory-primary.json", json.dumps({"password": fingerprint(PASSWORD)}).encode(), NOW)
        self.put("etcd", "etcd/secondary/etcd-snapshot-20260302T000000Z-prod-r77.db", snapshot(), NOW - timedelta(hours=5))
        self.task = {
            "velero": {
                "bucket": "velero",
                "own": {"prefix": "velero/secondary", "schedules": [{"name": "daily-full-usw2", "within": 25 * HOUR}]},
                "peer": {"prefix": "velero/primary", "schedules": [{"name": "daily-full-use1", "within": 25 * HOUR}]},
                "secret": SECRET,
            },
            "databases": [
                {"name": "orders", "own": "orders-secondary-g1", "peer": SERVER, "within": 25 * HOUR, "mark_within": 20 * 60}
            ],
            "archive": {"bucket": "database", "archives": "cnpg", "marks": "freshness"},
            "inventory": "freshness/inventory-primary.json",
            "etcd": {"bucket": "etcd", "prefix": "etcd/secondary", "within": 7 * HOUR},
            "peer_ready": True,
            "room": 1 << 30,
        }

    def mark(self, written: datetime, **segments: str) -> None:
        recent = {name: (NOW - timedelta(minutes=60 - 10 * number)).isoformat() for number, name in enumerate(SEGMENTS)}
        said = {
            "written": written.isoformat(),
            "segment": SEGMENTS[-1],
            "archived": recent[SEGMENTS[-1]],
            "recent": {**recent, **segments},
            "bases": {BASE: {"backup.info": len(LABEL), "data.tar": 9}},
        }
        self.put("database", f"freshness/{SERVER}.json", json.dumps(said).encode(), written)

    def put(self, bucket: str, key: str, content: bytes, modified: datetime = NOW) -> None:
        self.objects[bucket, key] = content, modified

    def drop(self, part: str) -> None:
        """Delete every object whose key holds this."""
        gone = [each for each in self.objects if part in each[1]]
        assert gone, part
        for each in gone:
            del self.objects[each]

    def change(self, part: str, change: Callable[[bytes], bytes]) -> None:
        [(place, (content, modified))] = [each for each in self.objects.items() if part in each[0][1]]
        self.objects[place] = change(content), modified

    @property
    def backup(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.objects[f"{BACKUPS}/{NAME}"]["status"]
        return found

    def fetch(self, plan: str) -> None:
        """As drill-fetch.sh does it."""
        for line in (self.directory / plan).read_text().splitlines():
            what, bucket, name, file, most = line.split("\t")
            path = self.directory / file
            if bucket in self.unreadable:
                path.with_name(f"{file}.error").write_text("An error occurred (AccessDenied)\n")
                continue
            below = {key: each for (where, key), each in sorted(self.objects.items()) if where == bucket and key.startswith(name)}
            if what == "list":
                path.write_text(
                    "".join(f"{key}\t{len(each)}\t{time.isoformat()}\n" for key, (each, time) in below.items()) or "None\n"
                )
            elif what == "dirs":
                path.write_text("\n".join(dict.fromkeys(name + key.removeprefix(name).split("/")[0] + "/" for key in below)))
            elif what == "get" and (bucket, name) in self.objects:
                content = self.objects[bucket, name][0]
                assert len(content) <= int(most)
                path.write_bytes(content)
            elif what == "get":
                path.with_name(f"{file}.error").write_text("An error occurred (NoSuchKey)\n")
            else:
                assert what == "link"

    def drill(self) -> Drill:
        """What the drill has found."""
        ask(self.api, self.task, self.directory, now=lambda: NOW)  # type: ignore[arg-type]
        self.fetch(FIRST)
        choose(self.task, self.directory)
        self.fetch(SECOND)
        found = Drill(kind="integrity", run="0a1b2c3d", started=NOW)
        judge(self.api, self.task, self.directory, lambda: self.opened, found, now=lambda: NOW)  # type: ignore[arg-type]
        return found


@pytest.fixture
def region(tmp_path: Path) -> Region:
    return Region(tmp_path)


def test_a_copy_that_is_still_coming_is_passed_over_and_told(region: Region) -> None:
    """S3 has brought a part of what Velero wrote ten minutes ago."""
    older, young = region.api.objects[f"{BACKUPS}/{NAME}"], "daily-full-use1-20260302051000"
    ended = {"startTimestamp": "2026-03-02T05:10:00Z", "completionTimestamp": "2026-03-02T05:20:00Z"}
    metadata = {**older["metadata"], "name": young}
    region.api.objects[f"{BACKUPS}/{young}"] = {"metadata": metadata, "status": {**older["status"], **ended}}
    region.put("velero", f"velero/primary/backups/{young}/velero-backup.json", b"{}")
    found = region.drill()
    assert (found.reasons, found.notes) == ([], [f"backup {young} may still be copied, so the one before it is taken"])
    assert found.counts["backups"] == 1
    region.api.objects[f"{BACKUPS}/{young}"]["status"]["completionTimestamp"] = "2026-03-02T05:14:00Z"
    [reason] = region.drill().reasons
    assert f"backup {young} lacks" in reason


def test_the_files_of_a_volume_without_a_claim_are_in_the_repository_of_its_pods_namespace(region: Region) -> None:
    listed = [{"backupMethod": "PodVolumeBackup", "pvbInfo": {"podNamespace": "shop"}, "startTimestamp": "2026-03-02T02:05:00Z"}]
    region.change("volumeinfo.json.gz", lambda _: packed(listed))
    assert region.drill().counts["repositories of volumes"] == 1


def test_a_repository_is_judged_where_velero_wrote_its_list_before_the_data_mover_had_begun(region: Region) -> None:
    region.change("volumeinfo.json.gz", lambda _: packed([{"pvcNamespace": "shop", "snapshotDataMoved": True}]))
    assert region.drill().counts["repositories of volumes"] == 1
    old_repository(region)
    [reason] = region.drill().reasons
    assert "the repository of volumes of namespace shop is half replicated" in reason


def test_a_standby_whose_copies_are_whole_and_new_passes(region: Region) -> None:
    found = region.drill()
    assert (found.reasons, found.notes, found.skipped) == ([], [], None)
    assert found.counts == {
        "objects of backups": 6,
        "backups": 1,
        "repositories of volumes": 1,
        "base backups": 1,
        "WAL segments": 5,
        "etcd snapshots": 1,
    }
    assert [(each["what"], each["name"]) for each in found.used] == [
        ("velero-backup", NAME),
        ("base-backup", BASE),
        ("etcd-snapshot", "etcd-snapshot-20260302T000000Z-prod-r77.db"),
    ]
    assert found.rpo_seconds == 120


def expired(region: Region) -> None:
    region.backup["expiration"] = "2026-03-02T05:00:00Z"


def stale(region: Region) -> None:
    region.backup.update(startTimestamp="2026-02-28T02:00:00Z", completionTimestamp="2026-02-28T02:10:00Z")


def failed(region: Region) -> None:
    region.backup["phase"] = "PartiallyFailed"


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def half_listed(region: Region) -> None:
    region.change("resource-list", lambda _: packed({**HELD, "v1/ConfigMap": ["shop/lost"]}))


def fewer_than_saved(region: Region) -> None:
    region.backup["progress"]["itemsBackedUp"] = 4


def old_repository(region: Region) -> None:
    for name in ("/xn0_0a", "/q0a"):
        region.change(name, lambda content: content)
    for place, (content, _) in list(region.objects.items()):
        if "/kopia/shop/" in place[1]:
            region.objects[place] = content, NOW - timedelta(days=1)


def another_password(region: Region) -> None:
    region.put("database", "freshness/inventory-primary.json", json.dumps({"password": fingerprint("of one region")}).encode())


def no_password(region: Region) -> None:
    del region.api.objects[SECRET]


def old_base(region: Region) -> None:
    region.change("backup.info", lambda label: label.replace(b"2026-03-02T03", b"2026-02-27T03"))
    region.mark(NOW)


def marked_and_not_here(region: Region) -> None:
    region.mark(NOW, **{"00000001000000000000000A": (NOW - timedelta(hours=1)).isoformat()})


def bomb(size: int) -> bytes:
    """So many zeros, by gzip."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as packing:
        for _ in range(size >> 20):
            packing.write(bytes(1 << 20))
    return out.getvalue()


def endless_name() -> bytes:
    """An archive whose first header has a path of a megabyte, as tarfile would read it into memory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as members:
        members.addfile(tarfile.TarInfo("x" * 1_000_000))
    return out.getvalue()


def a_million_keys(region: Region) -> None:
    for number in range(1000):
        region.put("velero", f"velero/primary/backups/{NAME}/{number}", b"x")


def huge_labels(region: Region) -> None:
    for number in range(3):
        region.put("database", f"cnpg/{SERVER}/base/2026030{number + 3}T030000/backup.info", bytes(2 << 20))


LATER = "2026-03-02T02:05:00Z"
NESTED = b"[" * 200_000

FORMS: dict[str, tuple[Callable[[Region], None], str]] = {
    "expired": (expired, f"backup {NAME} has expired at 2026-03-02T05:00:00Z, and there is no newer one"),
    "stale": (stale, f"backup {NAME} is stale: it began 2026-02-28T02:00:00Z"),
    "no Completed one": (failed, "schedule daily-full-use1 has no Completed backup here: only PartiallyFailed"),
    "deleted from the bucket": (lambda region: region.drop(f"backups/{NAME}/"), f"backup {NAME} is not in the bucket"),
    "one object missing": (lambda region: region.drop("-logs.gz"), f"backup {NAME} lacks {NAME}-logs.gz"),
    "truncated archive": (lambda region: region.change(".tar.gz", truncated), f"backup {NAME}: {NAME}.tar.gz is corrupt"),
    "corrupt log": (lambda region: region.change("-logs.gz", flipped), f"backup {NAME}: {NAME}-logs.gz is corrupt"),
    "corrupt list": (lambda region: region.change("resource-list", lambda _: b"no gzip"), "-resource-list.json.gz is corrupt"),
    "empty": (lambda region: region.change("results", lambda _: b""), f"backup {NAME}: {NAME}-results.gz is empty"),
    "not all that it lists": (half_listed, f"backup {NAME} lists objects that its archive does not hold: shop/lost"),
    "fewer than were saved": (fewer_than_saved, f"backup {NAME} has saved 4 objects, and its archive holds 3"),
    "half replicated repository": (old_repository, "the repository of volumes of namespace shop is half replicated"),
    "no index came": (lambda region: region.drop("/xn0_0a"), "half replicated: backup"),
    "no repository": (
        lambda region: region.drop("kopia.repository"),
        "of namespace shop cannot be opened: kopia.repository",
    ),
    "wrong password": (another_password, "the password of the repositories of volumes is another one"),
    "password gone": (no_password, "the Secret velero-repo-credentials is gone"),
    "missing WAL": (lambda region: region.drop(SEGMENTS[2]), f"database orders: the WAL segment {SEGMENTS[2]} is missing"),
    "first WAL missing": (lambda region: region.drop(SEGMENTS[0]), f"the WAL segment {SEGMENTS[0]}, with which the newest base"),
    "last WAL missing": (
        marked_and_not_here,
        "WAL segment 00000001000000000000000A was archived 2026-03-02T04:30",
    ),
    "empty WAL": (lambda region: region.change(SEGMENTS[3], lambda _: b""), f"the WAL segment {SEGMENTS[3]} is empty"),
    "half a base backup": (lambda region: region.change("data.tar", truncated), f"{BASE}/ has no data.tar"),
    "base backup without data": (lambda region: region.drop("data.tar"), f"{BASE}/ has no data.tar"),
    "no base backup": (
        lambda region: region.drop("/base/"),
        "no base backup in s3://database/cnpg/orders-primary-g1/base/",
    ),
    "base backup that failed": (
        lambda region: region.change("backup.info", lambda label: label.replace(b"DONE", b"FAILED")),
        f"{BASE} is FAILED",
    ),
    "old base backup": (old_base, "the newest base backup, s3://database/cnpg/orders-primary-g1/base/"),
    "old mark": (lambda region: region.mark(NOW - timedelta(hours=1)), "database orders: its mark is of 2026-03-02T04:30:00Z"),
    "no mark": (lambda region: region.drop(f"freshness/{SERVER}"), "database orders: its mark, s3://database/freshness/"),
    "truncated snapshot": (lambda region: region.change("/etcd-snapshot", truncated), "prod-r77.db is corrupt: it is truncated"),
    "corrupt snapshot": (lambda region: region.change("/etcd-snapshot", flipped), "prod-r77.db is corrupt: its SHA-256 is"),
    "no snapshot": (lambda region: region.drop("/etcd-snapshot"), "there is no snapshot of etcd in s3://etcd/etcd/secondary/"),
    "snapshot that does not open": (lambda region: setattr(region, "opened", "invalid database"), "etcdutl does not open"),
    "a gzip bomb": (
        lambda region: region.change("-logs.gz", lambda _: bomb(3 << 20)),
        "-logs.gz is corrupt: it unpacks to more than 0 GiB",
    ),
    "JSON that is nested": (
        lambda region: region.change("velero-backup.json", lambda _: NESTED),
        "velero-backup.json is corrupt: it is nested deeper",
    ),
    "a list that is nested": (
        lambda region: region.change("resource-list", lambda _: gzip.compress(NESTED)),
        "-resource-list.json.gz is not what Velero writes: it is nested deeper",
    ),
    "JSON that is large": (
        lambda region: region.change("velero-backup.json", lambda _: b'"' + b"x" * (2 << 20) + b'"'),
        "velero-backup.json is corrupt: it is larger than 1 MiB",
    ),
    "a name of any size": (
        lambda region: region.change(".tar.gz", lambda _: endless_name()),
        f"{NAME}.tar.gz is corrupt: a header in it has",
    ),
    "volumes without a namespace": (
        lambda region: region.change("volumeinfo", lambda _: packed([{"snapshotDataMoved": True, "startTimestamp": LATER}])),
        "-volumeinfo.json.gz is not what Velero writes",
    ),
    "keys without end": (a_million_keys, f"backup {NAME} has more than 64 objects below"),
    "labels of any size": (huge_labels, "20260305T030000 has a backup.info of 2097152 bytes"),
    "an inventory that is nested": (
        lambda region: region.change("inventory-primary", lambda _: NESTED),
        "is no inventory of this version",
    ),
    "no room": (lambda region: region.task.update(room=1), "cannot be read: it was not fetched, as where it has no room"),
    "no access": (lambda region: region.unreadable.add("database"), "An error occurred (AccessDenied)"),
}


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill_velero, "_UNPACKED", 2 << 20)
    monkeypatch.setattr(drill_velero, "_JSON", 1 << 20)


@pytest.mark.parametrize("form", FORMS)
def test_it_fails_with_the_reason(region: Region, form: str) -> None:
    spoil, expected = FORMS[form]
    spoil(region)
    found = region.drill()
    assert [reason for reason in found.reasons if expected in reason], found.reasons


@pytest.mark.parametrize("form", ["one object missing", "missing WAL", "corrupt snapshot", "wrong password"])
def test_one_fault_hides_nothing_that_is_whole(region: Region, form: str) -> None:
    FORMS[form][0](region)
    assert len(region.drill().reasons) == 1


def test_nothing_is_planned_that_is_larger_than_it_may_be(region: Region) -> None:
    huge_labels(region)
    a_million_keys(region)
    region.drill()
    lines = [line.split("\t") for line in (region.directory / SECOND).read_text().splitlines()]
    assert not [line for line in lines if line[2].endswith("backup.info") or f"backups/{NAME}/" in line[2]]
    assert [line[4] for line in lines if line[0] == "list"] == [str(LISTING_BYTES)] * 4


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_the_names_in_an_archive_are_read_in_every_form(tmp_path: Path, form: int) -> None:
    names = ["a.json", "resources/" + "/".join(["x" * 60] * 3) + ".json", "ü/b.json", "c.json"]
    with tarfile.open(tmp_path / "a", "w:gz", format=form) as members:
        members.addfile(directory := tarfile.TarInfo("a directory"))
        directory.type = tarfile.DIRTYPE
        members.addfile(directory)
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 700
            members.addfile(info, io.BytesIO(bytes(700)))
    assert list(files(tmp_path / "a")) == ["a directory", *names]


def test_an_old_snapshot_of_etcd_is_stale(region: Region) -> None:
    region.drop("/etcd-snapshot")
    region.put("etcd", "etcd/secondary/etcd-snapshot-20260301T000000Z-prod-r5.db", snapshot())
    assert ["stale" in reason for reason in region.drill().reasons] == [True]


def test_wal_that_may_still_come_is_told_and_fails_nothing(region: Region) -> None:
    region.drop(SEGMENTS[3])
    region.objects["database", f"cnpg/{SERVER}/wals/{SEGMENTS[4][:16]}/{SEGMENTS[4]}.gz"] = b"wal", NOW - timedelta(minutes=1)
    found = region.drill()
    assert found.notes == [f"database orders: the WAL segment {SEGMENTS[3]} has not come yet"]
    assert not [reason for reason in found.reasons if "cannot be recovered" in reason]


def test_a_timeline_that_follows_another_leaves_no_gap(region: Region) -> None:
    region.drop(SEGMENTS[4])
    following = f"00000002{SEGMENTS[4][8:]}"
    region.put("database", f"cnpg/{SERVER}/wals/{following[:16]}/{following}.gz", b"wal", NOW - timedelta(minutes=20))
    region.change(f"freshness/{SERVER}", lambda mark: mark.replace(SEGMENTS[4].encode(), following.encode()))
    assert region.drill().reasons == []


def test_without_databases_the_age_of_the_oldest_newest_backup_is_what_would_be_lost(region: Region) -> None:
    region.task["databases"] = []
    assert region.drill().rpo_seconds == 3.5 * HOUR


def test_the_region_that_serves_judges_its_own_backups_and_asks_no_fingerprint(tmp_path: Path) -> None:
    region = Region(tmp_path, serves=True)
    region.task["velero"]["own"], region.task["velero"]["peer"] = region.task["velero"]["peer"], region.task["velero"]["own"]
    region.task["databases"][0].update(own=SERVER, peer="orders-secondary-g1")
    another_password(region)
    assert region.drill().reasons == []
    said = {"phase": "NotReady", "message": "invalid repository password"}
    spec = {"volumeNamespace": "shop", "backupStorageLocation": "own"}
    region.api.objects[f"{REPOSITORIES}/shop"] = {"metadata": {"name": "shop"}, "spec": spec, "status": said}
    assert region.drill().reasons == [
        "Velero cannot open the repository of volumes of namespace shop: invalid repository password"
    ]
    runs = [
        {"result": "Succeeded", "completeTimestamp": "2026-03-01T01:00:00Z"},
        {"result": "Failed", "completeTimestamp": "2026-03-02T01:00:00Z", "message": "blob not found"},
    ]
    region.api.objects[f"{REPOSITORIES}/shop"]["status"] = {"phase": "Ready", "recentMaintenance": runs}
    assert region.drill().reasons == [
        "the last maintenance of the repository of volumes of namespace shop failed: blob not found"
    ]


def test_a_standby_to_which_nothing_is_copied_has_nothing_to_judge_but_its_etcd(region: Region) -> None:
    region.task["peer_ready"] = False
    assert (region.drill().reasons, region.drill().skipped) == ([], None)
    region.task["etcd"] = None
    assert "peerReady" in str(region.drill().skipped)


def test_a_cluster_that_cannot_be_asked_is_the_reason(region: Region) -> None:
    def refuse(*_: object, **__: object) -> list[Any]:
        raise ApiError(403, "backups.velero.io is forbidden (HTTP 403)")

    region.api.list = refuse  # type: ignore[method-assign]
    with pytest.raises(StepFailedError, match="forbidden"):
        region.drill()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"terminated": {"exitCode": 0}}, None),
        ({"terminated": {"exitCode": 1, "message": "Error: invalid database\n"}}, "Error: invalid database"),
        ({"terminated": {"exitCode": 137}}, "it ended with 137 and gave no reason"),
    ],
)
def test_what_etcds_tool_said_is_read_from_its_container(state: dict[str, Any], said: str | None) -> None:
    api = FakeApi()
    statuses = [{"name": "upload", "state": {"running": {}}}, {"name": "opens", "state": state}]
    api.objects["/pod"] = {"metadata": {}, "status": {"containerStatuses": statuses}}
    api.get = lambda path: api.objects[path]  # type: ignore[attr-defined]
    assert container_said(api, "/pod", "opens", 10) == said  # type: ignore[arg-type]


def test_a_container_that_never_ends_is_not_waited_for_for_ever() -> None:
    api, times = FakeApi(), iter(range(0, 100, 5))
    waiting = [{"name": "opens", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]
    api.get = lambda _: {"status": {"containerStatuses": waiting}}  # type: ignore[attr-defined]
    with pytest.raises(StepFailedError, match="ImagePullBackOff"):
        container_said(api, "/pod", "opens", 10, clock=lambda: next(times), sleep=lambda _: None)  # type: ignore[arg-type]
