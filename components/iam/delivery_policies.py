"""What the pipelines' roles may do at AWS, and which workflows may assume them: IAM policies as plain data, computed from names.

A preview runs the code of a pull request, so it may read this stack's state and the traffic flag, and nothing else. A drift
check runs merged code, and may read how things are configured. The nightly check of whether the secondary could take over reads
labels and marks. A deployment may change what this program makes, by name. It may
read no data of a backup, delete no bucket and no key, and change no pipeline's role, not even its own. But whoever may write
bucket policies and the pods' roles can give himself more rights: only the reviewers of the GitHub environment prevent that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from components.iam.statements import (
    HEALTH_CHECKS_ARN,
    Document,
    Statement,
    alarm_arn,
    allow,
    bucket_arn,
    by_alias,
    document,
    eks_arn,
    keys_arn,
    objects_arn,
    through_s3,
    trust,
    zone_arn,
)
from settings.delivery import DeliverySettings
from settings.names import (
    ARCHIVE_PREFIX,
    BACKUP_HOLDS,
    BACKUP_RESULTS,
    BACKUP_VOLUMES,
    DRILLS_PREFIX,
    FLAG_KEY,
    FRESHNESS_PREFIX,
    RUNBOOK_KEY,
    Names,
)
from settings.parts import PARTS
from settings.roles import Role, peer_of
from settings.topology import Purpose

ISSUER = "token.actions.githubusercontent.com"
"""The OIDC issuer that vouches for GitHub's workflows."""

CHECKING = "takeover-check"
"""The GitHub environment of the nightly check. It asks no reviewer, and is open to the deployed branch alone."""

AUDIENCE = "sts.amazonaws.com"

Pipeline = Literal["preview", "drift", "check", "deploy"]
PIPELINES: tuple[Pipeline, ...] = get_args(Pipeline)

# The AWS provider reads this to compare a bucket with what it should be; `s3:GetBucket*` is configuration, never an object.
_READ_BUCKET = [
    "s3:GetAccelerateConfiguration",
    "s3:GetBucket*",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetMetricsConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListBucket",
    "s3:ListTagsForResource",
]
_CHANGE_BUCKET = [
    "s3:CreateBucket",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketLogging",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketTagging",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutMetricsConfiguration",
    "s3:PutReplicationConfiguration",
    "s3:TagResource",
    "s3:UntagResource",
]
_READ_ROLE = [
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListInstanceProfilesForRole",
    "iam:ListRolePolicies",
    "iam:ListRoleTags",
]
_CHANGE_ROLE = [
    "iam:CreateRole",
    "iam:DeleteRole",
    "iam:TagRole",
    "iam:UntagRole",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateRole",
    "iam:UpdateRoleDescription",
]
_READ_POLICY = ["iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListPolicyTags", "iam:ListPolicyVersions"]
_CHANGE_POLICY = [
    "iam:CreatePolicy",
    "iam:CreatePolicyVersion",
    "iam:DeletePolicy",
    "iam:DeletePolicyVersion",
    "iam:TagPolicy",
    "iam:UntagPolicy",
]
_READ_KEY = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
_CHANGE_KEY = [
    "kms:EnableKeyRotation",
    "kms:PutKeyPolicy",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateKeyDescription",
]
_READ_CLUSTER = [
    "eks:DescribeAccessEntry",
    "eks:DescribeAddon",
    "eks:DescribeCluster",
    "eks:DescribePodIdentityAssociation",
    "eks:ListAssociatedAccessPolicies",
    "eks:ListPodIdentityAssociations",
]
_CHANGE_CLUSTER = [
    "eks:CreateAddon",
    "eks:CreatePodIdentityAssociation",
    "eks:DeleteAddon",
    "eks:DeletePodIdentityAssociation",
    "eks:TagResource",
    "eks:UntagResource",
    "eks:UpdateAddon",
    "eks:UpdatePodIdentityAssociation",
]
_CHANGE_ALARMS = ["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource"]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What the policies are about: one stack, in one region."""

    names: Names
    delivery: DeliverySettings
    zone_id: str
    hosts: Sequence[str]
    """The names whose records this program writes."""

    cluster: str | None
    """The EKS cluster's name; None for a self-managed cluster, which AWS does not know."""

    node_role: str | None = None
    """The nodes' role, where the policies of the pods are attached to it (identity: instance-profile)."""

    existing_roles: Sequence[str] = ()
    """ARNs of roles that this program did not make, and that its Pod Identity associations give to pods."""

    static_users: bool = False
    """Whether the policies of the pods are attached to users (identity: static)."""

    permissions_boundary: str | None = None
    """ARN of the permissions boundary of every role that this program makes."""

    alarm_regions: Sequence[str] = ()
    """Where CloudWatch has alarms of this program's."""

    def alarm_arns(self) -> list[str]:
        """Every alarm of this stack's. Elsewhere than in its own region are those that have its role in their names alone:
        us-east-1 may be the other stack's region."""
        names = self.names
        return [
            alarm_arn(names, names.alarm("*" if region == names.region else f"{names.role}-*"), region)
            for region in self.alarm_regions
        ]

    def bucket_arns(self) -> list[str]:
        """Every bucket that this stack makes."""
        purposes: tuple[Purpose, ...] = get_args(Purpose)
        buckets = [self.names.bucket(purpose) for purpose in purposes if purpose != "dr-flag" or self.names.role == "secondary"]
        return [bucket_arn(bucket) for bucket in buckets]


