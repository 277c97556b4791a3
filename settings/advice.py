"""What a person may mean, and hardly does: said in each preview and `up`, and refused by nobody."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from settings import advice_on_values, aws_rules, handover_rules, limits, monitoring_rules, traffic_rules, unread
from settings.data_rules import age_of_the_newest, volumes_that_are_too_old
from settings.durations import format_duration, longest_gap, parse_duration
from settings.explain import SECRETS, told
from settings.files import Files
from settings.hosts import region_in
from settings.images import version_in
from settings.mistake import Mistake
from settings.model import Settings
from settings.parts import PARTS, key_of
from settings.peer_file import lines_of_what_should_be_the_same
from settings.roles import ROLES, Role, peer_of
from settings.rule import Mistakes, Rule
from settings.sizes import bytes_in


def both_regions_are_known(settings: Settings) -> Mistakes:
    """The provider refuses a region that it does not know, and botocore's list may be older than AWS's newest region."""
    for role in ROLES:
        region = settings.topology.region(role)
        if region not in limits.regions():
            yield Mistake("{} is no region that botocore knows; see: aws account list-regions", region, at=(role,))


_RECOVERED_IN_A_SECOND = bytes_in("100Mi")
"""Bytes of a base backup that an instance reads from S3, decompresses and writes in a second: a gp3 volume takes 125 MiB."""

MOST_BACKUPS = 2500
"""Of one schedule at a time: more than hourly ones for a quarter of a year."""

_OF_CONTROLLERS = (
    "actions-runner-system",
    "amazon-cloudwatch",
    "amazon-guardduty",
    "argo-rollouts",
    "argocd",
    "aws-load-balancer-controller",
    "aws-observability",
    "calico-system",
    "cattle-system",
    "cilium",
    "cilium-secrets",
    "crossplane-system",
    "external-dns",
    "external-secrets",
    "flux-system",
    "gatekeeper-system",
    "ingress-nginx",
    "istio-ingress",
    "istio-system",
    "karpenter",
    "keda",
    "kube-flannel",
    "kyverno",
    "linkerd",
    "longhorn-system",
    "metallb-system",
    "nginx-ingress",
    "prometheus-operator",
    "reloader",
    "rook-ceph",
    "sealed-secrets",
    "snapshot-controller",
    "tigera-operator",
    "traefik",
)
"""Namespaces in which the installation guides of these put what makes a cluster work, in each region for itself."""


def workloads_are_not_the_clusters_own_controllers(settings: Settings) -> Mistakes:
    for place, workload in enumerate(settings.workloads):
        if workload.namespace in _OF_CONTROLLERS:
            text = (
                "{} holds controllers, which each region runs for itself, and a region that stands by would scale them to "
                f"{workload.standby_replicas}; take it out, unless these workloads are yours"
            )
            yield Mistake(text, workload.namespace, at=(place, "namespace"))


def every_namespace_of_a_workload_is_in_a_backup(settings: Settings) -> Mistakes:
    if all(backup.restore is False for backup in settings.backups):
        return  # something else deploys the workloads
    for place, workload in enumerate(settings.workloads):
        if age_of_the_newest(settings, workload.namespace) is None:
            text = (
                "{} is in no backup that a failover restores, so nothing of it runs there unless something else "
                "deploys it; add it to include"
            )
            yield Mistake(text, workload.namespace, at=(place, "namespace"))


_WITH_REPLICAS = {"deployment": "deployments.apps", "statefulset": "statefulsets.apps"}


def what_is_scaled_is_restored(settings: Settings) -> Mistakes:
    """A backup may bring a namespace without what a workload names, and then nothing is there to scale."""
    for place, workload in enumerate(settings.workloads):
        bringing = [backup for backup in settings.backups if backup.brings(workload.namespace)]
        missing = {kind for kind in _WITH_REPLICAS.values() if bringing and all(kind in each.not_restored for each in bringing)}
        named = {_WITH_REPLICAS[name.partition("/")[0]] for name in workload.names or ()}
        lost = sorted(missing & named) if named else sorted(missing if len(missing) == len(_WITH_REPLICAS) else ())
        if lost:
            text = (
                "{}: {} is in excludeResources of every backup that brings it, so a failover finds nothing to scale; take "
                "it out of excludeResources, unless something else deploys these workloads"
            )
            yield Mistake(text, workload.namespace, " and ".join(lost), at=(place, "namespace"))


def backups_beside_databases_are_as_new_as_the_rpo(settings: Settings) -> Mistakes:
    if settings.databases:
        yield from volumes_that_are_too_old(settings)


def every_role_is_of_a_part_that_runs(settings: Settings) -> Mistakes:
    for part in PARTS:
        arn = settings.cluster.role_arn(part)
        if arn and part not in settings.parts:
            yield Mistake(
                f"{{}} is used by nobody, because this stack does not run {part}; take it out",
                arn,
                at=(f"{key_of(part)}RoleArn",),
            )


def the_managed_class_is_used(settings: Settings) -> Mistakes:
    name = settings.storage_class.name
    if settings.storage_class.managed and settings.databases and all(each.storage_class != name for each in settings.databases):
        text = "makes {}, and every one of databases asks for another; take databases[].storageClass out, or managed"
        yield Mistake(text, name)


def images_are_not_kept_in_the_other_region(settings: Settings) -> Mistakes:
    """Amazon ECR is of one region: with that region dead, a node here pulls nothing from it."""
    other = settings.topology.region(peer_of(settings.role))
    for name, field in type(settings.images).model_fields.items():
        image = str(getattr(settings.images, name))
        if region_in(image.partition("/")[0]) == other:
            text = "{} is kept in {}, and with that region dead nobody pulls it here; replicate it, and write this region's"
            yield Mistake(text, image, other, at=(str(field.alias),))


def images_of_databases_are_not_kept_in_the_other_region(settings: Settings) -> Mistakes:
    """Both regions use them, so a registry of either region is the other one's for one of the two."""
    other = settings.topology.region(peer_of(settings.role))
    for place, database in enumerate(settings.databases):
        if region_in(database.image.partition("/")[0]) == other:
            text = "{} is kept in {}, and with that region dead no instance starts here; write one of a registry that outlives it"
            yield Mistake(text, database.image, other, at=(place, "image"))


