"""The CronJob that marks how fresh an archive is, and its script, with an AWS CLI and an API server that a test makes up."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from components.database.freshness import AT_ONCE, EVERY, SCRIPT, TURN, Freshness, FreshnessArgs, cron_job
from components.iam.access import Access
from components.kube.runner.mark import mark_of
from lab.waiting import until
from settings.identity import AccessKey
from settings.names import Names
from settings.roles import ROLES, Role
from tests.unit.components.alone import registered
from tests.unit.components.database.sides import TOPOLOGY
from tests.unit.recorder import Recorder, is_secret, revealed, run_program

SERVER = "app-database-primary-g1"
ROOT = f"cnpg/{SERVER}"
TIME = "2026-03-01T12:00:00+00:00"

# Answers from ./objects.json (bytes of each key), as the AWS CLI prints text: tabs between, None for nothing. ./forbidden holds a
# prefix that may not be listed.
AWS = f"""\
#!{sys.executable}
import json, pathlib, sys
words = sys.argv[1:]
option = lambda name: words[words.index(name) + 1] if name in words else ""
with open("calls", "a") as calls:
    print(" ".join(words), file=calls)
if words[1] == "put-object":
    target = pathlib.Path("bucket") / option("--bucket") / option("--key")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(pathlib.Path(option("--body")).read_text())
    sys.exit()
forbidden, prefix = pathlib.Path("forbidden"), option("--prefix")
if forbidden.exists() and prefix.startswith(forbidden.read_text()):
    sys.exit("An error occurred (AccessDenied)")
found = {{key: size for key, size in json.loads(pathlib.Path("objects.json").read_text()).items() if key.startswith(prefix)}}
if option("--delimiter"):
    lines = sorted({{prefix + key.removeprefix(prefix).split("/")[0] + "/" for key in found if "/" in key.removeprefix(prefix)}})
elif "Size" in option("--query"):
    lines = [f"{{key}}\\t{{size}}" for key, size in sorted(found.items())]
else:
    lines = [f"{{key}}\\t{TIME}" for key in sorted(found)]
print("\\n".join(lines) or "None")
"""
# Answers the probe with what ./status holds, and keeps what is sent to the API server.
CURL = """\
#!/bin/bash
for last; do :; done
if [[ $last == "$PROBE" ]]; then
  printf '%s' "$(<status)"
  [[ $(<status) != 000 ]] || exit 7
  exit
