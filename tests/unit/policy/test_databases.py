"""database-redundancy."""

import pytest

from checks import databases
from tests.unit.policy.stacks import of_stack, resource, stack

METADATA = {"name": "app", "namespace": "databases"}
ARCHIVER = {"name": "barman-cloud.cloudnative-pg.io", "isWALArchiver": True}
BACKUP = resource(
    "kubernetes:postgresql.cnpg.io/v1:ScheduledBackup", "backups", metadata=METADATA, spec={"cluster": {"name": "app"}}
)


def cluster(**spec):
    whole = {"instances": 3, "plugins": [ARCHIVER], "replica": {"source": "app-secondary"}, **spec}
    return resource("kubernetes:postgresql.cnpg.io/v1:Cluster", "db", metadata=METADATA, spec=whole)


def judged(*resources, active="primary", **config):
    return [message for _, message in of_stack(databases.POLICY, stack(*resources, active=active), **config)]


def test_a_database_that_has_everything_is_good():
    assert judged(cluster(), BACKUP) == []
    assert judged(cluster(plugins=[], backup={"barmanObjectStore": {}}), BACKUP) == []
    assert judged(cluster(replica=None), BACKUP) == [], "where it serves it follows nobody"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"instances": 1}, "has 1 instances"),
        ({"plugins": [{**ARCHIVER, "isWALArchiver": False}]}, "archives no WAL"),
        ({"affinity": {"enablePodAntiAffinity": False}}, "one node"),
        ({"enablePDB": False}, "drained"),
    ],
)
def test_what_it_lacks_is_named(spec, said):
    (message,) = judged(cluster(**spec), BACKUP)
    assert said in message


def test_a_database_has_base_backups():
    (message,) = judged(cluster())
    assert "ScheduledBackup" in message


def test_a_standby_may_be_one_instance_but_must_follow():
    alone = {"instances": 1, "affinity": {"enablePodAntiAffinity": False}, "enablePDB": False}
    assert judged(cluster(**alone), BACKUP, active="secondary") == []
    (message,) = judged(cluster(**alone, replica={"primary": "app"}), BACKUP, active="secondary")
    assert "replica.source" in message


def test_a_team_may_settle_for_one_instance():
    assert judged(cluster(instances=1), BACKUP, minimumInstances=1.0) == []
