"""The script that restores etcd, with an etcdutl and an AWS CLI that a test makes up."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[4] / "scripts" / "etcd-restore.sh"
ETCDUTL = """\
#!/bin/bash
set -euo pipefail
echo "$*" >>"$CALLS"
if [[ $2 == status ]]; then
  [[ $* == *json ]] && echo '{"hash":1,"revision":4711,"totalKey":3}' || echo 'a table'
  exit
fi
[[ ! -e $CALLS.fails ]] || { echo "Error: no space left on device" >&2; exit 1; }
while [[ $1 != --data-dir ]]; do shift; done
mkdir -p "$2/member/snap" && echo restored >"$2/member/snap/db"
"""
AWS = """\
#!/bin/bash
set -euo pipefail
echo "$*" >>"$CALLS"
if [[ $2 == list-objects-v2 ]]; then cat "$BUCKET/list"; else cp "$BUCKET/${3##*/}" "$4"; fi
"""
NEWEST = "etcd-snapshot-20260304T050607Z-acme-east-r3.db"


def snapshot() -> bytes:
    content = b"x" * 4096
    return content + hashlib.sha256(content).digest()


class Node:
    """A control-plane node whose etcd does not run."""

    def __init__(self, root: Path) -> None:
        self.data, self.file, self.bucket, self.calls_file = (root / name for name in ("data", "s.db", "bucket", "calls"))
        self.file.write_bytes(snapshot())
        self.programs = root / "bin"
        for directory in (self.bucket, self.programs):
            directory.mkdir()
        (self.bucket / NEWEST).write_bytes(snapshot())
        listed = (NEWEST, "etcd-snapshot-20251231T235959Z-acme-east-r9.db", "notes.txt")
        (self.bucket / "list").write_text("".join(f"etcd/primary/{name}\n" for name in listed))
        for name, text in (("etcdutl", ETCDUTL), ("aws", AWS)):
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)

    def run(self, *options: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": path or f"{self.programs}:{os.environ['PATH']}",
            "CALLS": str(self.calls_file),
            "BUCKET": str(self.bucket),
        }
        return subprocess.run([str(SCRIPT), *options], env=environment, capture_output=True, text=True, check=False)

    def restore(self, *options: str, source: tuple[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        member = ("--name", "cp-1", "--peer-url", "https://10.0.0.4:2380", "--data-dir", str(self.data))
        return self.run(*(source or ("--snapshot", str(self.file))), *member, *options)

    def holds(self) -> str:
        """What etcd would find."""
        return (self.data / "member" / "snap" / "db").read_text().strip()

    def fill(self) -> Path:
        """Data of an etcd, and the file that a running one has locked."""
        database = self.data / "member" / "snap" / "db"
        database.parent.mkdir(parents=True)
        database.write_text("old")
        return database

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_it_restores_so_that_whoever_watches_notices_and_says_what_to_do_next(node: Node) -> None:
    ran = node.restore()
    assert ran.returncode == 0, ran.stderr
    assert node.holds() == "restored"
    (restore,) = [call for call in node.calls if " restore " in call]
    assert "--bump-revision 1000000000 --mark-compacted" in restore
    assert "--name cp-1 --initial-cluster cp-1=https://10.0.0.4:2380 --initial-cluster-token restored-r4711" in restore
    assert "Next:" in ran.stdout
    assert "revision 4711" in ran.stdout
    assert [path.name for path in node.data.iterdir()] == ["member"], "nothing else may be left"
    assert node.data.stat().st_mode & 0o777 == 0o700


def test_members_of_one_cluster_are_restored_with_one_token(node: Node) -> None:
    members = "cp-1=https://10.0.0.4:2380,cp-2=https://10.0.0.5:2380"
    assert node.restore("--initial-cluster", members, "--token", "again").returncode == 0
    assert f"--initial-cluster {members} --initial-cluster-token again" in node.calls[-1]


def test_data_that_is_there_is_not_touched_unless_it_is_to_be_moved_aside(node: Node) -> None:
    node.fill()
    ran = node.restore()
    assert ran.returncode == 1
    assert "add --move-aside" in ran.stderr
    assert node.holds() == "old"

    ran = node.restore("--move-aside")
    assert ran.returncode == 0, ran.stderr
    assert node.holds() == "restored"
    (aside,) = node.data.glob("before-restore-*")
    assert (aside / "member" / "snap" / "db").read_text() == "old"
    assert str(aside) in ran.stdout


def test_an_etcd_that_runs_is_not_restored_over(node: Node) -> None:
    with node.fill().open() as database:
        fcntl.flock(database, fcntl.LOCK_EX)
        ran = node.restore("--move-aside")
    assert ran.returncode == 1
    assert "an etcd is running" in ran.stderr
    assert node.holds() == "old"


@pytest.mark.parametrize(
    ("content", "reason"), [(snapshot()[:-32], "truncated"), (snapshot()[:-512], "damaged"), (b"?" + snapshot()[1:], "damaged")]
)
def test_a_snapshot_that_is_not_whole_leaves_everything_as_it_was(node: Node, content: bytes, reason: str) -> None:
    node.fill()
    node.file.write_bytes(content)
    ran = node.restore("--move-aside")
    assert ran.returncode == 1
    assert reason in ran.stderr
    assert node.holds() == "old"
    assert [path.name for path in node.data.iterdir()] == ["member"]


def test_a_restore_that_fails_leaves_everything_as_it_was(node: Node) -> None:
    node.fill()
    Path(f"{node.calls_file}.fails").touch()
    ran = node.restore("--move-aside")
    assert ran.returncode == 1
    assert "no space left on device" in ran.stderr
    assert f"{node.data} is as it was" in ran.stderr
    assert node.holds() == "old"
    assert [path.name for path in node.data.iterdir()] == ["member"]


def test_a_snapshot_is_taken_from_the_bucket_with_its_checksum(node: Node) -> None:
    ran = node.restore(source=("--snapshot", f"s3://acme-etcd/etcd/primary/{NEWEST}"))
    assert ran.returncode == 0, ran.stderr
    assert node.calls[0].startswith(f"s3 cp s3://acme-etcd/etcd/primary/{NEWEST}")
    assert "--checksum-mode ENABLED" in node.calls[0]


def test_the_newest_snapshot_is_the_one_whose_name_is_last(node: Node) -> None:
    ran = node.restore(source=("--latest", "s3://acme-etcd/etcd/primary"))
    assert ran.returncode == 0, ran.stderr
    assert f"s3 cp s3://acme-etcd/etcd/primary/{NEWEST}" in node.calls[1]


def test_a_prefix_without_snapshots_is_an_error(node: Node) -> None:
    (node.bucket / "list").write_text("None\n")
    ran = node.restore(source=("--latest", "s3://acme-etcd/etcd/primary"))
    assert ran.returncode == 1
    assert "there is no snapshot below s3://acme-etcd/etcd/primary" in ran.stderr


def test_a_file_or_an_object_that_is_not_there_is_an_error(node: Node) -> None:
    for source in ("nowhere.db", "s3://acme-etcd/etcd/primary/nowhere.db"):
        ran = node.restore(source=("--snapshot", source))
        assert ran.returncode == 1
        assert f"etcd-restore: {'there is no file ' if '://' not in source else ''}{source}" in ran.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "--snapshot or --latest"),
        (["--snapshot", "a", "--latest", "s3://b/c"], "keep one"),
        (["--latest", "acme-etcd"], "--latest needs s3://BUCKET/PREFIX"),
        (["--snapshot", "a"], "--name is missing"),
        (["--snapshot", "a", "--name", "n"], "--peer-url is missing"),
        (["--snapshot", "--name", "n"], "--snapshot needs a value"),
        (["--snapshot"], "--snapshot needs a value"),
        (["--force"], "there is no option --force"),
        (
            ["--snapshot", "a", "--name", "n", "--peer-url", "https://u", "--initial-cluster", "m=https://u"],
            "--initial-cluster does not hold this member, n=https://u",
        ),
    ],
)
def test_wrong_options_are_told_with_the_right_ones(node: Node, options: list[str], reason: str) -> None:
    ran = node.run(*options)
    assert ran.returncode == 2
    assert reason in ran.stderr.splitlines()[0]
    assert "usage: etcd-restore.sh" in ran.stderr


def test_help_is_no_error(node: Node) -> None:
    ran = node.run("--help")
    assert ran.returncode == 0
    assert "usage: etcd-restore.sh" in ran.stdout


def test_a_missing_program_is_named_with_where_to_get_it(node: Node) -> None:
    (node.programs / "etcdutl").unlink()
    ran = node.restore()
    assert ran.returncode == 1
    assert "there is no etcdutl on PATH: take it out of the image" in ran.stderr
