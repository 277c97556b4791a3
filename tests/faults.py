"""The faults that a pair must survive, the tests that inject each of them, and moments that a seed chooses.

docs/reliability.md has a row for each. A test that asks for pytest's `record_property` and gives it `seen(…)` says what it saw;
of every other one the page has its name, which is a sentence, and whether it held (tests/reliability.py).
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

SEED_VARIABLE, MOMENTS_VARIABLE = "FAULT_SEED", "FAULT_MOMENTS"
SEED = int(os.environ.get(SEED_VARIABLE) or 1)
"""`make test` has the same moments each time: a change is what makes a test fail, not the day. `make test-long` has the day's."""

MOMENTS = int(os.environ.get(MOMENTS_VARIABLE) or 2)
"""How many random moments a fault is injected at: as many as `make test` has time for."""

HALF = max(MOMENTS // 2, 1)
"""How many, of a fault whose test takes long or has another one with moments of its own."""

PROPERTY = "fault"
"""The name under which a test tells what it saw."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A moment of something that takes a while, chosen by a seed: after so much of it, from 0 to 1."""

    of: str
    seed: int
    number: int

    @property
    def share(self) -> float:
        return random.Random(f"{self.of} {self.seed} {self.number}").random()

    def of_steps(self, steps: int) -> int:
        """The step after which it is, from 1 to `steps`."""
        return 1 + int(self.share * steps)

    def __str__(self) -> str:
        return f"seed {self.seed}, moment {self.number}"


def moments(of: str, most: int | None = None) -> list[Moment]:
    """MOMENTS of them, or `most`."""
    return [Moment(of=of, seed=SEED, number=number) for number in range(1, min(MOMENTS, most or MOMENTS) + 1)]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one injection did. `again` is how often the same command was typed once more until all was done. None where there was
    nothing to count: recorded clusters hold no rows and serve no users."""

    when: str
    happened: str
    rows_lost: int | None = None
    files_lost: int | None = None
    seconds_down: float | None = None
    again: int | None = None


def seen(**what: Any) -> tuple[str, dict[str, Any]]:
    """The arguments of `record_property`."""
    return PROPERTY, asdict(Seen(**what))


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row: what goes wrong, what must come of it, and the tests that do it. A test is `file::function`, of a class
    `file::Class::function`."""

    words: str
    must: str
    tests: Sequence[str]


_GATE, _FLIP, _CLUSTER = (f"tests/engine/test_{name}.py::test_" for name in ("gate", "flip", "this_cluster"))
_DATABASES, _GLASS = (f"tests/engine/test_{name}.py::test_" for name in ("databases", "break_glass"))
_REJOIN = "tests/engine/test_rejoin.py::test_a_rejoin_"
_RECOVERED = "tests/engine/test_recovered_database.py::"
_ENGINE, _LONG = "tests/engine/test_faults.py::test_", "tests/long/test_faults.py::test_"
_FAILOVER, _DATA = "tests/lab/test_failover.py::test_", "tests/lab/test_data.py::TestByArchive::test_"
_LIFE = "tests/long/test_faults.py::TestARegionThatDiesAtARandomMoment::test_"
_INTERRUPTED, _PAIR = "tests/long/test_circle_interrupted.py::test_", "tests/long/test_pair.py::test_"

GOES_ON, REFUSED, THROUGH = "the same command goes on", "refused in words, and nothing is touched", "the failover goes through"

FAULTS: Sequence[Fault] = (
    Fault(
        words="region killed at random moments",
        must="no acknowledged row is lost that is older than the RPO, and none is written twice",
        tests=(
            f"{_LIFE}loses_no_more_than_its_mode_allows",
            f"{_DATA}the_secondary_writes_and_every_row_is_accounted_for",
            "tests/lab/test_volumes.py::test_what_was_acknowledged_before_the_backup_is_there_and_nothing_older_is_lost_than_it",
        ),
    ),
    Fault(
        words="the engine is killed in a flip",
        must=GOES_ON,
        tests=(
            f"{_ENGINE}a_flip_whose_engine_is_killed_goes_on_by_the_same_command",
            f"{_LONG}a_failover_whose_engine_is_killed_goes_on_between_two_real_regions",
            f"{_FAILOVER}an_up_that_is_killed_in_the_middle_is_run_again",
            f"{_FLIP}an_up_that_was_killed_before_it_could_note_the_record_goes_on",
            f"{_RECOVERED}TestAnUpThatIsKilledWhileTheDatabaseIsRecovered::test_goes_on_at_the_next_up_with_the_very_cluster_that_is_there",
        ),
    ),
    Fault(
        words="the engine is killed in a switchover",
        must=f"{GOES_ON}, and no row is lost",
        tests=(
            f"{_ENGINE}a_switchover_whose_engine_is_killed_goes_on_by_the_same_command",
            f"{_ENGINE}a_switchover_home_whose_engine_is_killed_goes_on_by_the_same_command",
            f"{_LIFE}comes_home_though_the_engine_is_killed_in_the_switchover",
            f"{_INTERRUPTED}an_up_that_is_killed_is_run_again_and_nothing_is_lost",
        ),
    ),
    Fault(
        words="the engine is killed in a rejoin",
        must=f"{GOES_ON}, and the old volumes are kept once",
        tests=(
            f"{_REJOIN}whose_engine_is_killed_at_each_of_its_boundaries_goes_on_by_the_same_command",
            f"{_REJOIN}whose_engine_is_killed_goes_on_by_the_same_command",
            f"{_INTERRUPTED}a_rejoin_that_was_killed_three_times_keeps_the_old_volume_once_and_follows",
        ),
    ),
    Fault(
        words="peer backup missing, PartiallyFailed, half replicated",
        must=f"{REFUSED}, or the restore says why and {GOES_ON}",
        tests=(
            f"{_ENGINE}a_flip_without_any_backup_of_the_peer_is_refused_and_goes_through_once_one_is_here",
            f"{_GATE}a_gate_that_does_not_open_touches_nothing_and_opens_once_the_cause_is_gone",
            f"{_FAILOVER}a_restore_that_fails_says_why_and_the_next_up_recovers",
        ),
    ),
    Fault(
        words="newest base backup half replicated",
        must="told by day; a standby is promoted without it, and a database that needs it is not begun",
        tests=(
            f"{_LONG}a_failover_does_not_need_a_base_backup_that_came_in_part",
            f"{_DATA}a_base_backup_that_was_copied_in_part_is_told_by_day",
            f"{_RECOVERED}TestBeforeAFailover::test_without_a_base_backup_here_nothing_is_begun_and_no_force_makes_one",
        ),
    ),
    Fault(
        words="the dead region's S3 swallows packets",
        must=THROUGH,
        tests=(f"{_FAILOVER}the_failover_does_not_notice_that_the_primarys_s3_is_silent",),
    ),
    Fault(
        words="Route 53, IAM and bucket configuration refuse during the flip",
        must=THROUGH,
        tests=(
            f"{_ENGINE}a_flip_needs_no_control_plane_that_may_refuse_on_that_night",
            f"{_FLIP}a_flip_asks_only_the_live_region_and_looks_nothing_up",
        ),
    ),
    Fault(
        words="primary heals in the middle",
        must="the failover ends, the primary is stopped, and what only it has taken is kept apart",
        tests=(
            f"{_LONG}a_primary_that_heals_in_the_middle_of_the_failover_is_stopped_and_what_it_took_is_kept_apart",
            f"{_DATA}a_primary_that_heals_stops_by_itself_and_no_pulumi_ran",
        ),
    ),
    Fault(
        words="both stacks told to be active at once",
        must="one region writes, and the other is refused in words",
        tests=(
            f"{_ENGINE}both_stacks_told_to_be_active_at_once_leave_the_primary_serving_while_it_answers",
            f"{_ENGINE}both_stacks_told_to_be_active_at_once_leave_one_region_once_the_primary_is_silent",
            f"{_GATE}a_primary_does_not_serve_while_the_flag_says_secondary",
            f"{_DATA}nothing_is_promoted_while_the_primary_answers",
        ),
    ),
    Fault(
        words="two people at once",
        must="the second is refused by the state's lock, and the first goes on",
        tests=(
            f"{_ENGINE}the_second_of_two_people_who_fail_over_at_once_is_told_who_does",
            f"{_GLASS}a_lock_left_by_a_killed_job_is_named_and_cancel_frees_it",
            f"{_PAIR}two_regions_never_write_at_once_and_there_is_always_a_way_forward_in_long_histories",
        ),
    ),
    Fault(
        words="wrong cluster",
        must=REFUSED,
        tests=(
            f"{_CLUSTER}a_context_that_leads_to_the_primarys_cluster_is_refused",
            f"{_CLUSTER}a_failover_into_the_primarys_cluster_is_refused_also_where_it_is_the_only_target",
            f"{_DATA}a_context_that_leads_to_the_other_regions_cluster_is_refused_by_the_preview",
        ),
    ),
    Fault(
        words="clocks an hour apart",
        must=f"{REFUSED}, unless forced",
        tests=(
            f"{_ENGINE}a_clock_that_is_an_hour_off_is_told_as_such_and_the_same_command_goes_through_once_it_is_right",
            f"{_ENGINE}a_mark_of_a_primary_whose_clock_is_ahead_proves_nothing_and_is_told_by_day",
        ),
    ),
    Fault(
        words="the standby's disk nearly full",
        must=f"{THROUGH}, or {GOES_ON} once there is room",
        tests=(f"{_LONG}a_standby_whose_disk_is_nearly_full_is_promoted_or_refused_and_goes_on_once_there_is_room",),
    ),
    Fault(
        words="the flag unreadable",
        must="a failover goes through; the primary does not serve blindly",
        tests=(
            f"{_ENGINE}a_flag_that_cannot_be_read_keeps_the_primary_from_nothing_but_a_blind_up",
            f"{_ENGINE}a_failover_over_a_flag_that_is_half_there_goes_through",
        ),
    ),
    Fault(
        words="operator restarts during the promotion",
        must=THROUGH,
        tests=(
            f"{_LONG}an_operator_that_restarts_during_the_promotion_promotes_all_the_same",
            f"{_DATABASES}a_promotion_that_the_operators_webhook_refuses_is_found_by_day_and_touches_nothing_on_the_night",
        ),
    ),
    Fault(
        words="slow API server",
        must=THROUGH,
        tests=(
            f"{_ENGINE}a_failover_goes_through_a_slow_api_server",
            f"{_GATE}an_up_without_its_cluster_touches_nothing",
        ),
    ),
    Fault(
        words="disk full on the operator's machine",
        must=f"{GOES_ON} once there is room",
        tests=(
            f"{_ENGINE}a_disk_that_is_full_before_the_flip_touches_nothing_and_the_same_commands_go_through_with_room",
            f"{_ENGINE}a_disk_that_fills_in_the_middle_of_a_flip_leaves_one_that_goes_on_once_there_is_room",
        ),
    ),
)


def of_test(node: str) -> Fault | None:
    """The fault that a test injects, by its node id."""
    function = node.partition("[")[0]
    return next((fault for fault in FAULTS if function in fault.tests), None)
