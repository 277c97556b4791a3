"""Every key, at every depth and required ones too, is found by its misspelling."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

import pytest

from settings.load import SECRETS
from settings.places import aliases, model_at
from tests.unit.settings.every_key import EVERY_KEY, Path, parsed, put
from tests.unit.settings.test_mistakes import complaint

SLIPS: dict[str, Callable[[str, int], str]] = {
    "a letter too few": lambda key, at: key[:at] + key[at + 1 :],
    "a letter too many": lambda key, at: key[: at + 1] + key[at:],
    "another letter": lambda key, at: f"{key[:at]}{'x' if key[at] != 'x' else 'y'}{key[at + 1 :]}",
    "two letters exchanged": lambda key, at: key[: at - 1] + key[at] + key[at - 1] + key[at + 1 :],
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_misspelt_key_is_told_with_the_one_that_was_meant(slip: str) -> None:
    values, tried, riddles = parsed(), 0, []
    for path in EVERY_KEY:
        key, siblings = path[-1], aliases(model_at(path[:-1]))
        written = SLIPS[slip](key, len(key) // 2)
        if written in (key, *siblings) or len(key) < 3:  # of `ca` nothing is left to know it by
            continue
        tried += 1
        # Stored by `pulumi config set --secret`, as the right one would be.
        secrets = [*SECRETS, *([written] if path[:1] == path and key in SECRETS else [])]
        told = complaint("secondary", put(values, path, "x", slip=written), secrets)
        riddles += [] if meant(told, path, written) else [f"{'.'.join(path)}, written {written}: {told}"]
    assert tried > 200
    assert riddles == []


def meant(told: str, path: Path, written: str) -> bool:
    """Whether a line asks for the very key, or for one that is as near to what was written."""
    guesses = re.findall(r"did you mean ([\w.\[\]]+)\?", told)
    return any(guess == path[-1] or _near(guess, written) == _near(path[-1], written) for guess in guesses)


def _near(key: str, written: str) -> float:
    return difflib.SequenceMatcher(None, written.lower(), key.lower()).ratio()
