"""Rules on what AWS knows of the cluster and of the pipelines: accounts, regions and identities that belong together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from settings.aws import account_of, region_of
from settings.hosts import region_in
from settings.images import older_cli
from settings.mistake import Mistake
from settings.model import Settings
from settings.names import Names
from settings.parts import PARTS, key_of
from settings.roles import Role, peer_of
from settings.rule import Mistakes, Rule
from settings.volumes import OF_A_REGION, OF_A_ZONE


def pod_identity_takes_roles_of_its_own_account(settings: Settings) -> Mistakes:
    """EKS, CreatePodIdentityAssociation: roleArn is a role in this account; one of another account is a targetRoleArn. A role of
    this program trusts the Pods of one cluster."""
    own = settings.topology.account_id
    for part in PARTS:
        arn = settings.cluster.role_arn(part)
        if arn and arn == Names(topology=settings.topology, role=peer_of(settings.role)).principal_arn(part):
            text = (
                "{} is the role that stack {} makes for the Pods of its own cluster, and it trusts no other; write one that "
                "trusts this cluster, or take it out, and this stack makes its own"
            )
            yield Mistake(text, arn, peer_of(settings.role), at=(f"{key_of(part)}RoleArn",))
        elif arn and settings.identity_mode == "pod-identity" and account_of(arn) != own:
            text = (
                "{} is of another account than topology.accountId, {}, and pod identity takes none such; write "
                "identity: irsa, or a role of {}"
            )
            yield Mistake(text, arn, own, own, at=(f"{key_of(part)}RoleArn",))


def an_issuer_of_eks_is_in_the_region_of_the_stack(settings: Settings) -> Mistakes:
    """STS refuses tokens of an issuer that the role does not trust, so Velero and Barman would have no access."""
    issuer, own = settings.cluster.oidc_issuer, settings.topology.region(settings.role)
    found = region_in(issuer.partition("/")[0]) if issuer and issuer.startswith(("oidc.eks.", "oidc-eks.")) else None
    if issuer and found and found != own:
        text = (
            "{} is of a cluster in {}, and this stack's region is {}; write this cluster's: aws eks describe-cluster --name NAME"
        )
        yield Mistake(text, issuer, found, own, at=("oidcIssuer",))


_CONTEXTS = (
    re.compile(r"arn:aws:eks:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):cluster/(?P<name>.+)"),
    re.compile(r"[^@]+@(?P<name>[^@.]+)\.(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\.eksctl\.io"),
)
"""Contexts as `aws eks update-kubeconfig` and `eksctl` name them."""


def a_context_is_of_this_stacks_cluster(settings: Settings) -> Mistakes:
    """What is deployed into the other region's cluster, or into another one, protects nothing and is there to be cleaned up."""
    cluster, own = settings.cluster, settings.topology.region(settings.role)
    found = next((match for form in _CONTEXTS if (match := form.fullmatch(cluster.context))), None)
    if not found or cluster.distribution != "eks":
        return
    account = found.groupdict().get("account")
    if found["region"] != own:
        text = "{} is of a cluster in {}, and this stack's region is {}; write the context of its own cluster"
        yield Mistake(text, cluster.context, found["region"], own, at=("context",))
    elif settings.identity_mode != "pod-identity":
        return  # AWS is asked for no cluster by its name then, and in no account
    elif account and account != settings.topology.account_id:
        text = "{} is of a cluster of account {}, and topology.accountId is {}; write the context of a cluster of that account"
        yield Mistake(text, cluster.context, account, settings.topology.account_id, at=("context",))
    elif cluster.name and found["name"] != cluster.name:
        text = "{} is of cluster {}, and cluster.name is {}; write the context of that cluster"
        yield Mistake(text, cluster.context, found["name"], cluster.name, at=("context",))


_WITH_POD_IDENTITY = {1: (1, 30), 2: (2, 15)}
"""EKS, "Use pod identity with the AWS SDK"."""
_WRITES_ONCE = {1: (1, 35), 2: (2, 18)}
"""AWS's SDKs have S3's conditional writes since 2024-08-20; the CLI's of that day are 1.34.2 and 2.17.34."""


def the_aws_cli_knows_the_identity(settings: Settings) -> Mistakes:
    image = settings.images.aws_cli
    if settings.identity_mode == "pod-identity" and older_cli(image, _WITH_POD_IDENTITY):
        yield Mistake("{} does not know EKS Pod Identity, by which Pods ask AWS; write 2.18 or newer", image)