def giving_up_scales_nothing_up(settings: Settings) -> Mistakes:
    for place, workload in enumerate(settings.workloads):
        if workload.standby_replicas > workload.replicas:
            text = "{} is more than replicas, {}: a region that stands by would run more than one that serves"
            yield Mistake(text, str(workload.standby_replicas), str(workload.replicas), at=(place, "standbyReplicas"))


def the_wal_has_room(settings: Settings) -> Mistakes:
    """PostgreSQL keeps max_wal_size of WAL between checkpoints, by default 1GB, and stops where the volume is full."""
    for place, database in enumerate(settings.databases):
        key, volume = ("walStorage", database.wal_storage) if database.wal_storage else ("storage", database.storage)
        written = any(name.lower() == "max_wal_size" for name in database.parameters)
        if not written and bytes_in(volume) <= bytes_in("1Gi"):
            text = "{} is no more than the WAL that PostgreSQL keeps, 1GB; write more, or a smaller parameters.max_wal_size"
            yield Mistake(text, volume, at=(place, key))


def a_drill_has_the_time_to_recover_a_database(settings: Settings) -> Mistakes:
    """And it is as dear as an instance and its volumes for that time: a person decides whether each month is worth it."""
    drill = settings.drills.database
    for database in settings.drilled_databases if "database" in settings.drilled else ():
        needed = timedelta(seconds=bytes_in(database.storage) / _RECOVERED_IN_A_SECOND)
        if needed > parse_duration(drill.timeout):
            text = (
                "{} is less than the recovery of {} may take with {} of storage, {} at 100 MiB/s; write more, or name smaller "
                "ones in drills.database.databases, or enabled: false"
            )
            yield Mistake(text, drill.timeout, database.name, database.storage, format_duration(needed))


