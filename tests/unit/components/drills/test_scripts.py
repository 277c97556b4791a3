"""The two scripts of a drill's Pod: what they fetch and upload, by an AWS CLI that a test makes up, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.drills.pods import FETCH, UPLOAD
from components.drills.records import record_of
from components.kube.runner.drill_end import ALIVE
from components.kube.runner.drill_fetch import Fetched, Plan
from components.kube.runner.drill_record import Drill, run_drill, without_verdict
from components.kube.runner.failure import StepFailedError
from lab.waiting import until

# Answers from ./bucket, as the AWS CLI prints text. A key that begins with `secret` may not be read.
AWS = f"""\
#!{sys.executable}
import pathlib, shutil, sys
words = sys.argv[1:]
option = lambda name: words[words.index(name) + 1] if name in words else ""
root = pathlib.Path("bucket") / option("--bucket")
if (option("--key") or option("--prefix")).startswith("secret"):
    sys.exit("An error occurred (AccessDenied) when calling the operation")
if words[1] == "put-object":
    busy = pathlib.Path("busy")
    if busy.exists():
        busy.unlink()
        sys.exit("An error occurred (ConditionalRequestConflict) when calling the PutObject operation")
    target = root / option("--key")
    if target.exists() and option("--if-none-match") == "*":
        sys.exit("An error occurred (PreconditionFailed) when calling the PutObject operation")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(option("--body"), target)
elif words[1] == "get-object":
    if not (root / option("--key")).exists():
        sys.exit("An error occurred (NoSuchKey)")
    shutil.copy(root / option("--key"), words[-1])
    pathlib.Path("came-" + pathlib.Path(option("--key")).name).touch()
else:
    files = {{str(file.relative_to(root)): file for file in root.rglob("*") if file.is_file()}}
    found = sorted(key for key in files if key.startswith(option("--prefix")))
    if option("--delimiter"):
        prefix = option("--prefix")
        found = sorted({{prefix + key.removeprefix(prefix).split("/")[0] + "/" for key in found}})
        print("\\n".join(found) or "None")
    else:
        lines = [f"{{key}}\\t{{files[key].stat().st_size}}\\t2026-03-02T05:30:00+00:00" for key in found]
        print("\\n".join(lines) or "None")
"""
RUN = {"POD_UID": "0a1b2c3d-1111-4222-8333-444455556666", "JOB_NAME": "drill-integrity-29543130", "CRONJOB": "drill-integrity"}
TASK = {
    "kind": "integrity",
    "region": "us-east-1",
    "role": "primary",
    "prefix": "drills/primary",
    "targets": {"rpo": 300, "rto": 1800},
    "versions": {"program": "x"},
}
KEY = "drills/primary/integrity/20260302T053000Z-0a1b2c3d.json"
STARTED = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)


class Pod:
    """The directory that a drill's containers share, with a bucket beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "bin").mkdir()
        (root / "bin" / "aws").write_text(AWS)
        (root / "bin" / "aws").chmod(0o755)
        (root / "last-message").touch()

    def put(self, key: str, content: str = "x") -> None:
        path = self.root / "bucket" / "b" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/bash", "-c", script],
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def environment(self, **changes: str) -> dict[str, str]:
        fixed = {"PATH": f"{self.root / 'bin'}:{os.environ['PATH']}", "WORK": str(self.root), "BUCKET": "b", "WAIT": "0"}
        told = {
            "PLACE": "drills/primary/integrity",
            "SILENCE": "90",
            "TEMPLATE": without_verdict("integrity", TASK),
            "ROOM": "9999",
        }
        return {**fixed, **told, **RUN, "LAST_MESSAGE": str(self.root / "last-message"), **changes}

    @property
    def record(self) -> dict[str, Any]:
        """The only one that is in the bucket."""
        (path,) = (self.root / "bucket" / "b" / "drills" / "primary" / "integrity").iterdir()
        found: dict[str, Any] = json.loads(path.read_text())
        stamp = found["started"].replace("-", "").replace(":", "")
        assert path.name == f"{stamp}-{found['run']}.json"
        assert record_of(str(path), path.read_bytes()).passed is found["passed"]
        return found

    def fetch(self, plan: Plan, room: int = 100_000) -> Fetched:
        plan.write(self.root / "plan")
        ran = self.run(FETCH, PLAN="plan", ROOM=str(room))
        assert (ran.returncode, ran.stderr) == (0, "")
        return Fetched(directory=self.root)

    def upload(self) -> subprocess.CompletedProcess[str]:
        return self.run(UPLOAD)

    def drill(self, *reasons: str, skipped: str | None = None) -> None:
        def work(drill: Drill) -> None:
            for reason in reasons:
                drill.fail(reason)
            if skipped:
                drill.skip(skipped)
            drill.count("backups", 2)

        run_drill(TASK, work, directory=self.root, environment=RUN, now=lambda: STARTED)

    @property
    def last_message(self) -> str:
        return (self.root / "last-message").read_text()


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