fi
[[ ! -e refused ]] || { echo "curl: (22) The requested URL returned error: 403" >&2; exit 22; }
printf '%s\\n' "$@" >patched
"""


class Run:
    """The script, an archive, and what became of them."""

    def __init__(self, root: Path) -> None:
        self.root, self.patience, self.at_once = root, 40, AT_ONCE
        (root / "bin").mkdir()
        for name, text in (("aws", AWS), ("curl", CURL)):
            (root / "bin" / name).write_text(text)
            (root / "bin" / name).chmod(0o755)
        self.environment = {
            "PATH": f"{root / 'bin'}:{os.environ['PATH']}",
            "BUCKET": "acme-database",
            "ARCHIVE": "cnpg",
            "MARKS": "freshness",
            "SERVERS": SERVER,
            "PROBE": "",
            "RECORD": "freshness",
            "NAMESPACE": "k8s-dr",
            "KUBERNETES_SERVICE_HOST": "10.96.0.1",
            "KUBERNETES_SERVICE_PORT": "443",
        }
        self.archive({})

    def archive(self, objects: dict[str, int]) -> None:
        (self.root / "objects.json").write_text(json.dumps(objects))

    def __call__(self, **changes: str) -> subprocess.CompletedProcess[str]:
        command, environment = self._prepare(changes)
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)

    def start(self, **changes: str) -> subprocess.Popen[bytes]:
        """The script in a process group of its own, which may hang."""
        command, environment = self._prepare(changes)
        return subprocess.Popen(command, cwd=self.root, env=environment, start_new_session=True)

    def _prepare(self, changes: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        script = self.root / "freshness.sh"
        text = SCRIPT.replace("PATIENCE=40", f"PATIENCE={self.patience}").replace("AT_ONCE=4", f"AT_ONCE={self.at_once}")
        script.write_text(text.replace("/tmp/", f"{self.root}/").replace("/var/run/secrets/api", str(self.root)))
        (self.root / "token").write_text("token")
        return ["bash", str(script)], {**self.environment, **changes}

    def mark(self, server: str = SERVER) -> dict[str, Any]:
        written: dict[str, Any] = json.loads(
            (self.root / "bucket" / "acme-database" / "freshness" / f"{server}.json").read_text()
        )
        return written

    def recorded(self) -> dict[str, str]:
        sent = (self.root / "patched").read_text().splitlines()
        assert sent[-1] == "https://10.96.0.1:443/api/v1/namespaces/k8s-dr/configmaps/freshness"
        return dict(json.loads(sent[sent.index("--data") + 1])["data"])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def wal(*segments: str, suffix: str = ".zst") -> dict[str, int]:
    return {f"{ROOT}/wals/{segment[:16]}/{segment}{suffix}": 100 for segment in segments}


def base(name: str, **files: int) -> dict[str, int]:
    return {f"{ROOT}/base/{name}/{file.replace('__', '.')}": size for file, size in files.items()}


FIRST, LAST = "000000010000000000000003", "0000000100000000000000FF"


def test_a_mark_names_the_last_segment_and_the_last_two_base_backups_with_their_files(run: Run) -> None:
    run.archive(
        {
            **wal(FIRST, LAST),
            **base("20260301T000000", data__tar=1),
            **base("20260302T000000", data__tar__lz4=7, data_0001__tar__lz4=8, backup__info=9),
            **base("20260303T000000", data__tar__lz4=5),
        }
    )
    ran = run()
    assert ran.returncode == 0, ran.stderr
    mark = run.mark()
    assert abs(datetime.now(UTC) - datetime.fromisoformat(mark.pop("written"))) < timedelta(minutes=1)
    assert mark == {
        "segment": LAST,
        "archived": TIME,
        "recent": {FIRST: TIME, LAST: TIME},
        "bases": {
            "20260302T000000": {"data.tar.lz4": 7, "data_0001.tar.lz4": 8, "backup.info": 9},
            "20260303T000000": {"data.tar.lz4": 5},
        },
    }


def test_the_gate_reads_what_the_script_writes(run: Run) -> None:
    run.archive({**wal(FIRST), **base("20260302T000000", data__tar=7)})
    run()
    mark = mark_of(json.dumps(run.mark()))
    assert (mark.segment, mark.archived) == (FIRST, datetime.fromisoformat(TIME))
    assert mark.recent == {FIRST: datetime.fromisoformat(TIME)}
    assert mark.bases == {"20260302T000000": {"data.tar": 7}}


def test_an_archive_without_anything_has_a_mark_that_says_so(run: Run) -> None:
    assert run().returncode == 0
    mark = mark_of(json.dumps(run.mark()))
    assert (mark.segment, mark.archived, mark.bases) == (None, None, {})


@pytest.mark.parametrize(
    ("others", "segment"),
    [
        (wal("000000010000000100000000.partial", "000000010000000100000000.00000028.backup", suffix=""), LAST),
        (wal("000000020000000000000100", suffix=""), "000000020000000000000100"),
        (wal("000000020000000000000100.partial", suffix=".zst"), LAST),
        ({f"{ROOT}/wals/00000002.history": 9}, LAST),
    ],
)
def test_the_last_segment_is_no_partial_one_and_no_label_in_whatever_directory_it_is(
    run: Run, others: dict[str, int], segment: str
) -> None:
    run.archive({**wal(FIRST, LAST), **others})
    assert run().returncode == 0
    assert run.mark()["segment"] == segment


def test_a_mark_names_the_last_thirty_two_segments_from_whatever_directories(run: Run) -> None:
    old, new = (f"{directory:016X}" for directory in (0x100000000, 0x100000001))
    run.archive(wal(*(f"{old}{number:08X}" for number in range(0xE0, 0x100)), *(f"{new}{number:08X}" for number in range(3))))
    assert run().returncode == 0
    recent = list(run.mark()["recent"])
    assert (len(recent), recent[0], recent[-1]) == (32, f"{old}000000E3", f"{new}00000002")


@pytest.mark.parametrize("part", [f"{ROOT}/wals/", f"{ROOT}/wals/{LAST[:16]}", f"{ROOT}/base/"])
def test_an_archive_that_cannot_be_listed_gets_no_mark_and_keeps_no_other_from_its_own(run: Run, part: str) -> None:
    run.archive(wal(FIRST, LAST))
    (run.root / "forbidden").write_text(part)
    ran = run(SERVERS=f"{SERVER} orders-primary-g2")
    assert ran.returncode == 1
    assert f"freshness: s3://acme-database/freshness/{SERVER}.json could not be written" in ran.stderr
    assert not (run.root / "bucket" / "acme-database" / "freshness" / f"{SERVER}.json").exists()
    assert run.mark("orders-primary-g2")["segment"] == ""


@pytest.mark.parametrize(("status", "answers"), [("200", True), ("404", True), ("499", True), ("503", False), ("000", False)])
def test_when_the_primary_was_asked_and_when_it_answered_is_recorded(run: Run, status: str, answers: bool) -> None:
    (run.root / "status").write_text(status)
    ran = run(PROBE="https://app.example.com/")
    assert ran.returncode == 0, ran.stderr
    record = run.recorded()
    assert set(record) == ({"asked", "answered"} if answers else {"asked"})
    for moment in record.values():
        assert abs(datetime.now(UTC) - datetime.fromisoformat(moment)) < timedelta(minutes=1)


def test_the_primary_is_asked_though_no_archive_can_be_read_and_a_record_that_is_refused_is_told(run: Run) -> None:
    (run.root / "status").write_text("200")
    (run.root / "forbidden").write_text("cnpg")
    assert run(PROBE="https://app.example.com/").returncode == 1
    assert run.recorded()
    (run.root / "refused").touch()
    (run.root / "forbidden").unlink()
    ran = run(PROBE="https://app.example.com/")
    assert ran.returncode == 1
    assert "freshness: the record freshness could not be written" in ran.stderr


def test_the_primarys_answer_is_noted_though_the_bucket_hangs(run: Run) -> None:
    """The Job has a deadline. What it waits for in the bucket must not keep it from noting that the primary lives."""
    (run.root / "status").write_text("200")
    (run.root / "bin" / "aws").write_text("#!/bin/sh\nexec sleep 600\n")
    run.patience = 20
    job = run.start(PROBE="https://app.example.com/")
    try:
        until("the record", (run.root / "patched").exists, timeout=30)
        assert job.poll() is None, "it still waits for the bucket"
        assert set(run.recorded()) == {"asked", "answered"}
    finally:
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()


def hang(run: Run) -> None:
    """The archives of servers named hanging-… answer nothing."""
    (run.root / "bin" / "aws").rename(run.root / "aws.py")
    (run.root / "bin" / "aws").write_text(
        f'#!/bin/bash\n[[ "$*" != *hanging-* ]] || exec sleep 600\nexec {sys.executable} {run.root}/aws.py "$@"\n'
    )
    (run.root / "bin" / "aws").chmod(0o755)


def test_servers_that_hang_keep_no_other_from_its_mark(run: Run) -> None:
    hang(run)
    run.patience = 20
    others = [f"server-{number}" for number in range(6)]
    marks = [run.root / "bucket" / "acme-database" / "freshness" / f"{server}.json" for server in others]
    job = run.start(SERVERS=" ".join(["hanging-1", "hanging-2", "hanging-3", *others]))
    try:
        until("a mark of each of the others", lambda: all(mark.exists() for mark in marks), timeout=run.patience)
        assert job.poll() is None, "it still waits for those that hang"
    finally:
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()


def test_a_server_that_hangs_is_given_up_before_the_deadline_of_the_job(run: Run) -> None:
    hang(run)
    run.patience = 1
    began = time.monotonic()
    ran = run(SERVERS="hanging-1")
    assert time.monotonic() - began < 20
    assert ran.returncode == 1
    assert "freshness: s3://acme-database/freshness/hanging-1.json could not be written" in ran.stderr


def test_no_more_than_four_servers_are_marked_at_once(run: Run) -> None:
    """Each call of the AWS CLI takes its memory and its processor."""
    (run.root / "bin" / "aws").write_text(
        '#!/bin/bash\n: >"running.$$"\nsleep 0.3\nset -- running.*\necho $# >>seen\nrm "running.$$"\necho None\n'
    )
    assert run(SERVERS=" ".join(f"server-{number}" for number in range(9))).returncode == 0
    seen = [int(line) for line in (run.root / "seen").read_text().split()]
    assert len(seen) == 9 * 3
    assert 1 < max(seen) <= 4


# Tells of the time what ./seconds holds.
DATE = f"""\
#!/bin/bash
[[ $* != +%s ]] || exec cat seconds
exec {shutil.which("date")} "$@"
"""


def test_where_a_run_has_no_time_for_all_the_next_ones_begin_with_others_until_each_has_a_mark(run: Run) -> None:
    servers, run.at_once = [f"server-{number}" for number in range(9)], 1
    (run.root / "bin" / "aws").write_text('#!/bin/bash\n[[ $2 != put-object ]] || echo "$*" >>written\necho None\n')
    (run.root / "bin" / "date").write_text(DATE)
    (run.root / "bin" / "date").chmod(0o755)
    in_time: list[set[str]] = []
    for number in range(5):
        # A Pod starts a few seconds after its minute.
        (run.root / "seconds").write_text(str(1_772_366_400 + number * EVERY + 7 * number))
        ran = run(SERVERS=" ".join(servers))
        assert ran.returncode == 0, ran.stderr
        written = re.findall(r"--key freshness/(server-\d)", (run.root / "written").read_text())
        assert sorted(written) == servers, "with enough time it marks them all"
        in_time.append(set(written[:3]))
        (run.root / "written").unlink()
    assert set().union(*in_time) == set(servers)
    assert len(set(map(frozenset, in_time))) == 5, "no run only does what another did"


def test_a_region_without_a_probe_asks_nobody(run: Run) -> None:
    assert run().returncode == 0
    assert not (run.root / "patched").exists()


def arguments(role: Role = "secondary", **more: Any) -> FreshnessArgs:
    probe = "https://app.example.com/" if role == "secondary" else None
    fixed = {"servers": [f"app-database-{role}-g1", f"orders-{role}-g2"], "probe": probe, "image": "aws-cli:2"}
    return FreshnessArgs(names=Names(topology=TOPOLOGY, role=role), **{**fixed, **more})


def container(args: FreshnessArgs) -> dict[str, Any]:
    (only,) = cron_job(args)["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return dict(only)


def environment(args: FreshnessArgs) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(args)["env"]}


@pytest.mark.parametrize("role", ROLES)
def test_each_region_marks_its_own_archives_in_its_own_bucket_and_names_its_own_region(role: Role) -> None:
    told = environment(arguments(role))
    region = {"primary": "us-east-1", "secondary": "us-west-2"}[role]
    assert told["SERVERS"] == f"app-database-{role}-g1 orders-{role}-g2"
    assert told["BUCKET"] == f"acme-database-{region}-123456789012"
    assert told["AWS_REGION"] == told["AWS_DEFAULT_REGION"] == region
    assert "AWS_ACCESS_KEY_ID" not in told


def test_the_script_is_told_all_that_its_tests_tell_it(run: Run) -> None:
    assert run.environment.keys() - environment(arguments()).keys() == {
        "PATH",
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
    }


def component(args: FreshnessArgs) -> Recorder:
    return registered(lambda: Freshness("freshness", args))


def test_in_the_cluster_it_may_change_one_record_and_in_the_primary_it_has_no_token_at_all() -> None:
    secondary, primary = component(arguments()), component(arguments("primary"))
    assert secondary["freshness-role"].inputs["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["freshness"], "verbs": ["get", "patch"]}
    ]
    assert not primary.of("Role")
    for recorder, token in ((secondary, True), (primary, False)):
        pod = recorder["freshness-job"].spec["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert [volume["name"] for volume in pod["volumes"] if "projected" in volume] == (["api"] if token else [])


def test_what_the_job_writes_into_its_record_is_no_drift() -> None:
    assert "data" not in component(arguments())["freshness-record"].inputs


def test_a_static_key_is_a_secret_and_a_role_is_an_annotation() -> None:
    key = AccessKey(access_key_id=SecretStr("AKIA"), secret_access_key=SecretStr("hush"))
    recorder = component(arguments(access=Access(key=key)))
    (secret,) = recorder.of("Secret")
    assert is_secret(secret.inputs["stringData"])
    assert revealed(secret.inputs["stringData"]) == {"accessKeyId": "AKIA", "secretAccessKey": "hush"}
    assert environment(arguments(access=Access(key=key)))["AWS_ACCESS_KEY_ID"]["secretKeyRef"]["name"] == "freshness-credentials"
    arn = "arn:aws:iam::123456789012:role/mark"
    annotations = component(arguments(access=Access(role_arn=arn)))["freshness-account"].metadata["annotations"]
    assert annotations == {"eks.amazonaws.com/role-arn": arn}


@pytest.mark.parametrize(
    ("servers", "limits"),
    [
        (0, {"cpu": "500m", "memory": "512Mi"}),
        (1, {"cpu": "500m", "memory": "512Mi"}),
        (2, {"cpu": "1", "memory": "512Mi"}),
        (3, {"cpu": "1500m", "memory": "768Mi"}),
        (4, {"cpu": "2", "memory": "1Gi"}),
        (20, {"cpu": "2", "memory": "1Gi"}),
    ],
)
def test_the_job_may_use_more_where_it_marks_several_databases_at_once(servers: int, limits: dict[str, str]) -> None:
    args = arguments(servers=[f"server-{number}" for number in range(servers)])
    assert container(args)["resources"]["limits"] == limits
    assert f"AT_ONCE={AT_ONCE} " in SCRIPT


def test_a_run_ends_before_the_next_begins() -> None:
    spec = cron_job(arguments())
    assert spec["schedule"] == f"*/{EVERY // 60} * * * *"
    assert f"EVERY={EVERY} TURN={TURN}\n" in SCRIPT
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 120
    assert spec["concurrencyPolicy"] == "Forbid"
    patience = re.search(r"PATIENCE=(\d+)", SCRIPT)
    assert patience is not None
    assert 2 * int(patience[1]) < spec["jobTemplate"]["spec"]["activeDeadlineSeconds"], "those that waited for what hangs"


@pytest.mark.parametrize("active", ROLES)
def test_a_region_has_it_whoever_serves_if_it_has_databases(active: Role) -> None:
    for stack in ROLES:
        changes = {"active": active, "peerReady": True}
        assert "freshness-job" in run_program(stack, changes).names()
        alone = run_program(stack, {**changes, "databases": [], "databasePasswords": {}}).names()
        assert not [name for name in alone if name.startswith("freshness")]


def test_a_failover_does_not_wait_for_it() -> None:
    takeover = run_program("secondary", {"active": "secondary", "peerReady": True})
    (failover,) = takeover.of("Failover")
    assert not [name for name in failover.depends_on if name.startswith("freshness")]
