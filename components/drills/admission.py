"""What the drills' accounts may do where Kubernetes' rights know no names, as a ValidatingAdmissionPolicy.

Velero may do anything, so whoever may make a Restore could restore anything over anything. And a volume has no namespace: whoever
may change how long one is kept could have every disk of the cluster deleted. A policy reads what is asked for, and refuses all
but what a drill does. It concerns nobody but these accounts.
"""

from __future__ import annotations

import json
from typing import Any

from components.drills.namespace_specs import MODIFIERS, Source, restore
from components.drills.pods import DrillsArgs, name_of
from components.kube.runner.drill_record import LABEL
from components.kube.runner.drill_space import PROVISIONED_BY
from components.kube.runner.rights import Right
from settings.names import DRILLS_NAMESPACE, PROGRAM_NAMESPACE, SCRATCH_NAMESPACE

POLICY = "k8s-dr-drills"

CLUSTER_RIGHTS = tuple(Right(verb=verb, group="", resource="persistentvolumes") for verb in ("list", "patch"))
"""What both restore drills may do in the whole cluster, within what the policy lets through."""


def _accounts() -> list[str]:
    return [f"system:serviceaccount:{PROGRAM_NAMESPACE}:{name_of(kind)}" for kind in ("namespace", "database")]


def policy(args: DrillsArgs, found: Source | None) -> dict[str, Any]:
    """Spec of the policy. Without a namespace to restore, these accounts make no Restore at all."""
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["velero.io"],
                    "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE", "DELETE"],
                    "resources": ["restores", "downloadrequests"],
                },
                {"apiGroups": [""], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["persistentvolumes"]},
            ]
        },
        "matchConditions": [{"name": "drills", "expression": f"request.userInfo.username in {json.dumps(_accounts())}"}],
        "validations": [
            {"expression": _only_where("restores", "CREATE", _restore(args, found)), "message": "a drill makes no other Restore"},
            {"expression": _only_where("restores", "UPDATE", "false"), "message": "a drill changes no Restore"},
            {
                "expression": _only_where(
                    "restores", "DELETE", f"oldObject.metadata.?labels[?{json.dumps(LABEL)}].orValue('') == 'namespace'"
                ),
                "message": "a drill deletes no Restore but a drill's",
            },
            {
                "expression": _only_where(
                    "downloadrequests",
                    "CREATE",
                    "object.spec.target.kind in ['BackupResourceList', 'BackupVolumeInfos', 'RestoreResults']",
                ),
                "message": "a drill reads no contents of a backup",
            },
            {
                "expression": _only_where(
                    "persistentvolumes",
                    "UPDATE",
                    f"oldObject.spec.?claimRef.?namespace.orValue('') in {json.dumps([DRILLS_NAMESPACE, SCRATCH_NAMESPACE])} && "
                    # One that somebody made by hand is nobody's to give up.
                    f"oldObject.metadata.?annotations[?{json.dumps(PROVISIONED_BY)}].orValue('') != ''",
                ),
                "message": "a drill changes no volume but its own",
            },
        ],
    }


def _only_where(resource: str, operation: str, holds: str) -> str:
    """An expression that says something of one kind and operation, and nothing of the others."""
    return f"request.resource.resource != '{resource}' || request.operation != '{operation}' || ({holds})"


_ABSENT = (
    "scheduleName",
    "excludedNamespaces",
    "excludedResources",
    "orLabelSelectors",
    "restoreStatus",
    "restorePVs",
    "preserveNodePorts",
    "resourcePolicy",
)
"""Fields by which a Restore would bring more, or otherwise, than the drill's, which has none of them."""


def _labelled(which: str) -> str:
    return f"{which}.metadata.?labels[?{json.dumps(LABEL)}].orValue('') == 'namespace'"


def _restore(args: DrillsArgs, found: Source | None) -> str:
    if found is None:
        return "false"
    spec = restore(args.settings, found)
    labels = json.dumps([f"{each['key']} {each['operator']}" for each in spec["labelSelector"]["matchExpressions"]])
    return " && ".join(
        (
            f"object.spec.?includedNamespaces.orValue([]) == {json.dumps(spec['includedNamespaces'])}",
            f"object.spec.?namespaceMapping.orValue({{}}) == {json.dumps(spec['namespaceMapping'])}",
            f"object.spec.?includedResources.orValue([]) == {json.dumps(spec['includedResources'])}",
            "object.spec.?includeClusterResources.orValue(true) == false",
            # Velero passes over rules of another kind without a word (restore_controller.go), and takes this one in any case.
            f"object.spec.?resourceModifier.?kind.orValue('') == {json.dumps(spec['resourceModifier']['kind'])}",
            f"object.spec.?resourceModifier.?name.orValue('') == {json.dumps(MODIFIERS)}",
            # Another policy than this one changes what is there already.
            f"object.spec.?existingResourcePolicy.orValue('') == {json.dumps(spec['existingResourcePolicy'])}",
            f"object.spec.?labelSelector.?matchExpressions.orValue([]).map(each, each.key + ' ' + each.operator) == {labels}",
            *(f"!has(object.spec.{each})" for each in _ABSENT),
            # Hooks run commands in Pods.
            "object.spec.?hooks.?resources.orValue([]).size() == 0",
            _labelled("object"),
        )
    )


def binding() -> dict[str, Any]:
    return {"policyName": POLICY, "validationActions": ["Deny"]}