def test_what_a_plan_names_is_fetched_and_read_again(pod: Pod) -> None:
    pod.put("velero/primary/backups/a/a.tar.gz", "content of it")
    pod.put("velero/primary/kopia/shop/q1")
    plan = Plan()
    plan.listing("b", "velero/primary/backups/")
    plan.listing("b", "velero/none/")
    plan.directories("b", "velero/primary/kopia/")
    plan.get("b", "velero/primary/backups/a/a.tar.gz", 100)
    plan.link("b", "velero/primary/backups/a/a.tar.gz", "etcd.db")
    found = pod.fetch(plan)
    assert [(each.key, each.size) for each in found.objects("b", "velero/primary/backups/")] == [
        ("velero/primary/backups/a/a.tar.gz", 13)
    ]
    assert list(found.objects("b", "velero/none/")) == []
    assert found.directories("b", "velero/primary/kopia/") == ["velero/primary/kopia/shop/"]
    assert found.file("b", "velero/primary/backups/a/a.tar.gz").read_text() == "content of it"
    assert (pod.root / "etcd.db").read_text() == "content of it"


def test_what_did_not_come_says_why_and_keeps_nothing_else_from_coming(pod: Pod) -> None:
    pod.put("there")
    plan = Plan()
    plan.get("b", "secret/key", 100)
    plan.listing("b", "secret/")
    plan.get("b", "none", 100)
    plan.get("b", "there", 100)
    found = pod.fetch(plan)
    with pytest.raises(StepFailedError, match=r"s3://b/secret/key cannot be read: .*AccessDenied"):
        found.file("b", "secret/key")
    with pytest.raises(StepFailedError, match=r"s3://b/secret/ cannot be listed: .*AccessDenied"):
        list(found.objects("b", "secret/"))
    with pytest.raises(StepFailedError, match="NoSuchKey"):
        found.file("b", "none")
    with pytest.raises(StepFailedError, match="it was not fetched"):
        found.file("b", "not in the plan")
    assert found.file("b", "there").read_text() == "x"


def test_what_is_larger_than_it_was_listed_is_not_fetched_and_takes_no_room(pod: Pod) -> None:
    pod.put("grown", "x" * 5_000_000)
    pod.put("as listed", "x" * 2048)
    plan = Plan()
    plan.get("b", "grown", 2048)
    plan.get("b", "as listed", 2048)
    found = pod.fetch(plan, room=3000)
    with pytest.raises(StepFailedError, match="it has more than the 2048 bytes that are read of it"):
        found.file("b", "grown")
    assert found.file("b", "as listed").stat().st_size == 2048
    assert [path.name for path in pod.root.glob("came-*")] == ["came-as listed"], "the other one has not filled the disk"
    assert not (pod.root / "part").exists()


