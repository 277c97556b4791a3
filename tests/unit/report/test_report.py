"""The recovery report: its names are a contract, its verdict is rule 1, and the terminal shows all of it in 100 columns."""

from __future__ import annotations

import dataclasses
import json

import pytest
from pydantic import ValidationError

from lab.ledger import CountingProof
from report import model, terminal, wording
from report.machine import machine_facts
from report.measures import Entry, Files, SplitBrain
from report.model import Flip, Spared, verdict
from report.moments import Event
from tests.unit.report.reports import LEDGER, REHEARSAL, REPORT, WITH_DATABASE, at, command, flipped, step


def test_a_report_that_is_written_reads_back_the_same(tmp_path):
    for report in (REPORT, REHEARSAL, WITH_DATABASE, dataclasses.replace(REPORT, seconds_without_service=None, served_by=None)):
        model.write(report, tmp_path / "lab" / "report.json")
        assert model.read(tmp_path / "lab" / "report.json") == report


def test_what_the_old_primary_took_after_its_return_is_told_and_kept(tmp_path):
    report = dataclasses.replace(WITH_DATABASE, split_brain=SplitBrain(seconds=3.25, rows=17, first_after=8.5))
    model.write(report, tmp_path / "report.json")
    assert model.read(tmp_path / "report.json") == report
    assert "17 in 3.2 s" in terminal.render(report)
    assert "took apart" not in terminal.render(WITH_DATABASE), "nobody saw the region come back"


