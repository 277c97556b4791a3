"""charts.lock: what it pins, and what a mistake in it is told."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from charts.archives import LockError, read_lock

ENTRY = 'name = "a"\nversion = "1"\napp_version = "1"\nurl = "https://example.com/a-1.tgz"\n'


def test_every_chart_of_the_committed_lock_is_pinned_and_comes_over_tls() -> None:
    charts = read_lock()
    assert set(charts) == {"cert-manager", "cloudnative-pg", "plugin-barman-cloud"}
    for chart in charts.values():
        assert chart.sha256, chart.name
        source = urlsplit(chart.url)
        assert source.scheme == "https"
        assert Path(source.path).name == chart.file


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[chart]\n", "Expected"),
        ("", "'chart'"),
        (f"[[chart]]\n{ENTRY}", "sha256"),
        (f'[[chart]]\n{ENTRY}sha256 = "0123"\n', "a: sha256 is not 64 hexadecimal digits"),
        (f'[[chart]]\n{ENTRY}sha256 = ""\nrepo = "x"\n', "repo"),
        (f"[[chart]]\n{ENTRY}sha256 = 1\n", "string"),
    ],
)
def test_a_mistake_in_the_lock_is_one_line_with_the_files_name(text: str, told: str, tmp_path: Path) -> None:
    lock = tmp_path / "charts.lock"
    lock.write_text(text)
    with pytest.raises(LockError) as caught:
        read_lock(lock)
    assert str(caught.value).startswith(f"{lock}: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
