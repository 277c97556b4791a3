"""dns-failover."""

from checks import dns
from checks.model import UNKNOWN
from tests.unit.policy.stacks import of_stack, resource, stack


def record(role, *, ttl=60.0, check=UNKNOWN, label="r"):
    routing = {"failoverRoutingPolicies": [{"type": role}]}
    return resource("aws:route53/record:Record", label, name="app.example.com", ttl=ttl, healthCheckId=check, **routing)


def judged(*records, stack_name="primary", **config):
    return [message for _, message in of_stack(dns.POLICY, stack(*records, name=stack_name), **config)]


def test_each_stack_owns_its_half_of_the_pair():
    assert judged(record("PRIMARY")) == []
    assert judged(record("SECONDARY", check=None), stack_name="secondary") == []
    assert judged(record("PRIMARY"), record("SECONDARY"), stack_name="both") == []


def test_a_half_that_is_missing_doubled_or_anothers_is_refused():
    for records, name in (
        ([record("SECONDARY")], "primary"),
        ([record("PRIMARY"), record("PRIMARY", label="again")], "primary"),
        ([record("PRIMARY"), record("SECONDARY")], "secondary"),
        ([record("PRIMARY")], "both"),
    ):
        (message,) = judged(*records, stack_name=name)
        assert "should have" in message


def test_a_primary_record_has_a_health_check():
    (message,) = judged(record("PRIMARY", check=None))
    assert "health check" in message


def test_users_do_not_keep_the_old_answer_for_long():
    (message,) = judged(record("PRIMARY", ttl=300.0))
    assert "300 s" in message
    assert judged(record("PRIMARY", ttl=300.0), maximumTtl=300.0) == []
    assert judged(record("PRIMARY", ttl=None)) == [], "an alias has none"


def test_a_record_that_does_not_move_may_have_any_ttl():
    assert judged(resource("aws:route53/record:Record", name="docs.example.com", ttl=86400.0)) == []


def test_weighted_records_are_held_to_the_ttl_alone():
    weighted = resource("aws:route53/record:Record", name="app.example.com", ttl=61.0, weightedRoutingPolicies=[{"weight": 0.0}])
    (message,) = judged(weighted)
    assert "61 s" in message
