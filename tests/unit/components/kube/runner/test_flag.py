"""What the traffic flag says to a program and what it says to a health check is one thing, whoever wrote it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.kube.runner.flag import LONGEST, SEARCHED, Flag, FlagInvalidError, moves_users, parse
from settings.roles import ROLES, Role

FLAGS = [Flag(active="primary"), Flag(active="secondary"), Flag(active="secondary", handover="primary")]


def test_the_content_is_what_earlier_versions_wrote() -> None:
    assert [flag.content() for flag in FLAGS[:2]] == ['{"active":"primary"}', '{"active":"secondary"}']


@pytest.mark.parametrize("flag", FLAGS, ids=str)
def test_what_is_written_is_what_is_read(flag: Flag) -> None:
    assert parse(flag.content()) == flag


@pytest.mark.parametrize("flag", FLAGS, ids=str)
def test_users_are_moved_exactly_while_the_secondary_is_active(flag: Flag) -> None:
    assert moves_users(flag.content()) == (flag.active == "secondary")


@pytest.mark.parametrize("active", ROLES)
@pytest.mark.parametrize(
    "form", ['{{"active": "{}"}}', '{{ "active" : "{}" }}\n', '{{\n\t"active":\n"{}"\r\n}}', ' {{"active":"{}"}} ']
)
def test_a_flag_written_by_hand_says_to_both_what_it_means(form: str, active: Role) -> None:
    content = form.format(active)
    assert parse(content) == Flag(active=active)
    assert moves_users(content) == (active == "secondary")


def test_a_handover_leaves_users_where_they_are() -> None:
    told = parse('{"handover": "primary", "active": "secondary"}')
    assert told == Flag(active="secondary", handover="primary")
    assert moves_users(told.content())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is not JSON"),
        ("secondary", "is not JSON"),
        ("{'active': 'secondary'}", "is not JSON"),
        ("\ufeff" + '{"active":"secondary"}', "is not JSON"),
        ('{"active":"primary","active":"secondary"}', "'active' stands in it twice"),
        ('"secondary"', "is not a JSON object"),
        ('["secondary"]', "is not a JSON object"),
        ("null", "is not a JSON object"),
        ("{}", 'has no "active"'),
        ('{"active":null}', "has active None"),
        ('{"active":["secondary"]}', "has active ['secondary']"),
        ('{"active":"Secondary"}', "has active 'Secondary'"),
        ('{"active":"us-west-2"}', "has active 'us-west-2'"),
        ('{"Active":"secondary"}', "has an unknown field 'Active'"),
        ('{"active":"primary","was":"secondary"}', "has an unknown field 'was'"),
        ('{"active":"primary","handover":"secondary"}', "handover from primary to secondary"),
        ('{"active":"secondary","handover":"secondary"}', "handover from secondary to secondary"),
        ('{"active":"secondary","handover":null}', "has handover None"),
        ('{"active":"\\u0073econdary"}', "in a form that Route 53's health check does not recognise"),
        ('{"active":' + " " * LONGEST + '"secondary"}', "is longer than the 5120 bytes that Route 53 searches"),
        ("[" * LONGEST, "is not JSON"),
        (b"\xff{}", "is not JSON"),
        ("\ud800", "is not JSON"),
    ],
)
def test_what_is_not_certain_is_refused_with_its_reason(content: str | bytes, reason: str) -> None:
    with pytest.raises(FlagInvalidError) as refused:
        parse(content)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@given(st.text() | st.binary() | st.recursive(st.none() | st.sampled_from([*ROLES, "active"]), st.lists).map(json.dumps))
def test_whatever_stands_in_it_program_and_health_check_agree_or_it_is_refused(content: str | bytes) -> None:
    try:
        told = parse(content)
    except FlagInvalidError:
        return
    assert moves_users(content) == (told.active == "secondary")


@given(st.dictionaries(st.sampled_from(["active", "handover", "other"]), st.sampled_from([*ROLES, "", None])), st.integers(0, 3))
def test_every_object_of_known_fields_is_read_alike_or_refused(told: dict[str, str | None], indent: int) -> None:
    content = json.dumps(told, indent=indent or None)
    try:
        flag = parse(content)
    except FlagInvalidError:
        return
    assert moves_users(content) == (flag.active == "secondary")
    assert told == json.loads(flag.content())


def test_what_is_searched_is_short_enough_for_a_health_check() -> None:
    assert len(SEARCHED) <= 255