def velero_keeps_no_more_backups_than_it_can_list(settings: Settings) -> Mistakes:
    """Velero lists every Backup every minute (backup-sync), and each is an object in etcd and a directory in the bucket."""
    for place, backup in enumerate(settings.backups):
        kept = parse_duration(backup.keep) // longest_gap(backup.cron)
        if kept > MOST_BACKUPS:
            text = f"{{}} keeps {kept} backups at a time, and Velero is slow above {MOST_BACKUPS}; write less, or a rarer cron"
            yield Mistake(text, backup.keep, at=(place, "keep"))


def an_endpoint_is_reached_by_users(settings: Settings) -> Mistakes:
    """Elastic Load Balancing: the DNS name of an internal load balancer begins with internal-, and leads to private addresses."""
    host = settings.endpoint_host
    if settings.dns.mode != "record" and host.startswith("internal-") and region_in(host):
        text = "{} is internal, so only users who are connected to its VPC reach it; write the one for the internet for others"
        yield Mistake(text, host)


def the_plugin_and_its_sidecar_are_of_one_version(settings: Settings) -> Mistakes:
    """They are released together, and the plugin tells its sidecar what to do."""
    plugin, sidecar = (version_in(image) for image in (settings.images.barman_cloud_plugin, settings.images.barman_cloud_sidecar))
    if settings.databases and plugin and sidecar and plugin != sidecar:
        image = settings.images.barman_cloud_sidecar
        text = "{} is of another version than barmanCloudPlugin, {}; write the same in both"
        yield Mistake(text, image, settings.images.barman_cloud_plugin, at=("barmanCloudSidecar",))


def force_is_for_one_failover(settings: Settings) -> Mistakes:
    if settings.force and settings.active != settings.role:
        yield Mistake(
            f"is true while no failover runs, and the next one would ask nobody; run: pulumi config rm force -s {settings.role}"
        )


def the_pipelines_may_read_the_state_of_the_stack(settings: Settings) -> Mistakes:
    delivery, backends = settings.delivery, settings.topology.backends
    backend = urlsplit((backends.primary if settings.role == "primary" else backends.secondary) if backends else "")
    if delivery and backend.scheme == "s3" and backend.netloc != delivery.state_bucket:
        text = f"{{}} is not the bucket of topology.backends.{settings.role}, {{}}; write the same in both"
        yield Mistake(text, delivery.state_bucket, backend.netloc, at=("stateBucket",))


def each_backend_is_in_its_own_region(settings: Settings) -> Mistakes:
    backends = settings.topology.backends
    for role in ROLES if backends else ():
        assert backends is not None
        backend = urlsplit(backends.primary if role == "primary" else backends.secondary)
        written = parse_qs(backend.query).get("region", [])
        if backend.scheme == "s3" and written and written[0] != settings.topology.region(role):
            text = (
                f"{{}} is in {{}}, and the {role} region is {{}}: with the other region dead, the stack could not "
                "run; write a bucket there"
            )
            yield Mistake(text, backend.geturl(), written[0], settings.topology.region(role), at=(role,))


def the_bucket_of_a_state_names_no_other_region(settings: Settings) -> Mistakes:
    backends = settings.topology.backends
    for role in ROLES if backends else ():
        assert backends is not None
        backend = urlsplit(backends.primary if role == "primary" else backends.secondary)
        if backend.scheme == "s3" and "region" not in parse_qs(backend.query):
            yield from _of_the_other_region(settings, backend.netloc, role, role)


def the_pipelines_bucket_names_no_other_region(settings: Settings) -> Mistakes:
    if settings.delivery:
        yield from _of_the_other_region(settings, settings.delivery.state_bucket, settings.role, "stateBucket")


def _of_the_other_region(settings: Settings, bucket: str, role: Role, at: str) -> Mistakes:
    """A bucket that has the other region in its name and not its own: the line of a stack's file was copied."""
    own, other = settings.topology.region(role), settings.topology.region(peer_of(role))
    if other in bucket and own not in bucket:
        text = (
            "{} has {} in its name, and the {} region is {}: with the other region dead, the stack could not run; write one of "
            "its own region"
        )
        yield Mistake(text, bucket, other, role, own, at=(at,))


