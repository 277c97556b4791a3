"""The lab that all files of drills share: both regions with a database, a volume, etcd's snapshots and the drills."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.etcd import backup as etcd
from lab import databases
from lab.world import Lab
from settings.roles import ROLES
from tests.lab.conftest import deployed
from tests.long.drills import Drills


@pytest.fixture(scope="session")
def lab_of_drills() -> Iterator[Drills]:
    """The secondary stands by. Each test leaves the lab as it found it, so a test that fails takes no lab from the others. The
    next file with a lab of its own takes this one down."""
    with deployed(Lab(plan=databases.Plan(), drills={}, files=True)) as lab:
        for role in ROLES:
            lab.kubectl(role, "create", "job", f"--from=cronjob/{etcd.NAME}", "etcd-now", "-n", etcd.ETCD_NAMESPACE)
        for role in ROLES:
            lab.kubectl(role, "wait", "job/etcd-now", "-n", etcd.ETCD_NAMESPACE, "--for=condition=Complete", "--timeout=180s")
        found = Drills(lab=lab)
        found.fill()
        yield found


@pytest.fixture
def drills(lab_of_drills: Drills) -> Drills:
    """The drills as they are with no key at all."""
    lab_of_drills.configure({})
    return lab_of_drills
