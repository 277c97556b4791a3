"""Rules on names, load balancers and the probe: users reach the region that serves, and the gate asks the primary."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from settings.dns import Alias, callable_name
from settings.hosts import host_in, labels_above_a_zone, only_in_the_cluster, region_in, zone_of_load_balancer
from settings.mistake import Mistake
from settings.model import Settings
from settings.roles import ROLES
from settings.rule import Mistakes, Rule

HEALTH_CHECKS = 30
"""Seconds until Route 53 has seen the traffic flag: three checks in a row, one every 10 s (components/traffic/records.py)."""

_TTL_OF_AN_ALIAS = 60  # Route 53: that of the load balancer's own records


def _at(settings: Settings) -> tuple[str, ...]:
    return ("name",) if isinstance(settings.endpoint, Alias) else ()


def _share_a_zone(names: Sequence[str]) -> bool:
    return _labels_in_common(names) > max(map(labels_above_a_zone, names))


def _labels_in_common(names: Sequence[str]) -> int:
    """How many labels from the right all names share, an asterisk apart."""
    split = [name.removeprefix("*.").split(".")[::-1] for name in names]
    return next((count for count, labels in enumerate(zip(*split, strict=False)) if len({*labels}) > 1), min(map(len, split)))


def an_endpoint_is_in_the_region_of_its_stack(settings: Settings) -> Mistakes:
    """Names of load balancers contain their region. After a failover users would be sent to the dead one."""
    host, own = settings.endpoint_host, settings.topology.region(settings.role)
    found = region_in(host)
    if found and found != own:
        text = f"{{}} is in {{}}, and this stack's region is {{}}; write the load balancer of stack {settings.role}'s own cluster"
        yield Mistake(text, host, found, own, at=_at(settings))
    elif only_in_the_cluster(host):
        yield Mistake("{} is a name that only the cluster itself resolves; write its load balancer's", host, at=_at(settings))


def an_endpoint_is_no_name_that_users_call(settings: Settings) -> Mistakes:
    """RFC 1034, 3.6.2 and 5.3.3: a CNAME that leads to itself is an error."""
    host = settings.endpoint_host
    if host in settings.dns.names:
        text = "{} is one of dns.names, whose record would point to itself; write the load balancer's own name"
        yield Mistake(text, host, at=_at(settings))


def the_top_of_a_zone_is_an_alias(settings: Settings) -> Mistakes:
    """RFC 1034, 3.6.2: a CNAME stands alone, and the top of a zone has SOA and NS. A name right below a registry's can be nothing
    else."""
    for name in settings.dns.names:
        if name.count(".") == labels_above_a_zone(name) and not isinstance(settings.endpoint, Alias):
            zone = zone_of_load_balancer(settings.endpoint) or "the load balancer's own"
            text = "{} is a name, and {} of dns.names is the top of its zone, where Route 53 takes no CNAME; write {}"
            yield Mistake(text, settings.endpoint, name, f"{{name: {settings.endpoint}, zoneId: {zone}}}")
            return


def an_alias_has_the_zone_of_its_load_balancer(settings: Settings) -> Mistakes:
    """Route 53: "Tried to create an alias that targets …, but the alias target name does not lie within the target zone"."""
    if not isinstance(settings.endpoint, Alias):
        return
    zone = zone_of_load_balancer(settings.endpoint.name)
    if zone and settings.endpoint.zone_id not in (zone, settings.dns.zone_id):
        text = "{} is not the zone of {}, so Route 53 would refuse the alias; write {}"
        yield Mistake(text, settings.endpoint.zone_id, settings.endpoint.name, zone, at=("zoneId",))
        return
    if settings.endpoint.zone_id != settings.dns.zone_id:
        return
    if any(_share_a_zone([settings.endpoint.name, name]) for name in settings.dns.names):
        return
    text = (
        "{} is dns.zoneId too, and the load balancer {} is not in that zone; write the load balancer's own, "
        "CanonicalHostedZoneId "
        "in: aws elbv2 describe-load-balancers"
    )
    yield Mistake(text, settings.endpoint.zone_id, settings.endpoint.name, at=("zoneId",))


CLOUDFRONT = "Z2FDTNDATAQYW2"
"""The hosted zone of every CloudFront distribution."""


def an_alias_of_a_failover_is_no_distribution(settings: Settings) -> Mistakes:
    """Route 53 takes a failover alias with EvaluateTargetHealth alone, and one to a distribution only without."""
    of_cloudfront = isinstance(settings.endpoint, Alias) and settings.endpoint.zone_id == CLOUDFRONT
    if of_cloudfront and settings.dns.mode == "standby-takes-over":
        text = (
            "{} is CloudFront's, and with dns.mode {} Route 53 has to count the health of the alias's target, which a "
            "distribution has none of, so it would refuse the record; write the name and zone of this region's load balancer, "
            "CanonicalHostedZoneId in: aws elbv2 describe-load-balancers"
        )
        yield Mistake(text, CLOUDFRONT, settings.dns.mode, at=("zoneId",))


def all_names_are_in_one_zone(settings: Settings) -> Mistakes:
    """Route 53: "RRSet with DNS name … is not permitted in zone …". Two labels are the least that a zone of one's own has."""
    first, *others = settings.dns.names
    for place, name in enumerate(others, start=1):
        if not _share_a_zone([first, name]):
            text = "{} and {} are in no zone together, and dns.zoneId is one zone; take one of them out"
            yield Mistake(text, name, first, at=(place,))


