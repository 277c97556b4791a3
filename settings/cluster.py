"""This region's Kubernetes cluster, and what AWS needs to know of it to trust its pods."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from settings import limits, nearly
from settings.aws import RoleArn
from settings.fields import Model, Switch, matching
from settings.mistake import Mistake
from settings.parts import Part

# A kubeconfig has line breaks or braces, a token begins as JSON in base64 does. Encoded, a kubeconfig is longer than a path, or
# than a name in one (Linux' NAME_MAX is 255).
_PATH = re.compile(r"(?=.{1,1023}$)(?!.*[^/]{256})(?!eyJ)(?!.*(apiVersion|-----BEGIN|: |:$))[^\n\r{}]+")
_ROLE = re.compile(rf"{limits.pattern('iam.roleNameType').removesuffix('+')}{{1,{limits.most('iam.roleNameType')}}}")
"""IAM: "alphanumeric, including plus (+), equal (=), comma (,), period (.), at (@), underscore (_), and hyphen (-)", in ASCII."""

_EKS_NAME = re.compile(limits.pattern("eks.ClusterName"))

_NAME = matching(re.compile(r"[^\n\r{}]{0,253}"), "a name of one line", "prod-use1", "prod-usw2", ascii_only=False, most=253)


_KUBECONFIG = matching(_PATH, "the path of a kubeconfig", "/home/me/.kube/config", "kubeconfig.yaml", ascii_only=False)


_OF_A_KUBECONFIG = ("apiVersion", "kind:", "clusters:", "contexts:", "users:", "current-context", "BEGIN CERTIFICATE")


def _is_encoded(text: str) -> bool:
    """Whether a text is a kubeconfig in base64 (RFC 4648, 4 and 5), as pipelines keep one; its end may be cut off."""
    letters = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    if not re.fullmatch(r"[A-Za-z0-9+/]{8,}", letters):
        return False
    contents = base64.b64decode(letters[: len(letters) // 4 * 4] or letters).decode(errors="replace")
    return any(word in contents for word in _OF_A_KUBECONFIG)


def _a_path_on_this_machine(text: str) -> str:
    """Both clients, the engine's and this program's own, expand ~ and nothing else."""
    if _is_encoded(text.strip()):
        raise ValueError("is the contents of a kubeconfig in base64; write its path, as in /home/me/.kube/config")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise ValueError("is a URL, which nobody fetches here; write the path of a kubeconfig, as in /home/me/.kube/config")
    if "$(" in text or "`" in text:
        raise ValueError(
            "is a command of the shell, which nobody runs here; write the path of a kubeconfig, as in kubeconfig.yaml"
        )
    if re.match(r"\$\{?\w+\}?/", text):
        raise ValueError(
            "begins with a variable of the shell, which nobody expands here; write ~/.kube/config, or the whole path"
        )
    return _KUBECONFIG.check(text)


class Cluster(Model):
    """This region's Kubernetes cluster."""

    context: Annotated[str, _NAME] = Field(min_length=1, description="the kubeconfig context; the program uses no other")
    name: Annotated[str, _NAME] = Field(
        min_length=1,
        description="the cluster's name, on EKS its name there. Pulumi identifies the cluster by it, so that a changed "
        "kubeconfig replaces no resource",
    )
    distribution: Literal["eks", "self-managed"] = Field(description="eks, or self-managed (kubeadm, kOps, …)")
    uid: (
        Annotated[
            str,
            matching(
                re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
                "the UID of a cluster's namespace kube-system",
                "3f0c7a52-6f0e-4f6e-9c2b-0d6a3a1f7c11",
                "8d1e5b90-3c44-4c0b-a0f5-6b2f9a7d4e23",
                nearly=lambda text: text.strip().lower(),
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="UID of the cluster's namespace kube-system: the program refuses every other cluster before it registers "
        "anything; by default the first `up` learns it. See runbook.md",
    )
    kubeconfig: Annotated[str, replace(_KUBECONFIG, check=_a_path_on_this_machine)] | None = Field(
        default=None,
        description="path of the kubeconfig, and never its contents; by default the one that kubectl uses",
        repr=False,
    )
    pod_identity_agent: Switch = Field(
        default=False,
        description="true: this program installs the add-on eks-pod-identity-agent, which EKS Auto Mode already has",
    )
    oidc_issuer: (
        Annotated[
            str,
            matching(
                re.compile(r"(?!https?://)[a-z0-9-]+(\.[a-z0-9-]+)+(/[^\s/?#]+)*"),
                "an issuer without https://",
                "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE",
                "oidc.example.com/prod-use1",
                nearly=nearly.issuer,
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="with identity irsa: the cluster's OIDC issuer; IAM must have an identity provider for it already",
    )
    node_role: (
        Annotated[str, matching(_ROLE, "the name of a role", "nodes-use1", "prod-nodes", nearly=nearly.role_name)] | None
    ) = Field(
        default=None,
        description="with identity instance-profile: name of the nodes' IAM role, to which the program attaches its policies",
    )
    velero_role_arn: RoleArn | None = Field(
        default=None, description="ARN of your own role for Velero, in place of the one that this program creates"
    )
    database_role_arn: RoleArn | None = Field(
        default=None, description="ARN of your own role for databases, in place of the one that this program creates"
    )
    etcd_role_arn: RoleArn | None = Field(
        default=None, description="ARN of your own role for the etcd backup, in place of the one that this program creates"
    )
    freshness_role_arn: RoleArn | None = Field(
        default=None,
        description="ARN of your own role for what writes how fresh the databases' archives are, in place of the one that this "
        "program creates",
    )
    guard_role_arn: RoleArn | None = Field(
        default=None, description="ARN of your own role for the guard, in place of the one that this program creates"
    )
    drills_role_arn: RoleArn | None = Field(
        default=None, description="ARN of your own role for drills, in place of the one that this program creates"
    )

    drill_database_role_arn: RoleArn | None = Field(
        default=None,
        description="ARN of your own role for the throw-away Cluster of the drill of databases, in place of the one that this "
        "program creates",
    )

    @model_validator(mode="after")
    def _eks_takes_the_name(self) -> Cluster:
        """EKS compares the name in trust policies and associations with its own, which is not what a kubeconfig calls it."""
        longest = limits.most("eks.ClusterName")
        if self.distribution == "eks" and (not _EKS_NAME.fullmatch(self.name) or len(self.name) > longest):
            end = self.name.rpartition("/")[2]
            fix = "write {}" if end != self.name and _EKS_NAME.fullmatch(end) else "see: aws eks list-clusters"
            text = f"{{}} is no name of a cluster on EKS (letters, digits, - and _, {longest} at most); {fix}"
            raise Mistake(text, self.name, *([end] if "{}" in fix else []), at=("name",))
        return self

    def role_arn(self, part: Part) -> str | None:
        """The role that a person configured for `part`; None where this program creates one."""
        given = {
            "velero": self.velero_role_arn,
            "database": self.database_role_arn,
            "etcd": self.etcd_role_arn,
            "freshness": self.freshness_role_arn,
            "guard": self.guard_role_arn,
            "drills": self.drills_role_arn,
            "drill-database": self.drill_database_role_arn,
        }
        return given[part]
