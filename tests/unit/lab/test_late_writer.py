"""What is counted of the rows that an old primary takes when its region comes back."""

from __future__ import annotations

from datetime import UTC, datetime

import yaml

from lab import late_writer
from lab.late_writer import Attempt, attempts, split_brain

ON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
LOG = f"""\
psql: warning
refused {ON.timestamp() + 2}
taken {ON.timestamp() + 5}
taken {ON.timestamp() + 6.5}
refused {ON.timestamp() + 7}
tak"""


def test_rows_that_were_taken_and_the_time_between_first_and_last_are_the_split_brain() -> None:
    found = split_brain(attempts(lambda *_, **__: LOG), ON)
    assert (found.rows, found.seconds, found.first_after) == (2, 1.5, 5.0)


def test_where_nothing_was_taken_there_was_none() -> None:
    made = [Attempt(time=ON, taken=False)]
    assert (split_brain(made, ON).rows, split_brain(made, ON).seconds, split_brain(made, ON).first_after) == (0, 0.0, None)


def test_the_writer_is_in_no_backup_and_begins_when_its_containers_are_made_a_second_time() -> None:
    deployment = yaml.safe_load(late_writer.manifest("docker.io/local/postgresql:15.18"))
    for labels in (deployment["metadata"]["labels"], deployment["spec"]["template"]["metadata"]["labels"]):
        assert labels["velero.io/exclude-from-backup"] == "true"
    pod = deployment["spec"]["template"]["spec"]
    assert pod["volumes"] == [{"name": "state", "emptyDir": {}}], "it outlives a container, and no Pod"
    assert pod["containers"][0]["command"][2].index("exec sleep infinity") < pod["containers"][0]["command"][2].index("while")