def pipelines_of(role: Role) -> tuple[Pipeline, ...]:
    """The pipelines of one stack. Only the secondary is asked whether it could take over."""
    return tuple(pipeline for pipeline in PIPELINES if pipeline != "check" or role == "secondary")


def role_name(pipeline: Pipeline, names: Names) -> str:
    """Name of a pipeline's role. IAM is global, so the name has the region in it."""
    return f"{names.topology.organization}-{pipeline}-{names.region}"


def provider_arn(names: Names) -> str:
    """ARN of the account's one identity provider for GitHub, whoever made it."""
    return names.iam_arn("oidc-provider", ISSUER)


def subjects(pipeline: Pipeline, delivery: DeliverySettings) -> list[str]:
    """The workflows that may assume the role, as GitHub names them in the token's claim `sub`: exactly, without a wildcard."""
    repository = f"repo:{delivery.repository}"
    match pipeline:
        case "preview":
            return [f"{repository}:pull_request"]
        case "drift":
            return [f"{repository}:ref:refs/heads/{delivery.branch}"]
        case "check":
            return [f"{repository}:environment:{CHECKING}"]
        case "deploy":
            environments = sorted({delivery.environment, delivery.failover_environment})
            return [f"{repository}:environment:{environment}" for environment in environments]


def pipeline_trust(pipeline: Pipeline, scope: Scope) -> Document:
    """The role's trust policy: which workflows may assume it."""
    claims = {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subjects(pipeline, scope.delivery)}
    return trust({"Federated": provider_arn(scope.names)}, ["sts:AssumeRoleWithWebIdentity"], {"StringEquals": claims})


Attached = Literal["reads", "pods"]


def attached_name(what: Attached, names: Names) -> str:
    """Name of a policy that a deployment has beside that of its role."""
    return f"{role_name('deploy', names)}-{what}"


def attached(what: Attached, scope: Scope) -> Document:
    """What a deployment may do beside what its role's own policy allows: what a drift check reads, and who the pods are to AWS.
    IAM takes 10,240 characters within a role, and all together can be more."""
    match what:
        case "reads":
            return permissions("drift", scope)
        case "pods":
            return document(*_change_identities(scope))


def permissions(pipeline: Pipeline, scope: Scope) -> Document:
    """What the role's own policy allows. A deployment has two more that are attached."""
    match pipeline:
        case "preview":
            return document(*_read_state(scope))
        case "drift":
            return document(*_read_state(scope), *_read(scope))
        case "check":
            return document(*_read_state(scope), *_ask(scope))
        case "deploy":
            return document(*_write_state(scope), *_change(scope))