def the_aws_cli_writes_records_once(settings: Settings) -> Mistakes:
    image = settings.images.aws_cli
    if settings.drills.enabled and older_cli(image, _WRITES_ONCE):
        text = "{} may not know put-object --if-none-match, by which drills write their records; write 2.18 or newer"
        yield Mistake(text, image)


def what_another_identity_needs_is_not_set(settings: Settings) -> Mistakes:
    """What nobody reads was meant for the identity that reads it."""
    if settings.identity is None and settings.cluster.distribution == "self-managed":
        return  # Nobody has chosen an identity yet, which a rule tells.
    mode, cluster = settings.identity_mode, settings.cluster
    for key, value, needs in (
        ("nodeRole", cluster.node_role, "instance-profile"),
        ("oidcIssuer", cluster.oidc_issuer, "irsa"),
    ):
        if value and mode != needs:
            text = f"{{}} is used with identity {needs} alone, and identity is {{}}; write identity: {needs}, or take it out"
            yield Mistake(text, value, mode, at=(key,))


def static_keys_last(settings: Settings) -> Mistakes:
    """IAM, unique identifiers: ASIA begins the id of a temporary key, valid for hours and with its session token alone."""
    for part in PARTS:
        key = settings.static_credentials.of(part)
        if key is None or settings.identity_mode != "static" or settings.aws.endpoint is not None:
            continue
        access_key_id = key.access_key_id.get_secret_value()
        if not access_key_id.startswith("AKIA"):
            what = (
                "is of temporary credentials, which end within hours"
                if access_key_id.startswith("ASIA")
                else "is no id of an access key"
            )
            yield Mistake(
                f"{what}; make one of an IAM user, which begins with AKIA, and run, and the same for "
                "secretAccessKey: pulumi config set "
                f"--secret --path staticCredentials.{key_of(part)}.accessKeyId -s {settings.role}",
                at=(key_of(part), "accessKeyId"),
            )


def the_state_of_a_stack_is_in_its_region(settings: Settings) -> Mistakes:
    """With the other region dead, nobody would read this stack's state or decrypt its secrets (docs/state.md)."""
    delivery, own = settings.delivery, settings.topology.region(settings.role)
    if delivery and delivery.state_key_arn and region_of(delivery.state_key_arn) != own:
        text = (
            "{} is in {}, and this stack's region is {}; write a key of that region, with which the stack's secrets are encrypted"
        )
        yield Mistake(text, delivery.state_key_arn, region_of(delivery.state_key_arn), own, at=("stateKeyArn",))


def static_keys_are_stored_as_they_are(settings: Settings) -> Mistakes:
    """A line break or a space at an end, as a file or a pasted text has it, spoils each signature."""
    for part in PARTS:
        key = settings.static_credentials.of(part)
        for name, value in (("accessKeyId", key.access_key_id), ("secretAccessKey", key.secret_access_key)) if key else ():
            if re.search(r"\s", value.get_secret_value()):
                yield Mistake(
                    "has a space or a line break, as a file or a pasted text does; run, and type it: pulumi config set "
                    f"--secret --path staticCredentials.{key_of(part)}.{name} -s {settings.role}",
                    at=(key_of(part), name),
                )


def a_boundary_is_of_the_stacks_account(settings: Settings) -> Mistakes:
    """IAM, permissions boundaries: a managed policy of the role's account, or one of AWS's own."""
    arn, own = settings.aws.permissions_boundary, settings.topology.account_id
    if arn and account_of(arn) not in (own, "aws"):
        yield Mistake(
            "{} is of another account than topology.accountId, {}, and IAM takes none such; write one of {}", arn, own, own
        )


def counterparts_lead_into_the_other_region(settings: Settings) -> Mistakes:
    """The fourth part of an ARN is its region (IAM, ARN format): a restore in the secondary region finds nothing of another's."""
    return _lead_into(settings, settings.velero.counterparts, "secondary")


def counterparts_back_lead_into_the_primary_region(settings: Settings) -> Mistakes:
    """As above, for restores in the primary region."""
    return _lead_into(settings, settings.velero.counterparts_back, "primary")


