"""What the pipelines' roles may do at AWS, and which workflows may take them: IAM policies as plain data, made from names alone.

A preview runs the code of a pull request, so it may read this stack's state and nothing else. A drift check runs what was
merged, and may read how things are configured. A deployment may change what this program makes, by name. It is given no object
of a backup, can delete no bucket and no key, and cannot change a pipeline's role, its own included. But who may write bucket
policies and the roles of the pods can give himself more: it is the reviewers of the environment who stand between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from components.iam.statements import (
    Document,
    Statement,
    allow,
    bucket_arn,
    by_alias,
    document,
    iam_arn,
    keys_arn,
    objects_arn,
)
from components.iam.statements import trust as trust_policy
from settings.delivery import DeliverySettings
from settings.names import ARCHIVE_PREFIX, FLAG_KEY, Names
from settings.parts import PARTS
from settings.topology import Purpose

ISSUER = "token.actions.githubusercontent.com"
"""Who vouches for a workflow."""

AUDIENCE = "sts.amazonaws.com"

Pipeline = Literal["preview", "drift", "deploy"]
PIPELINES: tuple[Pipeline, ...] = ("preview", "drift", "deploy")

# What the provider reads to compare a bucket with what it should be; `s3:GetBucket*` is its configuration, never an object.
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


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What the policies are about: one stack, in one region."""

    names: Names
    delivery: DeliverySettings
    zone_id: str
    hosts: Sequence[str]
    """The names whose records this program writes."""

    cluster: str | None
    """The EKS cluster's name; None where it is self-managed, and AWS knows nothing of it."""

    node_role: str | None = None
    """The nodes' role, where the policies of the pods are attached to it (identity: instance-profile)."""

    given_roles: Sequence[str] = ()
    """ARNs of roles of the person's own, which pods get by an association of this program."""

    static_users: bool = False
    """Whether the policies of the pods are attached to users (identity: static)."""

    def bucket_arns(self) -> list[str]:
        """Every bucket that this stack makes."""
        purposes: tuple[Purpose, ...] = get_args(Purpose)
        buckets = [self.names.bucket(purpose) for purpose in purposes if purpose != "dr-flag" or self.names.role == "secondary"]
        return [bucket_arn(bucket) for bucket in buckets]


def role_name(pipeline: Pipeline, names: Names) -> str:
    """IAM is global, so the region is in the name."""
    return f"{names.topology.organization}-{pipeline}-{names.region}"


def provider_arn(names: Names) -> str:
    """The account's one identity provider for GitHub, whoever made it."""
    return iam_arn(names, "oidc-provider", ISSUER)


def subjects(pipeline: Pipeline, delivery: DeliverySettings) -> list[str]:
    """The workflows that may take the role, as GitHub names them in the token's `sub`, exactly and without a wildcard."""
    repository = f"repo:{delivery.repository}"
    match pipeline:
        case "preview":
            return [f"{repository}:pull_request"]
        case "drift":
            return [f"{repository}:ref:refs/heads/{delivery.branch}"]
        case "deploy":
            environments = sorted({delivery.environment, delivery.failover_environment})
            return [f"{repository}:environment:{environment}" for environment in environments]


def trust(pipeline: Pipeline, scope: Scope) -> Document:
    """Who may take the role."""
    claims = {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subjects(pipeline, scope.delivery)}
    return trust_policy({"Federated": provider_arn(scope.names)}, ["sts:AssumeRoleWithWebIdentity"], {"StringEquals": claims})


def reads_name(names: Names) -> str:
    """Of the policy with which a deployment reads what a drift check reads."""
    return f"{role_name('deploy', names)}-reads"


def permissions(pipeline: Pipeline, scope: Scope) -> Document:
    """What the role's own policy allows. A deployment is allowed what a drift check is, too, by a policy beside it: IAM counts
    10,240 characters within a role, and both together can be more."""
    match pipeline:
        case "preview":
            return document(*_read_state(scope))
        case "drift":
            return document(*_read_state(scope), *_read(scope))
        case "deploy":
            return document(*_write_state(scope), *_change(scope))


def _read_state(scope: Scope) -> list[Statement]:
    """The stack's state; and the traffic flag, by which a primary knows whether it may still serve."""
    state, flag = scope.delivery.state_bucket, scope.names.flag_bucket
    statements = [
        # Of the flag's bucket too: without it S3 does not tell a flag that is missing from one that may not be read.
        allow("ListState", ["s3:ListBucket"], bucket_arn(state), bucket_arn(flag)),
        allow("ReadState", ["s3:GetObject"], objects_arn(state), objects_arn(flag, FLAG_KEY)),
    ]
    if scope.delivery.state_key_arn:
        statements.append(allow("DecryptState", ["kms:Decrypt"], scope.delivery.state_key_arn))
    return statements


def _write_state(scope: Scope) -> list[Statement]:
    """The state is written, and its lock taken and let go."""
    statements = [allow("WriteState", ["s3:PutObject", "s3:DeleteObject"], objects_arn(scope.delivery.state_bucket))]
    if scope.delivery.state_key_arn:
        statements.append(allow("EncryptState", ["kms:Encrypt", "kms:GenerateDataKey"], scope.delivery.state_key_arn))
    return statements


def _iam(scope: Scope, kind: Literal["role", "policy", "user"], *names: str) -> list[str]:
    return [iam_arn(scope.names, kind, name) for name in names]


def _principals(scope: Scope) -> list[str]:
    """Of the pods: each has a policy of the same name."""
    return [scope.names.principal(part) for part in PARTS]


def _bearers(scope: Scope) -> list[str]:
    """To whom those policies are attached, in every form of identity, so that one may be changed into another."""
    nodes = [scope.node_role] if scope.node_role else []
    users = _iam(scope, "user", *_principals(scope)) if scope.static_users else []
    return [*_iam(scope, "role", *_principals(scope), *nodes), *users]