def _read_state(scope: Scope) -> list[Statement]:
    """Reading the stack's state, and the traffic flag, which tells a primary whether it may still serve."""
    state_bucket, flag_bucket = scope.delivery.state_bucket, scope.names.flag_bucket
    statements = [
        # The flag's bucket must be listed too: without that right S3 answers alike for a missing flag and a forbidden one.
        allow("ListState", ["s3:ListBucket"], bucket_arn(state_bucket), bucket_arn(flag_bucket)),
        allow("ReadState", ["s3:GetObject"], objects_arn(state_bucket), objects_arn(flag_bucket, FLAG_KEY)),
    ]
    if scope.delivery.state_key_arn:
        statements.append(allow("DecryptState", ["kms:Decrypt"], scope.delivery.state_key_arn))
    return statements


def _write_state(scope: Scope) -> list[Statement]:
    """Writing the state, and taking and releasing its lock."""
    statements = [allow("WriteState", ["s3:PutObject", "s3:DeleteObject"], objects_arn(scope.delivery.state_bucket))]
    if scope.delivery.state_key_arn:
        statements.append(allow("EncryptState", ["kms:Encrypt", "kms:GenerateDataKey"], scope.delivery.state_key_arn))
    return statements


def _iam(scope: Scope, kind: Literal["role", "policy", "user"], *names: str) -> list[str]:
    return [scope.names.iam_arn(kind, name) for name in names]


def _principals(scope: Scope) -> list[str]:
    """Names of the pods' roles or users, one for each part; the policy of each has the same name. On EKS nobody but AWS reaches
    etcd, so there is no such part."""
    return [scope.names.principal(part) for part in PARTS if part != "etcd" or scope.cluster is None]


def _attachment_targets(scope: Scope) -> list[str]:
    """ARNs of what those policies may be attached to: the pods' roles and, if the settings say so, the nodes' role or users."""
    nodes = [scope.node_role] if scope.node_role else []
    users = _iam(scope, "user", *_principals(scope)) if scope.static_users else []
    return [*_iam(scope, "role", *_principals(scope), *nodes), *users]


def _eks(scope: Scope) -> list[str]:
    kinds = ("access-entry", "addon", "podidentityassociation")
    within = [eks_arn(scope.names, kind, f"{scope.cluster}/*") for kind in kinds]
    return [eks_arn(scope.names, "cluster", str(scope.cluster)), *within]


def _read(scope: Scope) -> list[Statement]:
    """Reading how everything that this program makes is configured. Of the buckets' content it may read the flag alone."""
    any_key, of_backups = keys_arn(scope.names, scope.names.region), by_alias(scope.names)
    zone = zone_arn(scope.zone_id)
    pipelines = [role_name(pipeline, scope.names) for pipeline in pipelines_of(scope.names.role)]
    nodes = [scope.node_role] if scope.node_role else []
    roles = [*_principals(scope), scope.names.replication_role, *pipelines, *nodes]
    own = [attached_name(what, scope.names) for what in get_args(Attached)]
    statements = [
        allow("ReadBuckets", _READ_BUCKET, *scope.bucket_arns()),
        allow("ReadFlagsTags", ["s3:GetObjectTagging"], objects_arn(scope.names.flag_bucket, FLAG_KEY)),
        allow("ReadRunbook", ["s3:GetObject", "s3:GetObjectTagging"], objects_arn(scope.names.bucket("velero"), RUNBOOK_KEY)),
        allow("ReadRoles", _READ_ROLE, *_iam(scope, "role", *roles)),
        allow("ReadPolicies", _READ_POLICY, *_iam(scope, "policy", *_principals(scope), *own)),
        allow("ReadProvider", ["iam:GetOpenIDConnectProvider"], provider_arn(scope.names)),
        allow("ReadKey", _READ_KEY, any_key, condition=of_backups),
        allow("ListAliases", ["kms:ListAliases"], "*"),
        allow("ReadRecords", ["route53:GetHostedZone", "route53:ListResourceRecordSets", "route53:ListTagsForResource"], zone),
        allow("ReadHealthChecks", ["route53:GetHealthCheck", "route53:ListTagsForResource"], HEALTH_CHECKS_ARN),
    ]
    if alarms := scope.alarm_arns():
        # One name for both regions keeps the policy within IAM's limit.
        read = alarms[0] if len(alarms) == 1 else alarm_arn(scope.names, scope.names.alarm("*"), "*")
        statements.append(allow("ReadAlarms", ["cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"], read))
    if scope.static_users:
        users = _iam(scope, "user", *_principals(scope))
        statements.append(allow("ReadUsers", ["iam:GetUser", "iam:ListAttachedUserPolicies"], *users))
    if scope.cluster:
        statements.append(allow("ReadCluster", _READ_CLUSTER, *_eks(scope)))
    return statements


