"""What holds for every namespace: nothing is lowered by a region that serves, and what a region gives up comes back."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.components.kube.runner.fake_api import DiedError, FakeApi
from tests.unit.components.kube.runner.steps import entry, standing_by, standing_up

NAMES = ("deployment/web", "deployment/scheduler", "statefulset/queue")
Described = tuple[int, str | None, bool, tuple[int, int] | None]

workloads = st.tuples(
    st.integers(0, 5),
    st.sampled_from([None, "0", "4", "9"]),
    st.booleans(),
    st.none() | st.tuples(st.integers(1, 3), st.just(9)),
)
worlds = st.fixed_dictionaries(dict.fromkeys(NAMES, workloads))


def built(world: dict[str, Described]) -> FakeApi:
    """Each workload has replicas, perhaps a note, perhaps a label of a restore, and perhaps an autoscaler with its limits."""
    api = FakeApi()
    for name, (replicas, note, restored, limits) in world.items():
        labels = {"labels": {"velero.io/restore-name": "hourly"}} if restored else {}
        api.workload(name, replicas, **labels, **({"annotations": {"k8s-dr/ran": note}} if note else {}))
        if limits:
            api.autoscaler(name, *limits)
    return api


def replicas(api: FakeApi) -> dict[str, int]:
    return {name: api.replicas(name) for name in NAMES}


@given(world=worlds, least=st.integers(1, 4))
def test_a_region_that_serves_lowers_nothing_and_a_second_time_changes_nothing(world: dict[str, Described], least: int) -> None:
    api = built(world)
    before = replicas(api)
    standing_up(api, entry(replicas=least))
    after = replicas(api)
    assert all(after[name] >= before[name] for name in NAMES)
    standing_up(api, entry(replicas=least))
    assert replicas(api) == after


@given(world=worlds, least=st.integers(1, 4))
def test_what_a_region_gives_up_comes_back_and_what_was_switched_off_does_not(world: dict[str, Described], least: int) -> None:
    api = built(world)
    standing_up(api, entry(replicas=least))
    served = replicas(api)
    standing_by(api, entry(replicas=0))
    assert not any(replicas(api).values())
    standing_up(api, entry(replicas=least))
    again = replicas(api)
    if any(served.values()):  # or else the whole entry stood by, and is raised
        assert all(again[name] >= served[name] and bool(again[name]) == bool(served[name]) for name in NAMES)


@given(world=worlds, least=st.integers(1, 4), changes=st.integers(0, 6), up=st.booleans())
def test_a_step_that_dies_after_any_change_is_ended_by_the_next_one(
    world: dict[str, Described], least: int, changes: int, up: bool
) -> None:
    step = standing_up if up else standing_by
    whole, interrupted = built(world), built(world)
    step(whole, entry(replicas=least))
    interrupted.dies_after = changes
    with suppress(DiedError):
        step(interrupted, entry(replicas=least))
    interrupted.dies_after = None
    step(interrupted, entry(replicas=least))
    assert replicas(interrupted) == replicas(whole)
    assert [interrupted.annotations(name) for name in NAMES] == [whole.annotations(name) for name in NAMES]


@given(world=worlds, standby=st.integers(0, 4))
def test_a_region_that_stands_by_does_so_a_second_time_without_a_change(world: dict[str, Described], standby: int) -> None:
    api = built(world)
    standing_by(api, entry(replicas=standby))
    patches = list(api.patches)
    standing_by(api, entry(replicas=standby))
    assert api.patches == patches
