"""Keys that a person wrote and that nothing reads, because another key says so: what was meant does not happen."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from settings.mistake import Mistake
from settings.model import Settings
from settings.rule import Mistakes, Rule

_OF_VELEROS_INSTALLATION = (
    "kubelet_root",
    "resources",
    "client_qps",
    "tolerations",
    "data_movers",
    "prepare_timeout",
    "move_timeout",
)


def _written(model: BaseModel, *fields: str) -> Iterator[str]:
    """The keys of these fields, or of all, that somebody wrote."""
    for name in type(model).model_fields:
        if name in model.model_fields_set and (not fields or name in fields):
            yield str(type(model).model_fields[name].alias)


def veleros_installation_is_set_where_this_program_installs_it(settings: Settings) -> Mistakes:
    if not settings.velero.managed:
        for key in _written(settings.velero, *_OF_VELEROS_INSTALLATION):
            yield Mistake("is read by nobody, because velero.managed is false; set it where Velero is installed", at=(key,))


def etcds_backup_is_set_where_it_runs(settings: Settings) -> Mistakes:
    if settings.backs_up_etcd:
        return
    why = "this cluster is EKS, where AWS backs up etcd" if settings.cluster.distribution == "eks" else "etcd.enabled is false"
    for key in _written(settings.etcd):
        if key != "enabled":
            yield Mistake(f"is read by nobody here, because {why}; take it out, unless the other stack reads it", at=(key,))


def access_logs_are_kept_where_there_are_some(settings: Settings) -> Mistakes:
    if not settings.storage.access_logs and "access_log_days" in settings.storage.model_fields_set:
        yield Mistake("is read by nobody, because storage.accessLogs is false; write accessLogs: true, or take it out")


def the_agent_of_pod_identities_is_installed_where_pods_use_it(settings: Settings) -> Mistakes:
    if settings.cluster.pod_identity_agent and settings.identity_mode != "pod-identity":
        text = "is read by nobody, because identity is {}; take it out, or write identity: pod-identity"
        yield Mistake(text, settings.identity_mode)


def access_to_the_cluster_is_given_where_aws_gives_it(settings: Settings) -> Mistakes:
    if settings.delivery and settings.delivery.cluster_access and settings.cluster.distribution != "eks":
        yield Mistake(
            "is read by nobody, because this cluster is not EKS, and no access entry can be made; take it out, and give the role "
            "that deploys its rights in the cluster"
        )


def a_cache_has_a_class(settings: Settings) -> Mistakes:
    if settings.velero.data_movers.cache_class is None and "cache_from" in settings.velero.data_movers.model_fields_set:
        yield Mistake("is read by nobody, because velero.dataMovers.cacheClass is not set; write that too, or take it out")


def monitoring_is_set_where_it_is_wanted(settings: Settings) -> Mistakes:
    if not settings.monitoring.enabled:
        for key in _written(settings.monitoring):
            # Databases' PodMonitors have the labels all the same.
            if key not in ("enabled", "labels", "alarms", "healthCheckAlarms"):
                yield Mistake(
                    "is read by nobody, because monitoring.enabled is false; write enabled: true, or take it out", at=(key,)
                )


ADVICE: tuple[Rule, ...] = (
    Rule(key="velero", mistakes=veleros_installation_is_set_where_this_program_installs_it),
    Rule(key="etcd", mistakes=etcds_backup_is_set_where_it_runs),
    Rule(key="storage.accessLogDays", mistakes=access_logs_are_kept_where_there_are_some),
    Rule(key="monitoring", mistakes=monitoring_is_set_where_it_is_wanted),
    Rule(key="delivery.clusterAccess", mistakes=access_to_the_cluster_is_given_where_aws_gives_it),
    Rule(key="velero.dataMovers.cacheFrom", mistakes=a_cache_has_a_class),
    Rule(key="cluster.podIdentityAgent", mistakes=the_agent_of_pod_identities_is_installed_where_pods_use_it),
)