def _read_labels(scope: Scope) -> list[Statement]:
    """What a failover would lose and lack is asked of labels, marks and lists. None of them is data."""
    names = scope.names
    archives = [names.bucket("database"), *([names.peer_bucket("database")] if names.role == "secondary" else [])]
    # The secondary reads both regions' archives. One name for both keeps the policy within IAM's limit.
    read = names.topology.bucket("database", "*") if archives[1:] else archives[0]
    velero, backups = names.bucket("velero"), f"{names.velero_prefix(names.role)}/backups/*"
    return [
        # The program asks whether a standby can be made from an archive, how far one is behind, whether S3 copies what is
        # written, what a backup holds and lacks, and how the last drills ended: labels, marks, lists and records, no data. Its
        # own buckets it may list already.
        *([allow("ListArchives", ["s3:ListBucket"], *map(bucket_arn, archives[1:]))] if archives[1:] else []),
        allow(
            "ReadLabels",
            ["s3:GetObject"],
            objects_arn(read, f"{ARCHIVE_PREFIX}/*/backup.info"),
            objects_arn(read, f"{FRESHNESS_PREFIX}/*"),
            objects_arn(velero, f"{backups}/velero-backup.json"),
            *(objects_arn(velero, f"{backups}/*-{file}") for file in (BACKUP_RESULTS, BACKUP_VOLUMES)),
            objects_arn(velero, f"{DRILLS_PREFIX}/{names.role}/*"),
            objects_arn(velero, f"{names.velero_prefix(peer_of(names.role))}/backups/*/*-{BACKUP_HOLDS}"),
        ),
    ]


def _bounded_by(boundary: str) -> dict[str, dict[str, str]]:
    """No other boundary: with one that allows more, a deployment would bound nothing."""
    return {"StringEquals": {"iam:PermissionsBoundary": boundary}}


def _change_identities(scope: Scope) -> list[Statement]:
    """Changing who the pods and S3's replication are to AWS: roles, policies, and what is attached to what."""
    own_roles = _iam(scope, "role", *_principals(scope), scope.names.replication_role)
    policies = _iam(scope, "policy", *_principals(scope))
    kinds = ("Role", "User") if scope.static_users else ("Role",)
    boundary = scope.permissions_boundary
    return [
        allow("ChangeRoles", _CHANGE_ROLE, *own_roles),
        *(
            [allow("BoundRoles", ["iam:PutRolePermissionsBoundary"], *own_roles, condition=_bounded_by(boundary))]
            if boundary
            else []
        ),
        allow(
            "PassRoles",
            ["iam:PassRole"],
            *own_roles,
            *scope.existing_roles,
            condition={"StringEquals": {"iam:PassedToService": ["s3.amazonaws.com", "pods.eks.amazonaws.com"]}},
        ),
        # EKS reads a role that it is to give to pods. Those that this program makes, a deployment may read already.
        *([allow("ReadExistingRoles", ["iam:GetRole"], *scope.existing_roles)] if scope.existing_roles else []),
        allow("ChangeReplication", ["iam:DeleteRolePolicy", "iam:PutRolePolicy"], own_roles[-1]),
        allow("ChangePolicies", _CHANGE_POLICY, *policies),
        allow(
            "AttachPolicies",
            [f"iam:{verb}{kind}Policy" for verb in ("Attach", "Detach") for kind in kinds],
            *_attachment_targets(scope),
            condition={"ArnEquals": {"iam:PolicyARN": policies}},
        ),
    ]


