"""As `tried_harmful`, of what Velero reads: resource modifiers, labels, taints and sizes."""

from __future__ import annotations

from typing import Any

from tests.unit.settings.tried_parts import backup, modifier, patch, selector, toleration

Row = tuple[str, dict[str, Any], str]

HARMFUL: list[Row] = [
    (
        "an operation that JSON patches have not",
        patch(operation="set", value="3"),
        "velero.modifiers[0].patches[0].operation: set is not one of 'add', 'remove', 'replace', 'move', 'copy', "
        "'test'; write one of them",
    ),
    (
        "an operation with a capital",
        patch(operation="Replace", value="3"),
        "velero.modifiers[0].patches[0].operation: Replace is not one of 'add', 'remove', 'replace', 'move', 'copy', "
        "'test'; did you mean replace?",
    ),
    (
        "a path without its slash",
        patch(path="spec/replicas", value="3"),
        "velero.modifiers[0].patches[0].path: spec/replicas is not a JSON pointer (RFC 6901); write /spec/replicas",
    ),
    (
        "a path as kubectl's JSONPath",
        patch(path=".spec.replicas", value="3"),
        "velero.modifiers[0].patches[0].path: .spec.replicas is not a JSON pointer (RFC 6901); write /spec/replicas",
    ),
    (
        "a slash in the name of an annotation",
        patch(path="/metadata/annotations/example.com/team", value="a"),
        "velero.modifiers[0].patches[0].path: /metadata/annotations/example.com/team has a / in the name of a label "
        "or an annotation, which a JSON pointer writes as ~1; write /metadata/annotations/example.com~1team",
    ),
    (
        "a replacement without a value",
        patch(),
        "velero.modifiers[0].patches[0]: has operation replace and no value; add it, as text",
    ),
    (
        "a removal with a value",
        patch(operation="remove", value="3"),
        "velero.modifiers[0].patches[0]: has operation remove and a value, which it does not take; take it out",
    ),
    (
        "a move from nowhere",
        patch(operation="move"),
        "velero.modifiers[0].patches[0]: has operation move and no from, the place where the value is now; add it",
    ),
    (
        "a move into itself",
        patch(operation="move", **{"from": "/spec", "path": "/spec/old"}),
        "velero.modifiers[0].patches[0].path: moves /spec into itself; write another path",
    ),
    (
        "a number with a leading zero",
        patch(value="007"),
        "velero.modifiers[0].patches[0].value: is read as a number or a boolean and is not JSON; write it in quotes "
        "of its own, as in '\"007\"'",
    ),
    (
        "true with a capital",
        patch(value="True"),
        "velero.modifiers[0].patches[0].value: is read as a number or a boolean and is not JSON; write it in quotes "
        "of its own, as in '\"007\"'",
    ),
    (
        "a value with quotes in it",
        patch(value='say "hi"'),
        "velero.modifiers[0].patches[0].value: has a quote, a backslash or a line break, at which Velero's JSON "
        'breaks; write them as in JSON: \\" \\\\ \\n',
    ),
    (
        "an object that is YAML and not JSON",
        patch(value="{app: web}"),
        "velero.modifiers[0].patches[0].value: begins as an object or a list and is not JSON; write it as JSON, as "
        'in {"app": "web"}',
    ),
    (
        "a value that is a number",
        patch(value=3),
        "velero.modifiers[0].patches[0].value: is not text; write it in quotes: with add, replace and test: the "
        "value, as text; in quotes of its own where it must stay text, as in '\"3\"'",
    ),
    (
        "a kind as a manifest has it",
        modifier(kind="Deployment"),
        "velero.modifiers[0].conditions.groupResource: Deployment is not a kind, plural with its group; did you mean "
        "deployments.apps?",
    ),
    (
        "a kind in the singular",
        modifier(kind="statefulset.apps"),
        "velero.modifiers[0].conditions.groupResource: statefulset.apps is not a kind, plural with its group; did "
        "you mean statefulsets.apps?",
    ),
    (
        "a kind as apiVersion and kind have it",
        modifier(kind="networking.k8s.io/v1/Ingress"),
        "velero.modifiers[0].conditions.groupResource: networking.k8s.io/v1/Ingress is not a kind, plural with its "
        "group; did you mean ingresses.networking.k8s.io?",
    ),
    (
        "a short name of kubectl",
        modifier(kind="pvc"),
        "velero.modifiers[0].conditions.groupResource: pvc is not a kind, plural with its group; did you mean "
        "persistentvolumeclaims?",
    ),
    (
        "a pattern that is none",
        modifier(kind="{deployments,statefulsets.apps"),
        "velero.modifiers[0].conditions.groupResource: {deployments,statefulsets.apps is not a pattern for kinds; "
        "write one as in *.apps, or ** for every kind",
    ),
    (
        "an expression as shells have it",
        modifier(resourceNameRegex="*web*"),
        "velero.modifiers[0].conditions.resourceNameRegex: *web* is not a regular expression (nothing to repeat); "
        "write one as in ^web-",
    ),
    (
        "an expression that Go has not",
        modifier(resourceNameRegex="^(?!web)"),
        "velero.modifiers[0].conditions.resourceNameRegex: ^(?!web) has (?!, which Go's regular expressions have "
        "not, so Velero would not use it; write it without",
    ),
    (
        "a strategic patch of a custom resource",
        modifier(kind="rollouts.argoproj.io", strategicPatches=[{"patchData": "spec: {}"}]),
        "velero.modifiers[0]: has strategicPatches for rollouts.argoproj.io, and these are for kinds of Kubernetes "
        "itself alone; write mergePatches",
    ),
    (
        "a merge patch that is no object",
        modifier(mergePatches=[{"patchData": "hunter2"}]),
        "velero.modifiers[0].mergePatches[0].patchData: is not an object; write it as in spec: {replicas: 1}",
    ),
    (
        "a merge patch that is not YAML",
        modifier(mergePatches=[{"patchData": "{hunter2: ["}]),
        "velero.modifiers[0].mergePatches[0].patchData: is neither YAML nor JSON; write it as in spec: {replicas: 1}",
    ),
    (
        "a value of a match with a line break",
        modifier(matches=[{"path": "/data/a", "value": "a\nb"}]),
        "velero.modifiers[0].conditions.matches[0].value: has a quote, a backslash or a line break, at which "
        "Velero's JSON breaks; write them as in JSON: \\\" \\\\ \\n",
    ),
    (
        "a label with two slashes",
        selector(matchLabels={"app/kubernetes/name": "web"}),
        "velero.modifiers[0].conditions.labelSelector.matchLabels: app/kubernetes/name is not the key of a label "
        "(letters, digits, -, _ and ., 63 at most; before a / a domain in lower case); write one as in "
        "app.kubernetes.io/name",
    ),
    (
        "a label's value with a space",
        selector(matchLabels={"app": "web server"}),
        "velero.modifiers[0].conditions.labelSelector.matchLabels.app: web server is not the value of a label "
        "(letters, digits, -, _ and ., 63 at most, a letter or digit at each end); write one as in storage",
    ),
    (
        "In without values",
        selector(matchExpressions=[{"key": "app", "operator": "In"}]),
        "velero.modifiers[0].conditions.labelSelector.matchExpressions[0]: has no values, which In compares; write "
        "values: […], or operator: Exists",
    ),
    (
        "Exists with values",
        selector(matchExpressions=[{"key": "app", "operator": "Exists", "values": ["web"]}]),
        "velero.modifiers[0].conditions.labelSelector.matchExpressions[0]: has values, which Exists does not "
        "compare; take them out, or write operator: In",
    ),
    (
        "a value in a list with a slash",
        selector(matchExpressions=[{"key": "app", "operator": "In", "values": ["web/api"]}]),
        "velero.modifiers[0].conditions.labelSelector.matchExpressions[0].values[0]: web/api is not the value of a "
        "label (letters, digits, -, _ and ., 63 at most, a letter or digit at each end); write one as in storage",
    ),
    (
        "a taint's key and value in one",
        toleration(key="dedicated=storage"),
        "velero.tolerations[0].key: dedicated=storage is not the key of a label (letters, digits, -, _ and ., 63 at "
        "most; before a / a domain in lower case); write one as in app.kubernetes.io/name",
    ),
    (
        "a taint's value with a slash",
        toleration(key="dedicated", value="team/storage"),
        "velero.tolerations[0].value: team/storage is not the value of a label (letters, digits, -, _ and ., 63 at "
        "most, a letter or digit at each end); write one as in storage",
    ),
    (
        "an effect that is misspelt",
        toleration(key="dedicated", operator="Exists", effect="NoScheduled"),
        "velero.tolerations[0].effect: NoScheduled is not one of 'NoSchedule', 'PreferNoSchedule', 'NoExecute'; did "
        "you mean NoSchedule?",
    ),
    (
        "Equal without a key",
        toleration(value="storage"),
        "velero.tolerations[0]: has no key, and Equal compares one; write key, or operator: Exists for every taint",
    ),
    (
        "Exists with a value",
        toleration(key="dedicated", operator="Exists", value="storage"),
        "velero.tolerations[0]: has a value, which Exists does not compare; take value out, or write operator: Equal",
    ),
    (
        "a label of nodes with a space",
        {"velero": {"dataMovers": {"nodes": {"node pool": "storage"}}}},
        "velero.dataMovers.nodes: node pool is not the key of a label (letters, digits, -, _ and ., 63 at most; "
        "before a / a domain in lower case); write one as in app.kubernetes.io/name",
    ),
    (
        "a label of nodes of 64 characters",
        {"velero": {"dataMovers": {"nodes": {"pool": "x" * 64}}}},
        "velero.dataMovers.nodes.pool: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx is longer than 63"
        " characters; shorten it by 1",
    ),
    (
        "a label of nodes that is true",
        {"velero": {"dataMovers": {"nodes": {"pool": True}}}},
        "velero.dataMovers.nodes.pool: true is not text; write it in quotes",
    ),
    (
        "a label of claims that begins with a hyphen",
        {"velero": {"volumes": [{"labels": {"-app": "cache"}, "action": "skip"}]}},
        "velero.volumes[0].labels: -app is not the key of a label (letters, digits, -, _ and ., 63 at most; before a "
        "/ a domain in lower case); write one as in app.kubernetes.io/name",
    ),
    (
        "a size of volumes as df writes it",
        {"velero": {"volumes": [{"smallest": "10GB", "action": "skip"}]}},
        "velero.volumes[0].smallest: 10GB is not a size as Kubernetes writes it; write 10Gi",
    ),
    (
        "memory in thousandths of a byte",
        {"velero": {"resources": {"memoryLimit": "1024m"}}},
        "velero.resources.memoryLimit: 1024m is not a size as Kubernetes writes it; write 1024Mi",
    ),
    (
        "the kind of a backup in the singular",
        backup(excludeResources=["secret"]),
        "backups[0].excludeResources[0]: secret is not a kind, plural with its group; did you mean secrets?",
    ),
]