def test_all_that_is_fetched_together_has_no_more_than_the_room(pod: Pod) -> None:
    plan = Plan()
    for number in range(3):
        pod.put(f"a/{number}", "x" * 2000)
        plan.get("b", f"a/{number}", 2000)
    for number in range(100):
        pod.put(f"many/{number}")
    plan.listing("b", "many/")
    found = pod.fetch(plan, room=5000)
    assert [found.has("b", f"a/{number}") for number in range(3)] == [True, True, False]
    with pytest.raises(StepFailedError, match="it has more than the 1000 bytes that are read of it"):
        list(found.objects("b", "many/"))


@pytest.mark.parametrize(
    ("reasons", "skipped", "status", "says"),
    [
        ((), None, 0, f"passed: 2 backups; the record: s3://b/{KEY}"),
        ((), "this region serves", 0, f"skipped: this region serves; the record: s3://b/{KEY}"),
        (("a is stale", "b is corrupt"), None, 1, f"a is stale | b is corrupt; the record: s3://b/{KEY}"),
        (("a 'quoted' $(reason) \\n",), "and skipped", 1, f"a 'quoted' $(reason) \\n; the record: s3://b/{KEY}"),
    ],
)
def test_the_status_the_reason_and_the_record_say_the_same(
    pod: Pod, reasons: tuple[str, ...], skipped: str | None, status: int, says: str
) -> None:
    pod.drill(*reasons, skipped=skipped)
    ran = pod.upload()
    assert (ran.returncode, ran.stdout.strip(), pod.last_message) == (status, says, says)
    record = json.loads((pod.root / "bucket" / "b" / KEY).read_text())
    assert record["reasons"] == [" ".join(each.split()) for each in reasons]
    assert record["passed"] is (False if reasons else None if skipped else True)
    assert record["by"] == "CronJob/drill-integrity"
    assert record["rpo"] == {"target": 300, "measured": None}


def test_a_record_is_never_written_anew(pod: Pod) -> None:
    pod.put(KEY, "the first")
    pod.drill()
    assert pod.upload().returncode == 0
    assert (pod.root / "bucket" / "b" / KEY).read_text() == "the first"


def test_a_write_that_s3_has_not_finished_with_is_tried_again(pod: Pod) -> None:
    """A first try that timed out may still be at work when its retry comes: 409, and the AWS CLI gives up."""
    (pod.root / "busy").touch()
    pod.drill()
    assert pod.upload().returncode == 0
    assert (pod.root / "bucket" / "b" / KEY).exists()


def test_a_record_that_cannot_be_written_fails_a_drill_that_passed(pod: Pod) -> None:
    run_drill({**TASK, "prefix": "secret"}, lambda _: None, directory=pod.root, environment=RUN, now=lambda: STARTED)
    ran = pod.upload()
    assert ran.returncode == 1
    assert pod.last_message.startswith("passed: nothing was found wrong; and its record could not be written to s3://b/secret/")
    assert "AccessDenied" in pod.last_message


def test_without_a_verdict_the_pod_fails_and_leaves_a_record_of_that(pod: Pod) -> None:
    assert pod.upload().returncode == 1
    why = "the step that judges has come to no verdict within 0 s"
    assert pod.last_message.startswith(f"{why}; the record: s3://b/drills/primary/integrity/")
    pod.drill()
    whole = json.loads((pod.root / "record.json").read_text())
    assert pod.record.keys() == whole.keys()
    assert {**pod.record, "started": 0, "ended": 0} == {
        **whole,
        "passed": False,
        "reasons": [why],
        "counts": {},
        "started": 0,
        "ended": 0,
    }


@pytest.mark.parametrize(
    ("job", "by"),
    [
        ("drill-integrity-29543130", "CronJob/drill-integrity"),
        ("drill-integrity-1780000000", "Job/drill-integrity-1780000000, made by a person"),
        ("by-hand", "Job/by-hand, made by a person"),
    ],
)
def test_a_job_that_a_person_named_by_the_time_is_that_persons(pod: Pod, job: str, by: str) -> None:
    run_drill(TASK, lambda _: None, directory=pod.root, environment={**RUN, "JOB_NAME": job}, now=lambda: STARTED)
    assert json.loads((pod.root / "record.json").read_text())["by"] == by
    (pod.root / "verdict").unlink()
    pod.run(UPLOAD, JOB_NAME=job)
    assert pod.record["by"] == by