def test_the_fields_that_others_read_have_exactly_these_names(tmp_path):
    model.write(REPORT, tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert {*written} == {
        "kind",
        "generated",
        "seconds_without_service",
        "served_by",
        "calls_to_dead_region",
        "steps",
        "flip",
        *("commands", "events", "client_requests", "witnesses", "machine", "engine", "setup_seconds", "dns_ttl", "not_proven"),
        *("served_before", "spared", "files", "split_brain", "legs"),
        *("replication", "source", "targets", "client_writes", "client_reads", "counting_proven"),
        *(field.name for field in dataclasses.fields(LEDGER)),
    }
    assert written["kind"] == "lab"
    assert written["steps"][0] == {
        "name": "preflight",
        "start": "2026-11-24T12:00:06.000Z",
        "end": "2026-11-24T12:00:07.000Z",
        "seconds": 1,
    }
    assert (written["seconds_without_service"], written["served_by"], written["calls_to_dead_region"]) == (41.25, "secondary", 0)
    assert written["flip"]["types"] == ["aws:s3/bucketObjectv2:BucketObjectv2", "dr:failover:Failover", "kubernetes:batch/v1:Job"]
    assert written["flip"]["resources"][0] == {
        "type": "kubernetes:batch/v1:Job",
        "name": "scale-production",
        "operation": "create",
    }
    assert sorted(written["machine"]) == ["cgroup", "cores", "cpu", "kernel", "memory_gib", "system"]
    assert written["engine"] == {"cli": "real 3.260.0", "language_host": "stand-in", "kubernetes": "stand-in", "aws": "stand-in"}
    assert written["commands"][1] == {
        "command": "pulumi config set active secondary -s secondary",
        "start": "2026-11-24T12:00:02.000Z",
        "seconds": 1,
        "exit_code": 0,
    }
    assert written["events"][0] == {"time": "2026-11-24T12:00:00.000Z", "name": "region primary killed"}
    assert written["witnesses"] == {
        "wan_packets_from_engine": 0,
        "wan_packets_from_live_region": 12,
        "aws_requests": {"us-west-2": 41},
        "api_server_changes": {"create jobs.batch": 2},
    }


def test_what_is_said_of_the_database_has_these_names_too(tmp_path):
    model.write(WITH_DATABASE, tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert (written["rows_acknowledged"], written["rows_lost"], written["rows_unacknowledged_present"]) == (312, 13, 1)
    assert (written["rpo_seconds"], written["rto_seconds"]) == (2.5, 18.25)
    assert (written["seconds_without_writes"], written["seconds_without_reads"]) == (18.375, 9.5)
    assert written["targets"] == {"tier": "warm-standby", "rpo_seconds": 300, "rto_seconds": 900}
    assert written["newest_lost"] == {"sequence": 200, "time": "2026-11-24T11:59:59.900Z", "age_seconds": 0.1}
    assert written["newest_surviving"]["sequence"] == 187
    assert written["counting_proven"] == {"phantom_rows_seen": 1, "removed_rows_seen": 1}
    assert (written["replication"], written["source"]) == ("archive", "replica-bucket")


def test_without_a_database_nothing_is_said_of_one(tmp_path):
    model.write(REPORT, tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert {written[name] for name in ("rows_acknowledged", "rows_lost", "rpo_seconds", "rto_seconds", "targets")} == {None}
    assert "RPO" not in terminal.render(REPORT)
    assert "RPO" not in " ".join(figure.name for figure in wording.recovery(REPORT))


def test_rows_lost_within_the_target_are_no_failure():
    assert verdict(WITH_DATABASE) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rpo_seconds": 300.1}, "RPO missed: 300.1 s measured, and tier warm-standby promises 300 s."),
        ({"rto_seconds": 901.0}, "RTO missed: 901 s measured, and tier warm-standby promises 900 s."),
        ({"rto_seconds": None}, "The database did not come back: secondary never served the client's reads and writes both."),
        ({"rows_lost_by_survivor": 2}, "2 rows that secondary itself acknowledged are missing from its database."),
        (
            {"counting_proven": CountingProof(phantom_rows_seen=1, removed_rows_seen=0)},
            "The counting is not to be trusted: of one row slipped into the table it saw 1, and of one taken out 0.",
        ),
    ],
)
def test_a_promise_that_is_not_kept_fails_the_failover_and_is_said(change, sentence):
    report = dataclasses.replace(WITH_DATABASE, **change)
    assert verdict(report) == [sentence]
    assert sentence[:40] in terminal.render(report)


@pytest.mark.parametrize("change", [{"rpo_seconds": 300.0}, {"rto_seconds": 900.0}, {"targets": None, "rpo_seconds": 5000.0}])
def test_a_target_that_is_just_met_or_not_set_is_not_missed(change):
    report = dataclasses.replace(WITH_DATABASE, **change)
    assert verdict(report) == []
    assert not any(figure.bad for figure in wording.recovery(report))


def test_the_terminal_puts_what_was_measured_beside_its_target():
    lines = terminal.render(WITH_DATABASE).splitlines()
    (rpo,) = [line for line in lines if "RPO, measured" in line]
    (rto,) = [line for line in lines if "RTO, measured" in line]
    assert "2.5 s" in rpo
    assert "target 5 min 00 s" in rpo
    assert "18.2 s" in rto
    assert "target 15 min 00 s" in rto
    text = "\n".join(lines)
    for said in (
        "41.2 s without service, the last 2.5 s of writes lost",
        "none older than 2.5 s at the death; 200 came before it",
        "without reads: 9.5 s",
        "no. 200, 0.1 s before the death",
        "archive, replica-bucket",
        "1 phantom and 1 removed seen",
    ):
        assert said in text
    missed = terminal.render(dataclasses.replace(WITH_DATABASE, rpo_seconds=301.0))
    assert "target 5 min 00 s of tier warm-standby, missed" in missed


def test_a_file_that_is_no_report_is_refused(tmp_path):
    (tmp_path / "report.json").write_text('{"kind": "lab"}')
    with pytest.raises(ValidationError, match="steps"):
        model.read(tmp_path / "report.json")


def test_a_failover_that_keeps_the_rules_has_no_reason_to_fail():
    assert verdict(REPORT) == []
    assert verdict(REHEARSAL) == []


def test_one_call_to_the_dead_region_fails_the_failover():
    assert [reason.split(";")[0] for reason in verdict(dataclasses.replace(REPORT, calls_to_dead_region=1))] == [
        "The dead region was called 1 times"
    ]


@pytest.mark.parametrize(
    "token",
    [
        "aws:route53/record:Record",
        "aws:s3/bucket:Bucket",
        "aws:s3/bucketObject:BucketObject",
        "aws:iam/role:Role",
        "pulumi:providers:kubernetes",
        "pulumi:pulumi:StackReference",
        "kubernetesx:a:B",
    ],
)
def test_a_flip_outside_the_live_cluster_and_one_s3_object_fails_the_failover(token):
    (reason,) = verdict(flipped("kubernetes:batch/v1:Job", token))
    assert token in reason
    assert "batch" not in reason


def test_a_type_that_stands_only_among_the_resources_is_not_overlooked():
    flip = dataclasses.replace(flipped("aws:iam/role:Role").flip, types=("kubernetes:batch/v1:Job",))
    assert "aws:iam/role:Role" in verdict(dataclasses.replace(REPORT, flip=flip))[0]


def test_a_flip_that_touched_nothing_proves_nothing():
    assert "touched nothing" in verdict(flipped())[0]


def test_users_served_by_another_region_fail_the_failover():
    assert verdict(dataclasses.replace(REPORT, served_by="primary")) == ["Users are served by primary, not by secondary."]
    assert verdict(dataclasses.replace(REPORT, served_by="primary"), survivor="primary") == []


def test_service_that_never_came_back_fails_the_failover():
    reasons = verdict(dataclasses.replace(REPORT, seconds_without_service=None, served_by=None))
    assert reasons[0].startswith("Service never came back")
    assert "nobody" in reasons[1]


def test_no_line_on_the_terminal_is_wider_than_a_hundred_columns():
    long = dataclasses.replace(
        REPORT,
        kind="rehearsal",
        steps=(*REPORT.steps, step("restore " + "x" * 150, 3, 9)),
        commands=(command("pulumi " + "up " * 90, 1, 4000, exit_code=255),),
        events=tuple(Event(time=at(100000), name="something long " * 20) for _ in range(2)),
        machine=dataclasses.replace(REPORT.machine, cpu="A processor with a name " * 6),
        witnesses=dataclasses.replace(REPORT.witnesses, api_server_changes={"update " + "y" * 120: 1}),
        flip=Flip.of([{"type": "aws:" + "z" * 200, "name": "x", "operation": "update"}]),
    )
    for report in (REPORT, REHEARSAL, WITH_DATABASE, long):
        assert max(map(len, terminal.render(report).splitlines())) <= terminal.WIDTH
    assert "A processor with a name " * 6 in " ".join(terminal.render(long).split()), "what wraps is not cut"


def test_the_terminal_says_all_that_the_report_knows():
    text = terminal.render(REPORT)
    for said in (
        "41.2 s without service",
        "preflight",
        "scale production",
        "pulumi config set active secondary -s secondary",
        "region primary killed",
        "packets from the engine to the dead region",
        "AWS requests of the engine for us-west-2",
        "real 3.260.0",
        "AMD EPYC, 2 cores",
        "3 min 35 s",
        "DNS TTL 10 s",
        "Both regions share one machine",
    ):
        assert said in text
    assert "REHEARSAL" not in text
    assert "REHEARSAL" in terminal.render(REHEARSAL)
    assert "not counted" in terminal.render(REHEARSAL)


def test_bars_of_steps_lie_where_the_steps_lie_in_time():
    lines = [line for line in terminal.render(REPORT).splitlines() if "█" in line]
    bars = [(line.index("█"), line.count("█")) for line in lines]
    assert [start for start, _ in bars] == sorted(start for start, _ in bars)
    assert bars[2][1] == pytest.approx(2 * bars[1][1], abs=1), "eight seconds are drawn twice as long as four"
    assert bars[3][1] == 1, "a step without duration is still seen"


def test_the_terminal_gives_the_reasons_of_a_failure():
    text = terminal.render(dataclasses.replace(REPORT, calls_to_dead_region=3))
    assert "did not hold" in text
    assert "✗ The dead region was called 3 times" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (41.24, "41.2 s"),
        (59.96, "1 min 00 s"),
        (61, "1 min 01 s"),
        (1050, "17 min 30 s"),
        (3599.7, "1 h 00 min"),
        (7140, "1 h 59 min"),
    ],
)
def test_durations_read_as_people_say_them(seconds, text):
    assert wording.duration(seconds) == text