def _ask(scope: Scope) -> list[Statement]:
    """Asking whether the region could take over now: of its own buckets, and of Route 53's checkers."""
    names = scope.names
    listed = allow("ListBackups", ["s3:ListBucket"], *(bucket_arn(names.bucket(purpose)) for purpose in ("database", "velero")))
    statements = [
        listed,
        *_read_labels(scope),
        allow(
            "DecryptLabels",
            ["kms:Decrypt"],
            *(keys_arn(names, region) for region in (names.region, names.peer_region)),
            condition={**through_s3(names.region, names.peer_region), **by_alias(names)},
        ),
        # The check by which users follow the flag is found by the records of their names.
        allow("ReadRecords", ["route53:ListResourceRecordSets"], zone_arn(scope.zone_id)),
        allow("ReadHealthChecks", ["route53:GetHealthCheck", "route53:GetHealthCheckStatus"], HEALTH_CHECKS_ARN),
    ]
    if scope.cluster:
        statements.append(allow("FindCluster", ["eks:DescribeCluster"], eks_arn(names, "cluster", scope.cluster)))
    return statements


def _change(scope: Scope) -> list[Statement]:
    """Changing what `pulumi up` changes. It may delete no bucket, key or identity provider, and make no key: the first deployment
    of a stack, from a laptop, has made it."""
    names = scope.names
    any_key, of_backups = keys_arn(scope.names, scope.names.region), by_alias(scope.names)
    statements = [
        allow("ChangeBuckets", _CHANGE_BUCKET, *scope.bucket_arns()),
        *_read_labels(scope),
        # GenerateDataKey is for the inventory. Of the peer's key it is of no use: nothing may be written there.
        allow(
            "UseKeys",
            ["kms:Decrypt", "kms:GenerateDataKey"],
            *(keys_arn(names, region) for region in (names.region, names.peer_region)),
            condition={**through_s3(names.region, names.peer_region), **of_backups},
        ),
        allow("ChangeKey", _CHANGE_KEY, any_key, condition=of_backups),
        allow(
            "ChangeRecords",
            ["route53:ChangeResourceRecordSets"],
            zone_arn(scope.zone_id),
            condition={
                "ForAllValues:StringEquals": {"route53:ChangeResourceRecordSetsNormalizedRecordNames": list(scope.hosts)},
            },
        ),
        allow("WaitForRecords", ["route53:GetChange"], "arn:aws:route53:::change/*"),
        # In dns.mode both-regions the secondary has health checks too. Route 53 gives each a random id, which no ARN can name.
        allow("CreateHealthCheck", ["route53:CreateHealthCheck"], "*"),
        allow(
            "ChangeHealthChecks",
            ["route53:ChangeTagsForResource", "route53:UpdateHealthCheck", "route53:GetHealthCheckStatus"],
            HEALTH_CHECKS_ARN,
        ),
    ]
    flag = [objects_arn(names.flag_bucket, FLAG_KEY)] if names.role == "secondary" else []
    inventory = objects_arn(names.bucket("database"), names.inventory_key(names.role))
    runbook = objects_arn(names.bucket("velero"), RUNBOOK_KEY)
    statements.append(allow("WriteFlag", ["s3:PutObject", "s3:PutObjectTagging"], *flag, inventory, runbook))
    if scope.cluster:
        statements.append(allow("ChangeCluster", _CHANGE_CLUSTER, *_eks(scope)))
    if alarms := scope.alarm_arns():
        statements.append(allow("ChangeAlarms", _CHANGE_ALARMS, *alarms))
    return statements