def users_arrive_within_the_rto(settings: Settings) -> Mistakes:
    rto = settings.objectives.rto_seconds
    alias = isinstance(settings.endpoint, Alias)
    checks = 0 if settings.dns.mode == "record" else HEALTH_CHECKS
    ttl = _TTL_OF_AN_ALIAS if alias else settings.dns.ttl
    if checks + ttl <= rto:
        return
    room = int(rto) - checks
    shorter = f"{room} or less, or " if room > 0 and not alias else ""
    yield Mistake(
        f"{{}} s, and {checks} s of health checks before, are more than the RTO of {{}} ({{}}): users would "
        "arrive after it; write "
        "{}",
        str(ttl),
        f"{rto:g} s",
        f"targets.rto {settings.targets.rto}" if settings.targets.rto else f"tier {settings.tier}",
        f"{shorter}a targets.rto of {checks + ttl}s or more",
    )


def the_probe_is_answered_by_the_primary_region_alone(settings: Settings) -> Mistakes:
    host = host_in(settings.probe)
    primary, secondary = (settings.topology.region(role) for role in ROLES)
    default = settings.failover.probe is None
    called = host in settings.dns.names or (default and host in {callable_name(name) for name in settings.dns.names})
    if settings.dns.both_serve and settings.databases and called:
        yield Mistake(
            "must be a URL that only the primary region answers, and with dns.mode both-regions the secondary answers at {} too; "
            "write the primary's own load balancer, as in probe: https://lb-primary.us-east-1.elb.amazonaws.com/",
            host,
        )
    elif region_in(host) == secondary or (
        settings.role == "secondary" and host == settings.endpoint_host and host not in settings.dns.names
    ):
        text = "asks {}, which is in the secondary region {}, so the primary would never be asked; write one of {}"
        yield Mistake(text, host, secondary, primary)
    elif (found := region_in(host)) and found != primary:
        yield Mistake("asks {}, which is in {}, so the primary would never be asked; write one of {}", host, found, primary)
    elif only_in_the_cluster(host):
        yield Mistake(
            "asks {}, which is another host in each cluster, so the primary would never be asked; write a name that users call",
            host,
        )


