"""What the page on performance says of the machine is what the lab does with it."""

from __future__ import annotations

import re

from lab.packages import PACKAGES
from tests.examples import ROOT

WORDS = {9: "nine", 10: "ten", 11: "eleven", 12: "twelve", 13: "thirteen"}


def test_the_page_has_the_debian_packages_that_root_installs_and_the_first_page_their_number() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    told = re.search(r"It installs those of these (\w+) Debian packages [^:]*: ((?:`[\w-]+`,?\s*)+)", text)
    assert told is not None
    assert re.findall(r"`([\w-]+)`", told[2]) == [package.name for package in PACKAGES]
    assert told[1] == WORDS[len(PACKAGES)]
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"[{told[1]} Debian packages](docs/performance.md#" in readme
