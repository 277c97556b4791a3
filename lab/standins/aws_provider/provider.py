"""The AWS provider: finds the resource type, refuses what it does not cover, and turns AWS's answers into the engine's."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, TypeVar

import boto3
import botocore.config
import botocore.exceptions

from lab.standins.aws_provider import eks, iam, iam_policies, kms, route53, s3, s3_settings
from lab.standins.aws_provider.resource import Aws, Resource, Values, gone
from lab.standins.differences import Difference, differences, respond
from lab.standins.provider import NotCoveredError, RefusedError, StandIn, name_of, type_of
from lab.standins.values import UNKNOWN, from_struct, hide_like, reveal

T = TypeVar("T")

RESOURCES: Mapping[str, Resource] = {
    kind.token: kind() for service in (eks, iam, iam_policies, kms, route53, s3, s3_settings) for kind in service.RESOURCES
}
GLOBAL = {kind.token for service in (iam, iam_policies, route53) for kind in service.RESOURCES}
"""Types of AWS's global services, which belong to no region."""

_SERVICES = ("eks", "iam", "kms", "route53", "s3", "sts")
_CLIENT_CONFIG = botocore.config.Config(
    connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2}, s3={"addressing_style": "path"}
)
"""Short timeouts: a region that loses every packet must cause an error, not a hang."""

_SETTINGS = {"region", "accessKey", "secretKey", "token", "profile", "endpoints", "allowedAccountIds", "defaultTags"}
_WITHOUT_EFFECT = {
    "version",
    "s3UsePathStyle",
    "skipCredentialsValidation",
    "skipMetadataApiCheck",
    "skipRegionValidation",
    "skipRequestingAccountId",
}


def resource_of(token: str) -> Resource:
    if token not in RESOURCES:
        raise NotCoveredError(
            f"the AWS stand-in does not cover {token}; install pulumi-resource-aws or add the type in lab/standins/aws_provider"
        )
    return RESOURCES[token]