def the_probe_is_not_answered_by_what_stands_by(settings: Settings) -> Mistakes:
    """Route 53 counts the health of an alias's target, so that it answers with the secondary as soon as the primary's load
    balancer is dead, if something stands by behind the secondary's. Not refused: on the night of a failover that would be in the
    way of a pair that was deployed so."""
    host, names = host_in(settings.probe), {callable_name(name) for name in settings.dns.names}
    stand_by = [entry for entry in settings.workloads if entry.standby_replicas]
    if settings.dns.mode != "standby-takes-over" or not isinstance(settings.endpoint, Alias) or host not in names:
        return
    if settings.databases and stand_by:
        own = settings.endpoint.name if settings.role == "primary" else "lb-primary.us-east-1.elb.amazonaws.com"
        text = (
            "asks {}, and endpoint is an alias: with a dead primary Route 53 already answers that name with the secondary, where "
            "{} stands by (standbyReplicas: {}); a failover would take the secondary's answer for the primary's, and stop; write "
            "the primary's own load balancer, as in probe: {}"
        )
        first = stand_by[0]
        yield Mistake(text, host, first.namespace, str(first.standby_replicas), f"https://{own}/")


def _below_a_wildcard(settings: Settings, host: str) -> str | None:
    """The one of dns.names that answers for `host`, where that has no record of its own (RFC 4592)."""
    return next((name for name in settings.dns.names if name.startswith("*.") and host.endswith(name[1:])), None)


def what_is_asked_is_not_below_a_name_that_moves(settings: Settings) -> Mistakes:
    """Not refused: a host below a wildcard may have a record of its own, which nobody moves."""
    probe, control = settings.failover.probe, settings.failover.control
    if probe and settings.dns.both_serve and settings.databases and (name := _below_a_wildcard(settings, host_in(probe))):
        text = (
            "asks {}, which {} answers for where it has no record of its own, in both regions: a failover would take the "
            "secondary's answer for the primary's, and stop; write the primary's own load balancer"
        )
        yield Mistake(text, host_in(probe), name, at=("probe",))
    if control and not settings.dns.both_serve and (name := _below_a_wildcard(settings, host_in(control))):
        text = (
            "asks {}, which {} answers for where it has no record of its own, and that is silent with the primary; write another"
        )
        yield Mistake(text, host_in(control), name, at=("control",))


_ANSWER_FOR_BOTH = {".cloudfront.net": "CloudFront", ".awsglobalaccelerator.com": "Global Accelerator"}


def the_probe_is_not_answered_for_a_dead_primary(settings: Settings) -> Mistakes:
    """CloudFront answers from its cache or its second origin, an accelerator by endpoints in another region."""
    host = host_in(settings.probe)
    for suffix, service in _ANSWER_FOR_BOTH.items():
        if host.endswith(suffix):
            text = (
                "asks {}, and {} may answer although the primary is dead, from a cache or another origin: a failover would take "
                "that for the primary's, and stop; write the primary's own load balancer, as in probe: "
                "https://lb-primary.us-east-1.elb.amazonaws.com/"
            )
            yield Mistake(text, host, service)


def the_control_lives_when_the_primary_region_is_dead(settings: Settings) -> Mistakes:
    """Without the control's answer nobody knows what the primary's silence means."""
    if settings.failover.control is None:
        return
    host, primary = host_in(settings.failover.control), settings.topology.region("primary")
    if only_in_the_cluster(host):
        text = "asks {}, which is in the cluster itself and always answers, whatever way to the primary is cut; write one outside"
        yield Mistake(text, host)
    elif (
        region_in(host) == primary
        or (host in settings.dns.names and not settings.dns.both_serve)
        or settings.failover.control == settings.failover.probe
    ):
        text = "asks {}, which is silent when the primary region, {}, is; write one that answers then too, or take it out"
        yield Mistake(text, host, primary)


def this_regions_endpoint_speaks_the_scheme_that_it_is_asked(settings: Settings) -> Mistakes:
    """No server of http answers TLS: the failover would end before users come."""
    if settings.failover.endpoint.ask and _asked_of_the_endpoint(settings) == ("https", 80):
        yield Mistake("asks https on port 80, which is the port of http; write scheme: http, or another port")


def _asked_of_the_endpoint(settings: Settings) -> tuple[str, int | None]:
    """Scheme and port. What is not written comes from the probe (components/failover/questions.py)."""
    asked, probe = settings.failover.endpoint, urlsplit(settings.probe)
    scheme = asked.scheme or probe.scheme
    return scheme, asked.port or (probe.port if scheme == probe.scheme else None)