@pytest.mark.parametrize("job", ["drill-integrity-1780000000", "by-hand"])
def test_a_judge_that_was_killed_is_seen_by_its_silence(pod: Pod, job: str) -> None:
    (pod.root / "alive").touch()
    os.utime(pod.root / "alive", (0, 0))
    assert pod.run(UPLOAD, WAIT="3600", JOB_NAME=job).returncode == 1
    assert "the step that judges was killed" in pod.last_message
    assert (pod.record["passed"], pod.record["by"]) == (False, f"Job/{job}, made by a person")


def nap_of(script: subprocess.Popen[bytes]) -> str:
    """The process of the `sleep` in which the script waits for a verdict: it has its trap by then."""

    def nap() -> str:
        return subprocess.run(["pgrep", "-P", str(script.pid), "-x", "sleep"], capture_output=True, text=True, check=False).stdout

    return until("the script to wait for a verdict", nap, timeout=30, interval=0.05)


def test_a_pod_that_is_told_to_end_waits_for_the_judge_that_cleans_up(pod: Pod) -> None:
    (pod.root / "alive").touch()
    ran = subprocess.Popen(["/bin/bash", "-c", UPLOAD], env=pod.environment(WAIT="3600"), stdout=subprocess.PIPE)
    waits = nap_of(ran)
    ran.send_signal(signal.SIGTERM)
    # It has heard the signal once its nap of then is over, and takes another.
    until("the script to wait on", lambda: nap_of(ran) != waits, timeout=30, interval=0.05)
    assert ran.poll() is None
    pod.drill("it was told to end")
    ran.communicate(timeout=30)
    assert (ran.returncode, pod.record["reasons"]) == (1, ["it was told to end"])


def test_a_pod_that_is_told_to_end_before_the_judge_began_leaves_a_record(pod: Pod) -> None:
    ran = subprocess.Popen(["/bin/bash", "-c", UPLOAD], env=pod.environment(WAIT="3600"), stdout=subprocess.PIPE)
    nap_of(ran)
    ran.send_signal(signal.SIGTERM)
    ran.communicate(timeout=30)
    assert ran.returncode == 1
    assert pod.record["reasons"] == ["the Pod was told to end before the step that judges began"]


def test_a_judge_shows_that_it_lives_as_long_as_it_works(pod: Pod) -> None:
    seen: list[bool] = []
    run_drill(
        TASK,
        lambda _: seen.append(until("the beat", (pod.root / ALIVE).exists, timeout=10, interval=0.01)),
        directory=pod.root,
        environment=RUN,
        now=lambda: STARTED,
    )
    assert seen == [True]
    assert not [each for each in threading.enumerate() if each.name.endswith("(beat)")]


def test_a_drill_that_breaks_leaves_a_record_of_that(pod: Pod) -> None:
    def work(_: Drill) -> None:
        raise RuntimeError("no such thing")

    run_drill(TASK, work, directory=pod.root, environment={**RUN, "JOB_NAME": "by-hand"}, now=lambda: STARTED)
    assert pod.upload().returncode == 1
    record = json.loads((pod.root / "record.json").read_text())
    assert record["reasons"] == ["the drill itself failed: RuntimeError: no such thing"]
    assert record["by"] == "Job/by-hand, made by a person"


def test_a_thousand_reasons_are_cut_and_counted(pod: Pod) -> None:
    pod.drill(*(f"reason {number} {'x' * 80}" for number in range(1000)))
    assert len(json.loads((pod.root / "record.json").read_text())["reasons"]) == 51
    assert pod.upload().returncode == 1
    assert len(pod.last_message.encode()) < 4096
