"""The last step of an etcd backup, with an AWS CLI and an API server that a test makes up."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.etcd.backup import UPLOAD

# Copies what is uploaded into ./bucket, and answers with the size and the checksum that ./head holds.
AWS = """\
#!/bin/bash
set -euo pipefail
echo "$*" >>calls
cp "$AWS_CONFIG_FILE" config-seen
if [[ "$1 $2" == "s3 cp" ]]; then
  [[ ! -e unreachable ]] || { echo "fatal error: no route to host" >&2; exit 1; }
  mkdir -p "bucket/$(dirname "${4#s3://}")" && cp "$3" "bucket/${4#s3://}"
else
  cat head
fi
"""
CURL = """\
#!/bin/bash
echo "$*" >>curl-calls
[[ ! -e forbidden ]] || { echo "curl: (22) The requested URL returned error: 403" >&2; exit 22; }
echo '{"level":"info","msg":"something else that is logged"}'
echo '{"hash":2166136261,"revision":4711,"totalKey":3,"totalSize":20480,"version":"3.6.0"}'
"""
CLUSTER = "acme-east.example"
OLD, RECENT = (f"etcd-snapshot-{time}-{CLUSTER}-r1.db" for time in ("20200101T000000Z", "29990101T000000Z"))

NO_COPIES = ("notes.txt", "etcd-snapshot-before-the-upgrade.db", f"{OLD}.part", "etcd-snapshot-2019Z-a-r1.db")


def snapshot(size: int = 4096) -> bytes:
    content = b"x" * size
    return content + hashlib.sha256(content).digest()


class Node:
    """A control-plane node's directory, and what the step is told."""

    def __init__(self, root: Path) -> None:
        self.root, self.directory = root, root / "backups"
        self.directory.mkdir()
        (root / "bin").mkdir()
        for name, text in (("aws", AWS), ("curl", CURL)):
            (root / "bin" / name).write_text(text)
            (root / "bin" / name).chmod(0o755)
        self.environment = {
            "PATH": f"{root / 'bin'}:{os.environ['PATH']}",
            "CLUSTER": CLUSTER,
            "BUCKET": "acme-etcd",
            "PREFIX": "etcd/primary",
            "DIRECTORY": str(self.directory),
            "KEEP_SECONDS": "604800",
            "SINGLE_PUT": "5368709120",
            "PART": "67108864",
            "POD_NAME": "etcd-backup-1",
            "POD_NAMESPACE": "kube-system",
            "KUBERNETES_SERVICE_HOST": "10.96.0.1",
            "KUBERNETES_SERVICE_PORT": "443",
        }
        self.saved(snapshot())

    def saved(self, content: bytes) -> None:
        (self.directory / "incoming.db").write_bytes(content)
        self.answers(len(content), base64.b64encode(hashlib.sha256(content).digest()).decode())

    def answers(self, size: int, checksum: str) -> None:
        """What the bucket says of the object."""
        (self.root / "head").write_text(f"{size}\t{checksum}\n")

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        script = self.root / "etcd-upload.sh"
        script.write_text(UPLOAD.replace("/tmp/", f"{self.root}/"))
        return subprocess.run(
            ["bash", str(script), *arguments],
            cwd=self.root,
            env={**self.environment, **changes},
            capture_output=True,
            text=True,
            check=False,
        )

    def copies(self) -> set[str]:
        return {path.name for path in self.directory.iterdir()}

    def uploaded(self) -> list[Path]:
        return [path for path in (self.root / "bucket").rglob("*") if path.is_file()]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_the_name_has_time_cluster_and_revision_in_the_bucket_and_on_the_node(node: Node) -> None:
    saved = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC).timestamp()
    os.utime(node.directory / "incoming.db", (saved, saved))
    ran = node.run(KEEP_SECONDS=str(10**9))
    assert ran.returncode == 0, ran.stderr
    name = f"etcd-snapshot-20260304T050607Z-{CLUSTER}-r4711.db"
    assert node.copies() == {name}
    (uploaded,) = node.uploaded()
    assert uploaded.relative_to(node.root / "bucket") == Path("acme-etcd/etcd/primary", name)
    assert uploaded.read_bytes() == (node.directory / name).read_bytes()
    assert "--checksum-algorithm SHA256" in (node.root / "calls").read_text()


