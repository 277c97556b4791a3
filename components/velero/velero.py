"""Velero on one cluster, as plain resources, and the two locations from which it reads backups.

It is not installed by its chart. Every preview and every `up` resolves a chart, so its repository would be needed at 3 a.m.; and
a reviewer should see every object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import pulumi
import pulumi_kubernetes as k8s
from pydantic import SecretStr

from components.iam.access import Access
from components.kube.jobs import credentials_job
from components.kube.pods import ONLY_ADMISSION, Runner, runner_code
from components.velero import specs
from components.velero.specs import OWN, PEER, VELERO_NAMESPACE
from settings.images import Images
from settings.names import Names
from settings.pods import PodsSettings
from settings.roles import peer_of
from settings.velero import VeleroSettings


@dataclass(frozen=True, kw_only=True)
class VeleroArgs:
    """`repository_password` must be the same in both regions. Otherwise neither can read the other's volume backups."""

    names: Names
    settings: VeleroSettings
    images: Images
    pods: PodsSettings
    bucket: pulumi.Input[str]
    bucket_ready: Sequence[pulumi.Resource]
    repository_password: SecretStr
    access: Access = field(default_factory=Access)
    endpoint: str | None = None
    locked: bool = False
    """The bucket has Object Lock."""


class Velero(pulumi.ComponentResource):
    """Velero's server, node agent and CRDs in one cluster, and the locations `own` and `peer` on the region's own bucket.

    For both regions alike, whichever is active. The region that serves backs up to `own`; the other reads what S3 replication
    brought to `peer`, which is read-only. Both locations are in the region itself, so a restore asks nothing of a dead region.
    With `managed: false` somebody else has installed Velero, and only the locations are added.
    """

    ready: list[pulumi.Resource]
    """What schedules and restores need: the server and both locations."""

    def __init__(self, name: str, args: VeleroArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:velero:Velero", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        self._stem, self._args = name, args
        installed = self._install() if args.settings.managed else []
        if args.settings.snapshot_class.managed:
            # The SDK's own CustomResource has a spec and nothing else, and this kind has none.
            pulumi.CustomResource(
                "kubernetes:snapshot.storage.k8s.io/v1:VolumeSnapshotClass",
                f"{name}-snapshot-class",
                specs.snapshot_class(args.settings.snapshot_class),
                child(),
            )
        locations = [
            k8s.apiextensions.CustomResource(
                f"{name}-{location_name}",
                api_version="velero.io/v1",
                kind="BackupStorageLocation",
                metadata={
                    "name": location_name,
                    "namespace": VELERO_NAMESPACE,
                    "annotations": {"pulumi.com/waitFor": "jsonpath={.status.phase}=Available"},
                },
                spec=specs.location(args.names, role, args.bucket, endpoint=args.endpoint, locked=args.locked),
                opts=child(depends_on=[*installed, *args.bucket_ready], custom_timeouts=pulumi.CustomTimeouts(create="5m")),
            )
            for location_name, role in ((OWN, args.names.role), (PEER, peer_of(args.names.role)))
        ]
        self.ready = [*installed, *locations]
        self.register_outputs({})

    def _install(self) -> list[pulumi.Resource]:
        name, args = self._stem, self._args
        child = partial(pulumi.ResourceOptions, parent=self)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": VELERO_NAMESPACE, "labels": specs.namespace_labels(args.pods)},
            opts=child(protect=True, retain_on_delete=True),
        )
        inside = partial(child, depends_on=[namespace])
        # Policies add up: where somebody refuses by default, in each new namespace too, Velero still reaches S3.
        network = k8s.networking.v1.NetworkPolicy(
            f"{name}-network",
            metadata={"name": "velero", "namespace": VELERO_NAMESPACE, "labels": specs.COMPONENT},
            spec=specs.network_policy(),
            opts=inside(),
        )
        account = k8s.core.v1.ServiceAccount(
            f"{name}-account",
            metadata=specs.service_account(args.access.role_arn),
            # Velero makes Pods of this account too, which pull by it: data movers, and Jobs that maintain a repository.
            image_pull_secrets=args.pods.pull_secrets() or None,
            opts=inside(),
        )
        admin = k8s.rbac.v1.ClusterRoleBinding(
            f"{name}-admin",
            metadata={"name": "velero", "labels": specs.COMPONENT},
            role_ref=specs.binding()["roleRef"],
            subjects=specs.binding()["subjects"],
            opts=inside(),
        )
        # The Secret must exist before the server first starts, which otherwise makes it with a password that everybody knows.
        # Retained: without it no volume backup can be read, and the password cannot be changed afterwards.
        password = k8s.core.v1.Secret(
            f"{name}-repository-password",
            metadata={"name": specs.REPOSITORY_PASSWORD, "namespace": VELERO_NAMESPACE},
            string_data={"repository-password": pulumi.Output.secret(args.repository_password.get_secret_value())},
            opts=inside(retain_on_delete=True),
        )
        prerequisites: list[pulumi.Resource] = [account, admin, password]
        static = args.access.key is not None
        if key := args.access.key:
            file = (
                f"[default]\naws_access_key_id={key.access_key_id.get_secret_value()}\n"
                f"aws_secret_access_key={key.secret_access_key.get_secret_value()}\n"
            )
            prerequisites.append(
                k8s.core.v1.Secret(
                    f"{name}-credentials",
                    metadata={"name": "cloud-credentials", "namespace": VELERO_NAMESPACE},
                    string_data={"cloud": pulumi.Output.secret(file)},
                    opts=inside(),
                )
            )
        crds = k8s.batch.v1.Job(
            f"{name}-crds",
            metadata={
                "name": specs.crd_job_name(args.images.velero),
                "namespace": VELERO_NAMESPACE,
                "labels": specs.COMPONENT,
                "annotations": {"pulumi.com/replaceUnready": "true"},
            },
            spec=specs.crd_job(args.images.velero, args.settings.tolerations, args.pods),
            opts=child(depends_on=[account, admin, network], ignore_changes=list(ONLY_ADMISSION)),
        )
        if injection := args.access.injection:
            # Server and agents keep for their lives what they were admitted with.
            admitted = child(depends_on=[account, *args.access.ready])
            code = runner_code(f"{name}-credentials-come-code", admitted, VELERO_NAMESPACE)
            prerequisites.append(
                credentials_job(
                    f"{name}-credentials-come",
                    runner=Runner(image=args.images.python, code=code, pods=args.pods),
                    namespace=VELERO_NAMESPACE,
                    account=specs.SERVICE_ACCOUNT.name,
                    variable=injection.variable,
                    missing=injection.missing,
                    opts=admitted,
                )
            )
        running = partial(child, depends_on=[crds, *prerequisites, *args.access.ready])
        server = k8s.apps.v1.Deployment(
            f"{name}-server",
            metadata={"name": "velero", "namespace": VELERO_NAMESPACE, "labels": specs.COMPONENT},
            spec=specs.deployment(args.names, args.images, args.settings, static_credentials=static, pods=args.pods),
            opts=running(),
        )
        movers = k8s.core.v1.ConfigMap(
            f"{name}-node-agent-config",
            metadata={"name": specs.NODE_AGENT_CONFIG, "namespace": VELERO_NAMESPACE, "labels": specs.COMPONENT},
            data=specs.node_agent_config(args.settings.data_movers),
            opts=inside(),
        )
        agent = k8s.apps.v1.DaemonSet(
            f"{name}-node-agent",
            metadata={"name": "node-agent", "namespace": VELERO_NAMESPACE, "labels": specs.COMPONENT},
            spec=specs.node_agent(args.names, args.images, args.settings, static_credentials=static, pods=args.pods),
            opts=child(depends_on=[crds, *prerequisites, *args.access.ready, movers]),
        )
        return [server, agent]