def _eks(scope: Scope) -> list[str]:
    prefix = f"arn:aws:eks:{scope.names.region}:{scope.names.topology.account_id}"
    kinds = ("access-entry", "addon", "podidentityassociation")
    return [f"{prefix}:cluster/{scope.cluster}", *(f"{prefix}:{kind}/{scope.cluster}/*" for kind in kinds)]


def _read(scope: Scope) -> list[Statement]:
    """How everything that this program makes is configured; no content of a bucket but the flag."""
    key, the_backups = keys_arn(scope.names, scope.names.region), by_alias(scope.names)
    zone = f"arn:aws:route53:::hostedzone/{scope.zone_id}"
    pipelines = [role_name(pipeline, scope.names) for pipeline in PIPELINES]
    nodes = [scope.node_role] if scope.node_role else []
    roles = [*_principals(scope), scope.names.replication_role, *pipelines, *nodes]
    statements = [
        allow("ReadBuckets", _READ_BUCKET, *scope.bucket_arns()),
        allow("ReadFlagsTags", ["s3:GetObjectTagging"], objects_arn(scope.names.flag_bucket, FLAG_KEY)),
        allow("ReadRoles", _READ_ROLE, *_iam(scope, "role", *roles)),
        allow("ReadPolicies", _READ_POLICY, *_iam(scope, "policy", *_principals(scope), reads_name(scope.names))),
        allow("ReadProvider", ["iam:GetOpenIDConnectProvider"], provider_arn(scope.names)),
        allow("ReadKey", _READ_KEY, key, condition=the_backups),
        allow("ListAliases", ["kms:ListAliases"], "*"),
        allow("ReadRecords", ["route53:GetHostedZone", "route53:ListResourceRecordSets", "route53:ListTagsForResource"], zone),
        allow("ReadHealthChecks", ["route53:GetHealthCheck", "route53:ListTagsForResource"], "arn:aws:route53:::healthcheck/*"),
    ]
    if scope.static_users:
        users = _iam(scope, "user", *_principals(scope))
        statements.append(allow("ReadUsers", ["iam:GetUser", "iam:ListAttachedUserPolicies"], *users))
    if scope.cluster:
        statements.append(allow("ReadCluster", _READ_CLUSTER, *_eks(scope)))
    return statements


def _change(scope: Scope) -> list[Statement]:
    """What `pulumi up` does. Buckets, keys and the identity provider that exist are never deleted, and a key is never made:
    the first deployment of a stack, from a laptop, has made it."""
    names = scope.names
    key, the_backups = keys_arn(scope.names, scope.names.region), by_alias(scope.names)
    own_roles = _iam(scope, "role", *_principals(scope), names.replication_role)
    policies = _iam(scope, "policy", *_principals(scope))
    kinds = ("Role", "User") if scope.static_users else ("Role",)
    archives = [names.bucket("database"), *([names.peer_bucket("database")] if names.role == "secondary" else [])]
    statements = [
        allow("ChangeBuckets", _CHANGE_BUCKET, *scope.bucket_arns()),
        # Whether a standby can be made of an archive, and how far behind one is: labels and listings, no data.
        allow("ListArchives", ["s3:ListBucket"], *(bucket_arn(bucket) for bucket in archives)),
        allow("ReadLabels", ["s3:GetObject"], *(objects_arn(bucket, f"{ARCHIVE_PREFIX}/*/backup.info") for bucket in archives)),
        allow(
            "DecryptLabels",
            ["kms:Decrypt"],
            *(keys_arn(names, region) for region in (names.region, names.peer_region)),
            condition={"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}, **the_backups},
        ),
        allow("ChangeRoles", _CHANGE_ROLE, *own_roles),
        allow(
            "PassRoles",
            ["iam:PassRole"],
            *own_roles,
            *scope.given_roles,
            condition={"StringEquals": {"iam:PassedToService": ["s3.amazonaws.com", "pods.eks.amazonaws.com"]}},
        ),
        allow("ChangeReplication", ["iam:DeleteRolePolicy", "iam:PutRolePolicy"], own_roles[-1]),
        allow("ChangePolicies", _CHANGE_POLICY, *policies),
        allow(
            "AttachPolicies",
            [f"iam:{verb}{kind}Policy" for verb in ("Attach", "Detach") for kind in kinds],
            *_bearers(scope),
            condition={"ArnEquals": {"iam:PolicyARN": policies}},
        ),
        allow("ChangeKey", _CHANGE_KEY, key, condition=the_backups),
        allow(
            "ChangeRecords",
            ["route53:ChangeResourceRecordSets"],
            f"arn:aws:route53:::hostedzone/{scope.zone_id}",
            condition={
                "ForAllValues:StringEquals": {"route53:ChangeResourceRecordSetsNormalizedRecordNames": list(scope.hosts)},
            },
        ),
        allow("WaitForRecords", ["route53:GetChange"], "arn:aws:route53:::change/*"),
        # The secondary's too, in dns.mode both-regions. Route 53 gives each check a random id.
        allow("CreateHealthCheck", ["route53:CreateHealthCheck"], "*"),
        allow(
            "ChangeHealthChecks",
            ["route53:ChangeTagsForResource", "route53:UpdateHealthCheck"],
            "arn:aws:route53:::healthcheck/*",
        ),
    ]
    if names.role == "secondary":
        flag = objects_arn(names.flag_bucket, FLAG_KEY)
        statements.append(allow("MoveTraffic", ["s3:PutObject", "s3:PutObjectTagging"], flag))
    if scope.cluster:
        statements.append(allow("ChangeCluster", _CHANGE_CLUSTER, *_eks(scope)))
    return statements
