"""The Kubernetes provider: handles one object by the same rules as the real pulumi-resource-kubernetes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from lab.standins.differences import differences, respond
from lab.standins.kubernetes_provider import manifests, replacement, wait_for
from lab.standins.kubernetes_provider.awaiting import (
    DEFAULT_SECONDS,
    DELETION_SECONDS,
    NotReadyError,
    seconds,
    until_created,
    until_gone,
    until_ready,
    verdict,
)
from lab.standins.kubernetes_provider.cluster import ApiError, Cluster, NoMatchError, UnreachableError, connect
from lab.standins.kubernetes_provider.manifests import Object, annotation, identifier, metadata, normalized
from lab.standins.kubernetes_provider.ownership import as_applied, created_by
from lab.standins.kubernetes_provider.readiness import judge
from lab.standins.provider import NotCoveredError, PartialFailureError, RefusedError, StandIn, name_of, type_of
from lab.standins.values import from_struct, has_secret, has_unknown, hide_like, prune, reveal, secret

_UNREACHABLE = "configured Kubernetes cluster is unreachable"
_FORGET = (
    "If the cluster was deleted, you can remove this resource from Pulumi state by rerunning the operation with the "
    'PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"'
)
_SETTINGS = {"context", "kubeconfig", "clusterIdentifier", "namespace", "enableConfigMapMutable", "enableSecretMutable"}
_WITHOUT_EFFECT = {
    "version",
    "strictMode",
    "kubeClientSettings",
    "suppressDeprecationWarnings",
    "suppressHelmHookWarnings",
    "helmReleaseSettings",
}


def field_manager(inputs: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """The field manager: the one in the annotation, else the one of the first operation, else a new one."""
    return (
        annotation(inputs, "pulumi.com/patchFieldManager")
        or str(state.get("__fieldManager", ""))
        or f"pulumi-kubernetes-{secrets.token_hex(4)}"
    )


def checkpoint(live: Object, inputs: Mapping[str, Any], manager: str, api_version: str) -> dict[str, Any]:
    """The state: the current object and its inputs. Values that are secret in the inputs stay secret."""
    state = hide_like(live, inputs)
    if live.get("kind") == "Secret" and "data" in live and has_secret(inputs.get("stringData")):
        state["data"] = secret(live["data"])
    return {**state, "__inputs": dict(inputs), "__initialApiVersion": api_version, "__fieldManager": manager}


def split(state: Mapping[str, Any]) -> tuple[Object, Object]:
    """The inputs and the live object in a state, with secrets revealed."""
    plain = reveal(dict(state))
    live = {key: value for key, value in plain.items() if not key.startswith("__")}
    return plain.get("__inputs") or {}, live


def force(inputs: Mapping[str, Any], live: Object, manager: str, *, preview: bool) -> bool:
    """Whether to take over fields of other managers.

    A preview also forces if `manager` created the object, because only a real update can rewrite `managedFields`.
    """
    if annotation(inputs, "pulumi.com/patchForce") == "true" or os.environ.get("PULUMI_K8S_ENABLE_PATCH_FORCE") == "true":
        return True
    return preview and bool(created_by(metadata(live).get("managedFields") or [], manager))


class KubernetesProvider(StandIn):
    name = "kubernetes"
    version = version("pulumi_kubernetes")

    _cluster: Cluster | None = None
    _unreachable = ""
    _warned = False
    _settings: Mapping[str, Any] = {}

    def configure(self, settings: dict[str, Any]) -> None:
        if settings.pop("enableServerSideApply", "true") != "true":
            raise NotCoveredError("the Kubernetes stand-in knows server-side apply only: enableServerSideApply must be true")
        if unknown := {key for key, value in settings.items() if value not in ("", "false")} - _SETTINGS - _WITHOUT_EFFECT:
            raise NotCoveredError(f"the Kubernetes stand-in does not cover the provider's {', '.join(sorted(unknown))}")
        self._settings = settings
        self.place = str(settings.get("context") or settings.get("clusterIdentifier") or "")
        try:
            self._cluster = Cluster(connect(settings.get("kubeconfig"), settings.get("context")))
        except (UnreachableError, ApiError) as error:
            self._unreachable = str(error)

    def replaces_provider(self, old: dict[str, Any], new: dict[str, Any]) -> bool:
        if new.get("clusterIdentifier") and old.get("clusterIdentifier") == new["clusterIdentifier"]:
            return False
        return any(old.get(key) != new.get(key) for key in ("kubeconfig", "context", "clusterIdentifier"))

    def _connected(self) -> Cluster:
        if self._cluster is None:
            raise RefusedError(f"{_UNREACHABLE}: {self._unreachable}")
        return self._cluster

    def _can_preview(self, urn: str, inputs: Object) -> bool:
        """Whether the cluster can compute a preview of the inputs by a dry run."""
        if self._cluster is None and not self._warned:
            self._warned = True
            self.engine.say("WARNING", f"{_UNREACHABLE}: {self._unreachable}", urn)
        return self._cluster is not None and not has_unknown(inputs) and self._cluster.serves(inputs)

    def check(self, urn: str, old: dict[str, Any], new: dict[str, Any], seed: bytes) -> dict[str, Any]:
        if type_of(urn) == manifests.RELEASE:
            return new  # a preview can show it; `create` refuses
        manifests.refuse_uncovered(type_of(urn))
        named = manifests.with_name(new, reveal(old), name_of(urn), seed)
        condition = annotation(reveal(named), "pulumi.com/waitFor")
        if condition and not has_unknown(condition):
            wait_for.parse(condition)
        namespace = self._settings.get("namespace")
        if namespace and not metadata(named).get("namespace"):
            raise NotCoveredError(f"the Kubernetes stand-in fills in no namespace: write it at {name_of(urn)}")
        return named

    def diff(self, request: Any) -> Any:
        state, new = from_struct(request.olds), normalized(reveal(from_struct(request.news)))
        old_inputs, live = split(state)
        old_inputs = normalized(old_inputs)
        old = normalized(prune(live, old_inputs))
        paths = replacement.forced(
            str(new.get("apiVersion", "")),
            str(new.get("kind", "")),
            config_map_mutable=self._settings.get("enableConfigMapMutable") == "true",
            secret_mutable=self._settings.get("enableSecretMutable") == "true",
        )
        same_place = metadata(old).get("name") == metadata(new).get("name") and _namespace(old) == _namespace(new)
        response = respond(
            list(differences(_placed(old), _placed(new))),
            lambda difference: replacement.forces_replacement(difference, paths),
            delete_before_replace=True,
        )
        if annotation(new, "pulumi.com/replaceUnready") == "true" and self._is_unready_job(new):
            response.changes = response.DIFF_SOME
            response.replaces.append('metadata.annotations["pulumi.com/replaceUnready"]')
        autonamed = annotation(new, manifests.AUTONAMED) == "true"
        response.deleteBeforeReplace = bool(response.replaces) and same_place and not autonamed
        return response

    def _is_unready_job(self, inputs: Object) -> bool:
        if inputs.get("kind") != "Job" or self._cluster is None or has_unknown(inputs):
            return False
        try:
            live = self._cluster.find(inputs)
        except (ApiError, UnreachableError):
            return False
        return live is not None and judge(live).state != "ready"

    def create(self, urn: str, inputs: dict[str, Any], *, timeout: float, preview: bool) -> tuple[str, dict[str, Any]]:
        plain = reveal(inputs)
        if type_of(urn) == manifests.RELEASE:
            if preview:
                return "", inputs
            manifests.refuse_uncovered(manifests.RELEASE)
        if preview and not self._can_preview(urn, plain):
            return "", inputs
        cluster, manager = self._connected(), field_manager(plain, {})
        api_version = str(plain["apiVersion"])
        try:
            if preview:
                live = cluster.create(plain, manager, dry_run=True)
                live.pop("status", None)
                return "", checkpoint(live, inputs, manager, api_version)
            live = until_created(lambda: cluster.create(plain, manager, dry_run=False))
        except NoMatchError as error:
            raise RefusedError(
                f"creation of resource {identifier(plain)} failed because the Kubernetes API server reported that the apiVersion "
                f"for this resource does not exist. Verify that any required CRDs have been created: {error}"
            ) from None
        except ApiError as error:
            # These errors do not mean that the update would fail: the object may be about to be replaced, and its namespace
            # about to be created.
            if preview and (error.already_exists or error.not_found or error.forbidden):
                return "", inputs
            raise RefusedError(
                f"resource {identifier(plain)} was not successfully created by the Kubernetes API server: {error}"
            ) from None
        except UnreachableError as error:
            raise RefusedError(f"{_UNREACHABLE}: {error}") from None
        try:
            live = until_ready(cluster, plain, live, timeout=seconds(timeout, plain, DEFAULT_SECONDS))
        except NotReadyError as error:
            reason = (
                f"resource {identifier(plain)} was successfully created, but the Kubernetes API server reported that it failed "
                f"to fully initialize or become live: {error}"
            )
            state = checkpoint(error.live, inputs, manager, api_version)
            raise PartialFailureError(identifier(error.live), state, [reason, *error.details]) from None
        return identifier(live), checkpoint(live, inputs, manager, api_version)

    def update(
        self, urn: str, identifier: str, state: dict[str, Any], inputs: dict[str, Any], *, timeout: float, preview: bool
    ) -> dict[str, Any]:
        plain = normalized(reveal(inputs))
        if preview and not self._can_preview(urn, plain):
            return inputs
        cluster, manager = self._connected(), field_manager(plain, reveal(state))
        api_version = str(state.get("__initialApiVersion") or plain["apiVersion"])
        subject = manifests.identifier(plain)
        live: Object | None = None
        try:
            live = cluster.get(plain)
            applied = self._apply(cluster, plain, live, manager, preview=preview)
            if preview:
                return checkpoint(applied, inputs, manager, api_version)
            live = until_ready(cluster, plain, applied, timeout=seconds(timeout, plain, DEFAULT_SECONDS))
        except UnreachableError as error:
            raise RefusedError(f"{_UNREACHABLE}: {error}") from None
        except (ApiError, NoMatchError, NotReadyError) as error:
            if preview and isinstance(error, ApiError) and error.forbidden:
                return inputs
            reason = f'the Kubernetes API server reported that "{subject}" failed to fully initialize or become live: {error}'
            if preview or live is None:
                raise RefusedError(f"update of resource {subject} failed: {reason}") from None
            shown, details = (error.live, error.details) if isinstance(error, NotReadyError) else (live, [])
            failed = checkpoint(shown, inputs, manager, api_version)
            raise PartialFailureError(identifier, failed, [reason, *details]) from None
        return checkpoint(live, inputs, manager, api_version)

    def _apply(self, cluster: Cluster, plain: Object, live: Object, manager: str, *, preview: bool) -> Object:
        managed = metadata(live).get("managedFields") or []
        if not preview and created_by(managed, manager):
            cluster.set_managed_fields(live, as_applied(managed, manager))
        try:
            return cluster.apply(plain, manager, force=force(plain, live, manager, preview=preview), dry_run=preview)
        except ApiError as error:
            if error.conflict:
                raise ApiError(
                    error.status,
                    error.reason,
                    "Server-Side Apply field conflict detected. The resource managed by field manager "
                    f'"{manager}" had an apply conflict: {error}',
                ) from None
            raise

    def read(
        self, urn: str, identifier: str, state: dict[str, Any], inputs: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        if self._cluster is None:
            self.engine.say("WARNING", f"{_UNREACHABLE}: {self._unreachable}", urn)
            if os.environ.get("PULUMI_K8S_DELETE_UNREACHABLE") == "true":
                return None
            raise RefusedError(f"failed to read resource state due to unreachable cluster. {_FORGET}")
        namespace, _, name = identifier.rpartition("/")
        wanted = normalized(reveal(inputs)) or _of_type(type_of(urn), namespace, name)
        try:
            live = self._cluster.find(wanted, name)
        except (ApiError, UnreachableError) as error:
            raise RefusedError(f"reading {identifier} failed: {error}") from None
        if live is None:
            return None
        known = normalized({key: value for key, value in live.items() if key != "status"})
        current = hide_like(prune(live, wanted) if inputs else known, inputs)
        if has_secret(inputs.get("stringData")):
            current["data"] = secret(current.get("data") or {})
        manager = field_manager(wanted, reveal(state))
        answer = checkpoint(live, {**inputs, **current} if inputs else current, manager, str(wanted["apiVersion"]))
        answer["__inputs"] = current
        judged = verdict(self._cluster, wanted, live)
        if inputs and judged.state != "ready":
            raise PartialFailureError(identifier, answer, [judged.reason], current)
        return answer, current

    def delete(self, urn: str, identifier: str, state: dict[str, Any], *, timeout: float) -> None:
        if self._cluster is None:
            self.engine.say("WARNING", f"{_UNREACHABLE}: {self._unreachable}", urn)
            if os.environ.get("PULUMI_K8S_DELETE_UNREACHABLE") == "true":
                return
            raise RefusedError(f"{_UNREACHABLE}. {_FORGET}")
        _, live = split(state)
        name = identifier.rpartition("/")[2]
        policy = (annotation(live, "pulumi.com/deletionPropagationPolicy") or "foreground").capitalize()
        try:
            current = self._cluster.find(live, name)
            if current is None:
                return
            self._cluster.delete(live, name, policy)
            if not until_gone(self._cluster, current, name, timeout=seconds(timeout, live, DELETION_SECONDS)):
                raise RefusedError(f"{identifier} is still there: its deletion timed out, see its finalizers")
        except NoMatchError:
            return
        except ApiError as error:
            if not error.not_found:
                raise RefusedError(f"deleting {identifier} failed: {error}") from None
        except UnreachableError as error:
            raise RefusedError(f"{_UNREACHABLE}: {error}") from None


def _namespace(obj: Mapping[str, Any]) -> str:
    return metadata(obj).get("namespace") or "default"


def _placed(obj: Object) -> Object:
    """The object with an explicit namespace, because no namespace means `default`."""
    return {**obj, "metadata": {**metadata(obj), "namespace": _namespace(obj)}}


def _of_type(token: str, namespace: str, name: str) -> Object:
    """The object for an import, which only knows its type and id."""
    _, module, kind = token.split(":")
    group, _, version = module.partition("/")
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version if group == "core" else module, "kind": kind, "metadata": meta}