def test_facts_of_a_linux_machine_come_from_its_own_files(tmp_path):
    files = {
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC\n",
        "proc/meminfo": "MemTotal:       24671212 kB\n",
        "etc/os-release": 'NAME=x\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "sys/fs/cgroup/cgroup.controllers": "cpu memory",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    facts = machine_facts(tmp_path)
    assert (facts.cpu, facts.memory_gib, facts.cgroup) == ("AMD EPYC", 23.5, "v2")
    assert facts.system == "Debian GNU/Linux 12 (bookworm)"
    assert facts.cores >= 1


def test_controllers_of_the_first_version_are_told_from_none(tmp_path):
    assert machine_facts(tmp_path).cgroup == "none"
    (tmp_path / "sys/fs/cgroup/memory").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/unified").mkdir()
    assert machine_facts(tmp_path).cgroup == "v1"


def test_a_mac_without_proc_is_asked_by_sysctl(tmp_path, monkeypatch):
    said = {"machdep.cpu.brand_string": "Apple M4", "hw.memsize": str(16 * 2**30)}
    monkeypatch.setattr("report.machine._sysctl", said.get)
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.mac_ver", lambda: ("15.1", ("", "", ""), "arm64"))
    facts = machine_facts(tmp_path)
    assert (facts.cpu, facts.memory_gib, facts.system, facts.cgroup) == ("Apple M4", 16.0, "macOS 15.1", "none")


BOTH = dataclasses.replace(
    WITH_DATABASE,
    served_before=("primary", "secondary"),
    spared=Spared(seconds_without_service=0.0, seconds_without_reads=1.5, seconds_without_writes=22.0),
)


def test_where_both_regions_served_the_report_says_so_and_what_users_of_the_other_saw(tmp_path):
    model.write(BOTH, tmp_path / "report.json")
    assert model.read(tmp_path / "report.json") == BOTH
    assert "users, served by both regions before, are served by secondary" in wording.summary(BOTH)
    assert "both regions" not in wording.summary(WITH_DATABASE)
    (figure,) = [figure for figure in wording.recovery(BOTH) if "users of the other region" in figure.name]
    assert (figure.name, figure.value, figure.bad) == ("without writes, users of the other region", "22.0 s", False)
    assert figure.note == "without reads: 1.5 s; without any answer: 0.0 s"
    assert not [figure for figure in wording.recovery(WITH_DATABASE) if "other region" in figure.name]


def test_a_user_of_the_other_region_who_never_wrote_again_is_bad_news():
    never = dataclasses.replace(BOTH, spared=dataclasses.replace(BOTH.spared, seconds_without_writes=None))
    (figure,) = [figure for figure in wording.recovery(never) if "users of the other region" in figure.name]
    assert (figure.value, figure.bad) == ("never", True)


def test_files_are_counted_beside_rows() -> None:
    newest = Entry(sequence=61, time=at(-95), age_seconds=95)
    kept = Files(acknowledged_before_death=500, lost=439, lost_by_survivor=0, newest_surviving=newest, rpo_seconds=94.8)
    shown = terminal.render(dataclasses.replace(REPORT, files=kept))
    assert "files of the volume" in shown
    assert "439" in shown
    assert "no. 61, 1 min 35 s before the death" in shown
    assert "files of the volume" not in terminal.render(REPORT)
    broken = dataclasses.replace(REPORT, files=dataclasses.replace(kept, lost_by_survivor=2, newest_surviving=None))
    assert verdict(broken) == [
        "No file came back with its volume.",
        "2 files that secondary itself acknowledged are missing from its volume.",
    ]