def _lead_into(settings: Settings, counterparts: Mapping[str, str], role: Role) -> Iterator[Mistake]:
    restoring = settings.topology.region(role)
    for before, after in counterparts.items():
        for arn in _regional_arns(before):
            if region_of(arn) == restoring:
                text = (
                    f"replaces {{}}, which is in {{}}, the region that restores; write the {peer_of(role)} region's value first"
                )
                yield Mistake(text, arn, restoring)
        for arn in _regional_arns(after):
            if region_of(arn) != restoring:
                text = "puts {} in place of {}, and that is in {} and not in {}, the region that restores; write one of {}"
                yield Mistake(text, arn, before, region_of(arn), restoring, restoring)


def data_movers_run_in_this_region(settings: Settings) -> Mistakes:
    """In a key that both regions share, a zone or a region is that of one of them, and in the other nothing moves a volume."""
    nodes = settings.velero.data_movers.nodes if settings.velero.managed else {}
    return _nodes_are_in_this_region(settings, nodes, "data mover", "with all else of velero")


def pods_run_in_this_region(settings: Settings) -> Mistakes:
    """As above, for the Pods of the program."""
    return _nodes_are_in_this_region(settings, settings.pods.node_selector, "Pod of the program", "with all else of pods")


def databases_run_in_this_region(settings: Settings) -> Mistakes:
    """As above, for the instances of databases."""
    for place, database in enumerate(settings.databases):
        for each in _nodes_are_in_this_region(settings, database.node_selector or {}, "instance", "with all of databases"):
            yield Mistake(each.text, *each.written, at=(place, "nodeSelector"))


def _nodes_are_in_this_region(settings: Settings, nodes: Mapping[str, str], what: str, besides: str) -> Iterator[Mistake]:
    own = settings.topology.region(settings.role)
    for label, value in nodes.items():
        if (label in OF_A_REGION and value != own) or (label in OF_A_ZONE and not value.startswith(own)):
            text = (
                f"has {{}}: {{}}, which no node in {{}} has, so no {what} would run there; write it in the other stack's own "
                f"file, {besides}, or take it out"
            )
            yield Mistake(text, label, value, own)


def _regional_arns(value: str) -> list[str]:
    """The ARNs with a region in an annotation's value, which may list several or have them in pairs of name and value."""
    return re.findall(r"arn:aws:[a-z0-9-]+:[a-z]{2}-[a-z-]+-\d:[^,;\s\"]*", value)


def the_managed_class_is_not_one_that_eks_made(settings: Settings) -> Mistakes:
    """EKS makes a class of that name in its clusters, and what a StorageClass says cannot be changed (Kubernetes, validation)."""
    managed, name = settings.storage_class.managed, settings.storage_class.name
    if managed and name == "gp2" and settings.cluster.distribution == "eks":
        yield Mistake("{} is the class that EKS itself makes, so creating it fails; write another, as in gp3-encrypted", name)


RULES: tuple[Rule, ...] = (
    Rule(key="aws.permissionsBoundary", mistakes=a_boundary_is_of_the_stacks_account),
    Rule(key="cluster", mistakes=pod_identity_takes_roles_of_its_own_account),
    Rule(key="images.awsCli", mistakes=the_aws_cli_knows_the_identity),
    Rule(key="cluster", mistakes=a_context_is_of_this_stacks_cluster),
    Rule(key="cluster", mistakes=an_issuer_of_eks_is_in_the_region_of_the_stack),
    Rule(key="cluster", mistakes=what_another_identity_needs_is_not_set),
    Rule(key="staticCredentials", mistakes=static_keys_last),
    Rule(key="staticCredentials", mistakes=static_keys_are_stored_as_they_are),
    Rule(key="velero.dataMovers.nodes", mistakes=data_movers_run_in_this_region),
    Rule(key="pods.nodeSelector", mistakes=pods_run_in_this_region),
    Rule(key="databases", mistakes=databases_run_in_this_region),
    Rule(key="velero.counterparts", mistakes=counterparts_lead_into_the_other_region),
    Rule(key="velero.counterpartsBack", mistakes=counterparts_back_lead_into_the_primary_region),
    Rule(key="storageClass.name", mistakes=the_managed_class_is_not_one_that_eks_made),
    Rule(key="delivery", mistakes=the_state_of_a_stack_is_in_its_region),
)
ADVICE: tuple[Rule, ...] = (Rule(key="images.awsCli", mistakes=the_aws_cli_writes_records_once),)
