"""A lab that somebody else has run in this checkout, as a rule root, is refused in one line that says what to do."""

import threading

import pytest

from lab import rehearsal
from lab.__main__ import _REPORTED_WITHOUT_TRACEBACK
from lab.paths import ForeignLabError, LabPaths


@pytest.fixture
def paths(tmp_path):
    found = LabPaths(root=tmp_path / ".lab")
    found.make()
    return found


@pytest.fixture
def roots(monkeypatch):
    """We are somebody, and root has made the places that are in this list."""
    made_by_root = []
    monkeypatch.setattr("lab.paths.os.geteuid", lambda: 4711)
    monkeypatch.setattr("lab.paths._owner_of", lambda place: 0 if place in made_by_root else 4711)
    return made_by_root


def test_a_directory_of_roots_is_refused_with_its_owner_and_the_way_out(paths, roots):
    roots.append(paths.root)
    with pytest.raises(ForeignLabError) as refused:
        paths.make()
    assert str(refused.value) == (
        f"{paths.root} belongs to root, as sudo make demo leaves it; hand it over with: "
        f"sudo make down && sudo chown -R 4711 {paths.root}; or remove it with: sudo rm -r {paths.root}"
    )


def test_what_root_has_left_in_a_directory_of_ours_is_refused_too(paths, roots):
    roots.append(paths.state)
    with pytest.raises(ForeignLabError, match=f"^{paths.state} belongs to root"):
        paths.make()


def test_a_directory_that_is_ours_a_fresh_checkout_and_root_are_not_refused(paths, roots, monkeypatch):
    paths.make()
    LabPaths(root=paths.root / "fresh").make()
    roots.append(paths.root)
    monkeypatch.setattr("lab.paths.os.geteuid", lambda: 0)
    paths.make()


def test_the_rehearsal_says_so_at_once_and_leaves_nothing_running(paths, roots, monkeypatch):
    roots.append(paths.root)
    monkeypatch.setattr(rehearsal.toolbox, "ensure", lambda *_: pytest.fail("tools are of no use to who cannot go on"))
    before = threading.active_count()
    with pytest.raises(_REPORTED_WITHOUT_TRACEBACK, match="belongs to root"):
        rehearsal.run(paths)
    with pytest.raises(ForeignLabError), rehearsal.deployed(paths):
        pass
    assert threading.active_count() == before
