"""IAM's managed policies, and who has them."""

from __future__ import annotations

from typing import Any, ClassVar

from lab.standins.aws_provider.iam import as_document
from lab.standins.aws_provider.resource import Aws, Resource, Values, as_tags

_MOST_VERSIONS = 5
"""IAM's limit of a policy's versions."""


class Policy(Resource):
    token = "aws:iam/policy:Policy"  # noqa: S105 - a type's token
    inputs: ClassVar = frozenset({"name", "policy", "description", "path", "tags"})
    computed: ClassVar = frozenset({"arn", "policyId"})
    fixed: ClassVar = frozenset({"name", "description", "path"})
    documents: ClassVar = frozenset({"policy"})
    named = "name"

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        options = {"Description": "description", "Path": "path"}
        made = aws.client("iam").create_policy(
            PolicyName=inputs["name"],
            PolicyDocument=inputs["policy"],
            Tags=as_tags(inputs.get("tags")),
            **{option: inputs[key] for option, key in options.items() if key in inputs},
        )["Policy"]
        return made["Arn"], self._computed(made)

    @staticmethod
    def _computed(policy: Values) -> Values:
        return {"arn": policy["Arn"], "policyId": policy["PolicyId"]}

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        iam = aws.client("iam")
        policy = iam.get_policy(PolicyArn=identifier)["Policy"]
        version = iam.get_policy_version(PolicyArn=identifier, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        live = {**inputs, "name": policy["PolicyName"], "policy": as_document(version["Document"])}
        return live, self._computed(policy)

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:
        iam = aws.client("iam")
        others = [version for version in self._versions(iam, identifier) if not version["IsDefaultVersion"]]
        if len(others) == _MOST_VERSIONS - 1:
            oldest = min(others, key=lambda version: version["CreateDate"])
            iam.delete_policy_version(PolicyArn=identifier, VersionId=oldest["VersionId"])
        iam.create_policy_version(PolicyArn=identifier, PolicyDocument=inputs["policy"], SetAsDefault=True)
        if stale := [key for key in old.get("tags") or {} if key not in (inputs.get("tags") or {})]:
            iam.untag_policy(PolicyArn=identifier, TagKeys=stale)
        if inputs.get("tags"):
            iam.tag_policy(PolicyArn=identifier, Tags=as_tags(inputs["tags"]))
        return {key: old[key] for key in self.computed}

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        iam = aws.client("iam")
        for version in self._versions(iam, identifier):
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=identifier, VersionId=version["VersionId"])
        iam.delete_policy(PolicyArn=identifier)

    @staticmethod
    def _versions(iam: Any, identifier: str) -> list[Values]:
        return list(iam.list_policy_versions(PolicyArn=identifier)["Versions"])


class _Attachment(Resource):
    """A policy at one user or role; it has no id of its own in IAM. `holder` is the input that names who has it."""

    holder: ClassVar[str]
    kind: ClassVar[str]
    """As IAM's operations call the holder: `attach_<kind>_policy`."""

    def _ask(self, aws: Aws, verb: str, inputs: Values) -> None:
        operation = getattr(aws.client("iam"), f"{verb}_{self.kind}_policy")
        operation(**{f"{self.kind.title()}Name": inputs[self.holder], "PolicyArn": inputs["policyArn"]})

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        self._ask(aws, "attach", inputs)
        return f"{inputs[self.holder]}/{inputs['policyArn']}", {}

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:  # noqa: ARG002
        holder, _, arn = identifier.partition("/")
        pages = aws.client("iam").get_paginator(f"list_attached_{self.kind}_policies")
        for page in pages.paginate(**{f"{self.kind.title()}Name": holder}):
            if any(found["PolicyArn"] == arn for found in page["AttachedPolicies"]):
                return {self.holder: holder, "policyArn": arn}, {}
        return None

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:  # noqa: ARG002 - everything is fixed
        return {}

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        self._ask(aws, "detach", state)


class UserPolicyAttachment(_Attachment):
    token = "aws:iam/userPolicyAttachment:UserPolicyAttachment"  # noqa: S105
    inputs: ClassVar = frozenset({"user", "policyArn"})
    fixed: ClassVar = inputs
    holder = kind = "user"


class RolePolicyAttachment(_Attachment):
    token = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"  # noqa: S105
    inputs: ClassVar = frozenset({"role", "policyArn"})
    fixed: ClassVar = inputs
    holder = kind = "role"


RESOURCES: tuple[type[Resource], ...] = (Policy, UserPolicyAttachment, RolePolicyAttachment)