def port_443_is_asked_by_tls(settings: Settings) -> Mistakes:
    """A server of TLS answers 400, as a living one, and serves nobody; a load balancer that ends TLS is silent, and seems dead.
    Where one forwards that port to plain HTTP, all is well."""
    failover = settings.failover
    why, unless = "asks http on port 443, which is the port of https; write", "unless it forwards that port to plain HTTP"
    for key, url in (("probe", failover.probe), ("control", failover.control)):
        if url and (urlsplit(url).scheme, urlsplit(url).port) == ("http", 443):
            yield Mistake(f"{{}} {why} {{}}, {unless}", url, url.replace("http", "https", 1), at=(key,))
    if failover.endpoint.ask and _asked_of_the_endpoint(settings) == ("http", 443):
        yield Mistake(f"{why} scheme: https, {unless}", at=("endpoint",))


def standbys_connect_to_the_primary_and_not_to_a_name_that_users_call(settings: Settings) -> Mistakes:
    """The users' name moves with a failover, and a load balancer is of one region."""
    for place, database in enumerate(settings.databases):
        if database.streaming is None:
            continue
        for role in ROLES:
            host, region = database.streaming.hosts.of(role), settings.topology.region(role)
            at = (place, "streaming", "hosts", role)
            if host in settings.dns.names:
                yield Mistake("{} is one of dns.names, which a failover moves; write a name of this region alone", host, at=at)
            elif (found := region_in(host)) and found != region:
                yield Mistake(
                    f"{{}} is in {{}}, and the {role} region is {{}}; write that region's own", host, found, region, at=at
                )


_OF_EXTERNAL_DNS = ("external-dns.alpha.kubernetes.io/hostname", "external-dns.alpha.kubernetes.io/internal-hostname")


def a_name_that_users_call_is_given_to_no_database(settings: Settings) -> Mistakes:
    """ExternalDNS writes a record for each name of the annotation, over the one by which users reach the application."""
    for place, database in enumerate(settings.databases):
        for key, value in database.streaming.service_annotations.items() if database.streaming else ():
            for name in value.split(",") if key in _OF_EXTERNAL_DNS else ():
                if name.strip().lower().removesuffix(".") in settings.dns.names:
                    text = "gives {} to the database by {}, and it is one of dns.names; write a name of the database's own"
                    yield Mistake(text, name.strip(), key, at=(place, "streaming", "serviceAnnotations"))


RULES: tuple[Rule, ...] = (
    Rule(key="endpoint", mistakes=an_endpoint_is_in_the_region_of_its_stack),
    Rule(key="endpoint", mistakes=an_endpoint_is_no_name_that_users_call),
    Rule(key="endpoint", mistakes=the_top_of_a_zone_is_an_alias),
    Rule(key="endpoint", mistakes=an_alias_has_the_zone_of_its_load_balancer),
    Rule(key="endpoint", mistakes=an_alias_of_a_failover_is_no_distribution),
    Rule(key="dns.names", mistakes=all_names_are_in_one_zone),
    Rule(key="dns.ttl", mistakes=users_arrive_within_the_rto),
    Rule(key="failover.probe", mistakes=the_probe_is_answered_by_the_primary_region_alone),
    Rule(key="failover.control", mistakes=the_control_lives_when_the_primary_region_is_dead),
    Rule(key="failover.endpoint", mistakes=this_regions_endpoint_speaks_the_scheme_that_it_is_asked),
    Rule(key="databases", mistakes=standbys_connect_to_the_primary_and_not_to_a_name_that_users_call),
    Rule(key="databases", mistakes=a_name_that_users_call_is_given_to_no_database),
)

ADVICE: tuple[Rule, ...] = (
    Rule(key="failover", mistakes=port_443_is_asked_by_tls),
    Rule(key="failover.probe", mistakes=the_probe_is_not_answered_by_what_stands_by),
    Rule(key="failover.probe", mistakes=the_probe_is_not_answered_for_a_dead_primary),
    Rule(key="failover", mistakes=what_is_asked_is_not_below_a_name_that_moves),
)