VALID: list[tuple[str, dict[str, Any]]] = [
    ("text that looks like a number, in quotes of its own", patch(value='"007"')),
    ("an empty text as a value", patch(value="")),
    ("an object as a value", patch(value='{"app": "web"}')),
    ("null as a value", patch(operation="test", value="null")),
    (
        "a slash in an annotation's name as JSON pointers write it",
        patch(path="/metadata/annotations/example.com~1team", value="a"),
    ),
    ("every kind", modifier(kind="**")),
    ("two kinds of a group", modifier(kind="{deployments,statefulsets}.apps")),
    ("a custom resource", modifier(kind="rollouts.argoproj.io", mergePatches=[{"patchData": "spec: {replicas: 1}"}])),
    ("namespaces by an asterisk", modifier(namespaces=["team-*"])),
    ("an expression with classes", modifier(resourceNameRegex=r"^web-[[:digit:]]+\z")),
    ("no such label", selector(matchExpressions=[{"key": "app.kubernetes.io/part-of", "operator": "DoesNotExist"}])),
    ("every taint", toleration(operator="Exists")),
    ("a taint without a value", toleration(key="node.kubernetes.io/not-ready", value="", effect="NoExecute")),
    ("a label without a value", {"velero": {"dataMovers": {"nodes": {"node-role.kubernetes.io/storage": ""}}}}),
    ("volumes of decimal sizes", {"velero": {"volumes": [{"smallest": "1.5Ti", "largest": "2T", "action": "skip"}]}}),
]
