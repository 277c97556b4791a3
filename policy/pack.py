"""Hands the policies to Pulumi's policy SDK, and turns the engine's values into the plain data that the checks read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi_policy as sdk
from pulumi_policy.proxy import UnknownValueError

from checks.catalog import POLICIES
from checks.model import UNKNOWN, Policy, Provider, Resource, Stack


def start() -> None:
    """Serve the pack to the engine, until the engine ends."""
    sdk.PolicyPack(name="k8s-dr", enforcement_level=sdk.EnforcementLevel.MANDATORY, policies=[_policy(each) for each in POLICIES])


def _policy(policy: Policy) -> Any:
    described = {
        "name": policy.name,
        "description": policy.description,
        "enforcement_level": sdk.EnforcementLevel(policy.level),
        "config_schema": sdk.PolicyConfigSchema({key: dict(schema) for key, schema in policy.schema.items()}),
    }
    if policy.resource is not None:
        check_resource = policy.resource

        def validate(args: Any, report: sdk.ReportViolation) -> None:
            resource = _resource(args, args.resource_type, {})
            for message in check_resource(resource, policy.config(args.get_config())):
                report(message, None)

        return sdk.ResourceValidationPolicy(validate=validate, **described)
    assert policy.stack is not None
    check_stack = policy.stack

    def validate_stack(args: Any, report: sdk.ReportViolation) -> None:
        resources = [_resource(each, each.resource_type, _refers(each)) for each in args.resources]
        # urn:pulumi:STACK::project::type::name
        name = next((resource.urn.split("::")[0].rpartition(":")[2] for resource in resources), "")
        for found in check_stack(Stack(name=name, resources=resources), policy.config(args.get_config())):
            report(found.message, found.resource.urn)

    return sdk.StackValidationPolicy(validate=validate_stack, **described)


def _resource(found: Any, kind: str, refers: Mapping[str, frozenset[str]]) -> Resource:
    provider = found.provider
    return Resource(
        type=kind,
        name=found.name,
        urn=found.urn,
        props=_plain(found.props),
        protect=found.opts.protect,
        provider=Provider(name=provider.name, props=_plain(provider.props)) if provider else None,
        refers=refers,
    )


def _refers(found: Any) -> dict[str, frozenset[str]]:
    return {key: frozenset(each.urn for each in made_from) for key, made_from in found.property_dependencies.items()}


def _plain(value: Any) -> Any:
    """Lists and dictionaries in place of the SDK's proxies. They hold UNKNOWN where a proxy raises for an unknown value."""
    if isinstance(value, Mapping):
        return {key: _known(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_known(value, number) for number in range(len(value))]
    return value


def _known(container: Any, key: Any) -> Any:
    try:
        return _plain(container[key])
    except UnknownValueError:
        return UNKNOWN