def same_document(one: Any, other: Any) -> bool:
    """Whether two JSON texts have the same content. AWS may return a policy in a different format than it was written."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except (TypeError, ValueError):
        return False


def changes(resource: Resource, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """The differences between two sets of inputs. JSON documents are compared by their content."""
    same = {key for key in resource.documents if same_document(old.get(key), new.get(key))}
    sides = [{key: value for key, value in side.items() if key not in same} for side in (old, new)]
    return list(differences(sides[0], sides[1]))


class AwsProvider(StandIn):
    name = "aws"
    version = version("pulumi_aws")

    _aws: Aws | None = None
    _default_tags: Mapping[str, str] = {}

    def configure(self, settings: dict[str, Any]) -> None:
        given = {key: value for key, value in settings.items() if value not in ("", "false")}
        if unknown := given.keys() - _SETTINGS - _WITHOUT_EFFECT:
            raise NotCoveredError(f"the AWS stand-in does not cover the provider's {', '.join(sorted(unknown))}")
        if not given.get("region"):
            raise RefusedError("Missing region configuration: the provider's region must be set")
        self.place = str(given["region"])
        self._default_tags = _structured(given.get("defaultTags", {})).get("tags") or {}
        endpoints = _structured(given.get("endpoints", []))
        if not endpoints:
            return  # enough for a preview; `_connected` refuses the rest
        if unknown := {key for entry in endpoints for key in entry} - set(_SERVICES):
            raise NotCoveredError(
                f"the AWS stand-in knows the endpoints of {', '.join(_SERVICES)}, not of {', '.join(sorted(unknown))}"
            )
        client = self._clients(given, {service: url for entry in endpoints for service, url in entry.items()})
        allowed = _structured(given.get("allowedAccountIds", []))
        account = ""
        if allowed or given.get("skipRequestingAccountId") != "true":
            account = _ask("looking up the AWS account", lambda: str(client("sts").get_caller_identity()["Account"]))
        if allowed and account not in allowed:
            raise RefusedError(f"AWS account ID not allowed: {account}; allowed are {', '.join(allowed)}")
        self._aws = Aws(region=self.place, account=account, client=client)

    def _clients(self, given: Mapping[str, Any], endpoints: Mapping[str, str]) -> Callable[[str], Any]:
        session = boto3.session.Session(
            aws_access_key_id=given.get("accessKey"),
            aws_secret_access_key=given.get("secretKey"),
            aws_session_token=given.get("token"),
            profile_name=given.get("profile"),
            region_name=self.place,
        )
        made: dict[str, Any] = {}

        def client(service: str) -> Any:
            if service not in made:
                if service not in endpoints:
                    raise RefusedError(f"the AWS stand-in never talks to AWS itself: give {service} in the provider's endpoints")
                made[service] = session.client(service, endpoint_url=endpoints[service], config=_CLIENT_CONFIG)
            return made[service]

        # Create the clients now: several threads can share clients, but not a session.
        for service in endpoints:
            client(service)
        return client

    def replaces_provider(self, old: dict[str, Any], new: dict[str, Any]) -> bool:  # noqa: ARG002
        return False

    def _connected(self) -> Aws:
        if self._aws is None:
            raise RefusedError(
                "the AWS stand-in never talks to AWS itself: set the provider's endpoints, or install pulumi-resource-aws"
            )
        return self._aws

    def check(self, urn: str, old: dict[str, Any], new: dict[str, Any], seed: bytes) -> dict[str, Any]:
        resource = resource_of(type_of(urn))
        if unknown := new.keys() - resource.inputs:
            raise NotCoveredError(
                f"the AWS stand-in does not cover {', '.join(sorted(unknown))} of {resource.token}; install pulumi-resource-aws "
                "or add it in lab/standins/aws_provider"
            )
        if resource.named and resource.named not in new:
            suffix = hashlib.sha256(seed).hexdigest()[:7] if seed else secrets.token_hex(4)[:7]
            return {**new, resource.named: old.get(resource.named) or f"{name_of(urn)}-{suffix}"}
        return new

    def diff(self, request: Any) -> Any:
        resource = resource_of(type_of(request.urn))
        old, new = reveal(from_struct(request.old_inputs)), reveal(from_struct(request.news))
        found = changes(resource, old, new)
        if "tags" in resource.inputs:
            # The provider's default tags may have changed even if the resource's own tags have not.
            was, now = reveal(from_struct(request.olds)).get("tagsAll", {}), self._tagged(resource, new).get("tags")
            found += differences({"tagsAll": was}, {"tagsAll": now})
        return respond(found, lambda difference: difference.path[0] in resource.fixed)

    def _tagged(self, resource: Resource, inputs: Mapping[str, Any]) -> Values:
        """The inputs with all tags: the provider's default tags, unless overridden, and then the resource's own."""
        own = inputs.get("tags") or {}
        if "tags" not in resource.inputs or not isinstance(own, dict):  # a preview may not know the tags yet
            return dict(inputs)
        overridden = (inputs.get("overrideProvider") or {}).get("defaultTags")
        default = self._default_tags if overridden is None else overridden.get("tags") or {}
        return {**inputs, "tags": {**default, **own}}

    def _state(self, resource: Resource, inputs: Mapping[str, Any], computed: Mapping[str, Any]) -> Values:
        answer = {**inputs, **computed}
        if "tags" in resource.inputs:
            answer["tagsAll"] = self._tagged(resource, inputs).get("tags")
        return answer if resource.token in GLOBAL else {**answer, "region": self.place}

    def create(self, urn: str, inputs: dict[str, Any], *, timeout: float, preview: bool) -> tuple[str, dict[str, Any]]:  # noqa: ARG002
        resource = resource_of(type_of(urn))
        if preview:
            return "", self._state(resource, inputs, dict.fromkeys(resource.computed, UNKNOWN))
        aws = self._connected()
        tagged = self._tagged(resource, reveal(inputs))
        identifier, computed = _ask(f"creating {resource.token}", lambda: resource.create(aws, tagged))
        return identifier, self._state(resource, inputs, computed)

    def read(
        self, urn: str, identifier: str, state: dict[str, Any], inputs: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        resource, aws = resource_of(type_of(urn)), self._connected()
        del state  # only AWS's answer counts
        plain = reveal(inputs)
        try:
            found = resource.read(aws, identifier, plain)
        except botocore.exceptions.ClientError as error:
            if not gone(error):
                raise RefusedError(f"reading {resource.token} ({identifier}): {error}") from None
            found = None
        except botocore.exceptions.BotoCoreError as error:
            raise RefusedError(f"reading {resource.token} ({identifier}): {error}") from None
        if found is None:
            return None
        live, computed = found
        for key in resource.documents & plain.keys():
            if same_document(live.get(key), plain[key]):
                live[key] = plain[key]
        known = hide_like(live, inputs)
        return self._state(resource, known, computed), known

    def update(
        self,
        urn: str,
        identifier: str,
        state: dict[str, Any],
        inputs: dict[str, Any],
        *,
        timeout: float,  # noqa: ARG002
        preview: bool,
    ) -> dict[str, Any]:
        resource, old = resource_of(type_of(urn)), reveal(state)
        if preview:
            known = {key: UNKNOWN if key in resource.renewed else old[key] for key in resource.computed if key in old}
            return self._state(resource, inputs, known)
        aws = self._connected()
        tagged = self._tagged(resource, reveal(inputs))
        was = {**old, "tags": old.get("tagsAll", {})}
        computed = _ask(f"updating {resource.token} ({identifier})", lambda: resource.update(aws, identifier, was, tagged))
        return self._state(resource, inputs, computed)

    def delete(self, urn: str, identifier: str, state: dict[str, Any], *, timeout: float) -> None:  # noqa: ARG002
        resource, aws = resource_of(type_of(urn)), self._connected()
        try:
            resource.delete(aws, identifier, reveal(state))
        except botocore.exceptions.ClientError as error:
            if not gone(error):
                raise RefusedError(f"deleting {resource.token} ({identifier}): {error}") from None
        except botocore.exceptions.BotoCoreError as error:
            raise RefusedError(f"deleting {resource.token} ({identifier}): {error}") from None


def _structured(value: Any) -> Any:
    """Decode a setting: the engine sends a provider's lists and objects as JSON text."""
    return json.loads(value) if isinstance(value, str) else value


def _ask(what: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        raise RefusedError(f"{what}: {error}") from None