def test_the_revision_is_what_the_step_before_has_said_of_this_very_pod(node: Node) -> None:
    node.run(KUBERNETES_SERVICE_HOST="fd00::1")
    asked = (node.root / "curl-calls").read_text()
    assert "https://[fd00::1]:443/api/v1/namespaces/kube-system/pods/etcd-backup-1/log?container=verify" in asked
    assert "Bearer" not in asked, "whoever lists the node's processes would read the token"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (snapshot()[:-32], "truncated"),
        (snapshot()[:-512], "damaged"),
        (b"\0" + snapshot()[1:], "damaged"),
        (b"", "truncated"),
    ],
)
def test_what_is_no_whole_snapshot_is_not_uploaded(node: Node, content: bytes, reason: str) -> None:
    node.saved(content)
    ran = node.run()
    assert ran.returncode != 0
    assert ran.stderr.startswith(f"etcd backup: the snapshot is {reason}")
    assert not node.uploaded()
    assert node.copies() == {"incoming.db"}


def test_a_revision_that_cannot_be_had_fails(node: Node) -> None:
    (node.root / "forbidden").touch()
    ran = node.run()
    assert ran.returncode != 0
    assert "403" in ran.stderr
    assert "does not say what the step verify found" in ran.stderr
    assert not node.uploaded()


def test_an_upload_that_fails_leaves_old_copies_and_no_final_name(node: Node) -> None:
    (node.root / "unreachable").touch()
    (node.directory / OLD).touch()
    ran = node.run()
    assert ran.returncode != 0
    assert "no route to host" in ran.stderr
    assert "etcd backup: the upload to s3://acme-etcd/etcd/primary/etcd-snapshot-" in ran.stderr
    assert node.copies() == {OLD, "incoming.db"}


@pytest.mark.parametrize(("size", "checksum"), [(4127, None), (4128, "AAAA"), (4128, "None")])
def test_an_object_of_another_size_or_checksum_fails(node: Node, size: int, checksum: str | None) -> None:
    right = (node.root / "head").read_text().split()[1]
    node.answers(size, checksum or right)
    (node.directory / OLD).touch()
    ran = node.run()
    assert ran.returncode != 0
    assert "is not what was uploaded" in ran.stderr
    assert node.copies() == {OLD, "incoming.db"}


@pytest.mark.parametrize("suffix", ["", "-3"])
def test_an_upload_in_parts_has_the_checksum_of_the_parts_checksums(node: Node, suffix: str) -> None:
    part, content = 2048, snapshot(5120)
    node.saved(content)
    digests = [hashlib.sha256(content[start : start + part]).digest() for start in range(0, len(content), part)]
    assert len(digests) == 3
    whole = base64.b64encode(hashlib.sha256(b"".join(digests)).digest()).decode()
    node.answers(len(content), whole + suffix)
    ran = node.run(SINGLE_PUT="4096", PART=str(part))
    assert ran.returncode == 0, ran.stderr
    config = (node.root / "config-seen").read_text()
    assert re.search(r"multipart_threshold = 4096\n  multipart_chunksize = 2048\n", config)


def test_an_endpoint_of_ones_own_is_found_by_path(node: Node) -> None:
    node.run(AWS_ENDPOINT_URL="http://minio:9000")
    assert "addressing_style = path" in (node.root / "config-seen").read_text()


def test_copies_are_deleted_by_the_time_in_their_names_and_nothing_else_is(node: Node) -> None:
    now = datetime.now(UTC)
    near = [f"etcd-snapshot-{now - timedelta(days=days):%Y%m%dT%H%M%SZ}-{CLUSTER}-r1.db" for days in (6, 8)]
    kept = {near[0], RECENT, *NO_COPIES}
    for name in (*kept, near[1], OLD):
        (node.directory / name).touch()
    ran = node.run()
    assert ran.returncode == 0, ran.stderr
    (new,) = node.copies() - kept
    assert new.endswith("-r4711.db")
    assert kept <= node.copies()


def test_the_step_before_deletes_old_copies_and_does_nothing_else(node: Node) -> None:
    kept = {RECENT, *NO_COPIES, "incoming.db"}
    for name in (*kept - {"incoming.db"}, OLD):
        (node.directory / name).touch()
    node.environment = {name: node.environment[name] for name in ("PATH", "DIRECTORY", "KEEP_SECONDS")}  # its step has no more
    ran = node.run("clean")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"deleted the copy {OLD}\n"
    assert node.copies() == kept, "what the last run did not upload is the next step's to overwrite"
    assert not (node.root / "calls").exists()
    assert not (node.root / "curl-calls").exists()


def test_the_step_before_has_nothing_to_do_on_a_node_without_a_copy(node: Node) -> None:
    (node.directory / "incoming.db").unlink()
    ran = node.run("clean")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
