"""The guard: what stops a region by itself that was replaced while it was away, before anybody has logged in.

A CronJob looks at the traffic flag every minute. A Pod beside it does the same whenever its node comes back: the kubelet
starts it again by itself, while a CronJob waits for the controller manager and the scheduler. docs/recovery.md has what is left
of a window in which both regions write.
"""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.failover.guard_specs import (
    AT_START,
    CREDENTIALS,
    NAME,
    GuardArgs,
    cron_job,
    deployment,
    in_words,
    metadata,
    rights,
)
from components.kube.job_runner import named_rules, rules
from components.kube.jobs import credentials_job
from components.kube.pods import LABELS
from components.kube.records import GUARD_RECORD
from components.kube.runner.rights import NEEDED
from settings.names import PROGRAM_NAMESPACE

_ROLE = f"{PROGRAM_NAMESPACE}-{NAME}"
_SUBJECT = {"kind": "ServiceAccount", "name": NAME, "namespace": PROGRAM_NAMESPACE}


class Guard(pulumi.ComponentResource):
    """The guard of one region, and what it needs. For users, whose writes a region that comes back would take and lose.

    Both regions have one, and nothing of it depends on `active`. It may change what it stops, and nothing else; of S3 it reads
    the flag alone.
    """

    def __init__(self, name: str, args: GuardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:failover:Guard", name, None, opts)
        self._stem, self._args = name, args
        ready = [*args.after, *self._account()]
        k8s.batch.v1.CronJob(
            f"{name}-job", metadata=metadata(NAME), spec=cron_job(args), opts=self._child(depends_on=[*ready, *args.access.ready])
        )
        waits = [*ready, *args.access.ready]
        if injection := args.access.injection:
            # This Pod keeps for its life what it was admitted with.
            waits.append(
                credentials_job(
                    f"{name}-credentials-come",
                    runner=args.runner,
                    namespace=PROGRAM_NAMESPACE,
                    account=NAME,
                    variable=injection.variable,
                    missing=injection.missing,
                    opts=self._child(depends_on=waits),
                )
            )
        k8s.apps.v1.Deployment(
            f"{name}-at-start",
            metadata={**metadata(AT_START), "annotations": {"k8s-dr/does": f"as it starts: {in_words(args.names)}"}},
            spec=deployment(args),
            opts=self._child(depends_on=waits),
        )
        self.register_outputs({})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _account(self) -> list[pulumi.Resource]:
        """The account with its rights and, where pods can have no role, its access key; and the record that it keeps."""
        name, access, after = self._stem, self._args.access, list(self._args.after)
        annotations = {"annotations": {"eks.amazonaws.com/role-arn": access.role_arn}} if access.role_arn else {}
        made: list[pulumi.Resource] = [
            k8s.core.v1.ServiceAccount(
                f"{name}-account", metadata={**metadata(NAME), **annotations}, opts=self._child(depends_on=after)
            ),
            # The program makes it empty: a right to create one could not be limited to a name. Its data are the guard's, and no
            # drift.
            k8s.core.v1.ConfigMap(
                f"{name}-record", metadata=metadata(GUARD_RECORD), opts=self._child(depends_on=after, ignore_changes=["data"])
            ),
            k8s.rbac.v1.ClusterRole(f"{name}-role", metadata={"name": _ROLE}, rules=rules(NEEDED), opts=self._child()),
            k8s.rbac.v1.ClusterRoleBinding(
                f"{name}-binding",
                metadata={"name": _ROLE},
                role_ref={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _ROLE},
                subjects=[_SUBJECT],
                opts=self._child(),
            ),
        ]
        for namespace, granted in rights(self._args.names, self._args.settings).items():
            own = {"name": _ROLE, "namespace": namespace, "labels": LABELS}
            made += [
                k8s.rbac.v1.Role(
                    f"{name}-role-{namespace}", metadata=own, rules=named_rules(granted), opts=self._child(depends_on=after)
                ),
                k8s.rbac.v1.RoleBinding(
                    f"{name}-binding-{namespace}",
                    metadata=own,
                    role_ref={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": _ROLE},
                    subjects=[_SUBJECT],
                    opts=self._child(depends_on=after),
                ),
            ]
        if key := access.key:
            secret = {field: pulumi.Output.secret(value) for field, value in key.secret_data().items()}
            made.append(
                k8s.core.v1.Secret(
                    f"{name}-credentials", metadata=metadata(CREDENTIALS), string_data=secret, opts=self._child(depends_on=after)
                )
            )
        return made
