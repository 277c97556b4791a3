"""velero-backups."""

from checks import velero
from checks.model import UNKNOWN
from tests.unit.policy.stacks import of_stack, resource, stack


def schedule(name="daily", *, paused=False, ttl="720h", **template):
    return resource("kubernetes:velero.io/v1:Schedule", name, spec={"paused": paused, "template": {"ttl": ttl, **template}})


def location(prefix, mode):
    spec = {"accessMode": mode, "objectStorage": {"bucket": "b", "prefix": prefix}}
    return resource("kubernetes:velero.io/v1:BackupStorageLocation", "location", spec=spec)


DATABASE = resource("kubernetes:postgresql.cnpg.io/v1:Cluster", "db", metadata={"name": "db", "namespace": "databases"})


def judged(*resources, **options):
    return of_stack(velero.POLICY, stack(*resources, **options))


def test_a_schedule_without_a_ttl_is_refused():
    ((name, message),) = judged(schedule(ttl=None))
    assert (name, "ttl" in message) == ("daily", True)
    assert judged(schedule(ttl=UNKNOWN)) == []


def test_a_schedule_is_paused_only_where_its_region_stands_by():
    ((_, message),) = judged(schedule(paused=True), name="primary", active="primary")
    assert "paused" in message
    assert judged(schedule(paused=True), name="primary", active="secondary") == []


def test_every_database_is_in_a_schedule():
    assert judged(DATABASE, schedule(includedNamespaces=["databases"])) == []
    assert judged(DATABASE, schedule(excludedNamespaces=["kube-system"])) == []
    assert judged(DATABASE, schedule("a", includedNamespaces=["shop"]), schedule("b")) == []
    for template in ({"includedNamespaces": ["shop"]}, {"excludedNamespaces": ["databases"]}):
        ((name, message),) = judged(DATABASE, schedule(**template))
        assert (name, "databases" in message) == ("db", True)


def test_only_the_stacks_own_location_may_be_written_to():
    assert judged(location("velero/primary", "ReadWrite"), location("velero/secondary", "ReadOnly")) == []
    ((_, message),) = judged(location("velero/secondary", "ReadWrite"))
    assert "ReadOnly" in message
    assert judged(location("velero/secondary", None)), "Velero's own default is ReadWrite"