def the_two_stacks_do_not_keep_their_state_in_one_bucket(settings: Settings) -> Mistakes:
    backends = settings.topology.backends
    if backends and backends.primary == backends.secondary and backends.primary.startswith("s3://"):
        text = "has {} for both stacks, and with its region dead neither could run; see docs/state.md"
        yield Mistake(text, backends.primary)


def nothing_is_removed_that_may_not_be_there(settings: Settings) -> Mistakes:
    """Velero passes over a JSON patch whose `test` fails; any other that fails is an error of the object
    (internal/resourcemodifiers/json_patch.go), and the Restore ends PartiallyFailed."""
    for key, rules in (("modifiers", settings.velero.modifiers), ("modifiersBack", settings.velero.modifiers_back)):
        for place, rule in enumerate(rules):
            there = {match.path for match in rule.conditions.matches}
            for number, patch in enumerate(rule.patches):
                if patch.operation == "remove" and not any(f"{path}/".startswith(f"{patch.path}/") for path in there):
                    text = (
                        "{} is removed, and each object without it is an error, so that the restore ends PartiallyFailed; write "
                        "mergePatches, in which the field is null, or, for an entry of a list, a test of it before"
                    )
                    yield Mistake(text, patch.path, at=(key, place, "patches", number, "path"))
                elif patch.operation in ("add", "test"):
                    there.add(patch.path)


ADVICE: tuple[Rule, ...] = (
    Rule(key="topology.regions", mistakes=both_regions_are_known),
    Rule(key="delivery", mistakes=the_pipelines_may_read_the_state_of_the_stack),
    Rule(key="topology.backends", mistakes=each_backend_is_in_its_own_region),
    Rule(key="topology.backends", mistakes=the_bucket_of_a_state_names_no_other_region),
    Rule(key="delivery", mistakes=the_pipelines_bucket_names_no_other_region),
    Rule(key="topology.backends", mistakes=the_two_stacks_do_not_keep_their_state_in_one_bucket),
    Rule(key="workloads", mistakes=workloads_are_not_the_clusters_own_controllers),
    Rule(key="workloads", mistakes=every_namespace_of_a_workload_is_in_a_backup),
    Rule(key="workloads", mistakes=what_is_scaled_is_restored),
    Rule(key="tier", mistakes=backups_beside_databases_are_as_new_as_the_rpo),
    Rule(key="cluster", mistakes=every_role_is_of_a_part_that_runs),
    Rule(key="storageClass.managed", mistakes=the_managed_class_is_used),
    Rule(key="images", mistakes=images_are_not_kept_in_the_other_region),
    Rule(key="databases", mistakes=images_of_databases_are_not_kept_in_the_other_region),
    Rule(key="workloads", mistakes=giving_up_scales_nothing_up),
    Rule(key="databases", mistakes=the_wal_has_room),
    Rule(key="drills.database.timeout", mistakes=a_drill_has_the_time_to_recover_a_database),
    Rule(key="backups", mistakes=velero_keeps_no_more_backups_than_it_can_list),
    Rule(key="endpoint", mistakes=an_endpoint_is_reached_by_users),
    Rule(key="images", mistakes=the_plugin_and_its_sidecar_are_of_one_version),
    Rule(key="velero", mistakes=nothing_is_removed_that_may_not_be_there),
    *advice_on_values.ADVICE,
    *aws_rules.ADVICE,
    *unread.ADVICE,
    *handover_rules.ADVICE,
    *traffic_rules.ADVICE,
    *monitoring_rules.ADVICE,
    Rule(key="force", mistakes=force_is_for_one_failover),
)
"""Every warning, in the order in which they are told."""


def warnings(settings: Settings, secrets: Collection[str] = (), directory: Path = Path()) -> list[str]:
    """One line for each. `secrets` are the keys that are stored with --secret: nothing of their values is shown. `directory` has
    the files that Pulumi reads."""
    hidden = frozenset({*SECRETS, *secrets})
    replaced = Files(stack=settings.role, directory=directory).lines_of_what_is_replaced()
    replaced += lines_of_what_should_be_the_same(settings, directory)
    return replaced + [told(rule, mistake, hidden) for rule in ADVICE for mistake in rule.mistakes(settings)]
