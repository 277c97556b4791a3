"""Route 53: records, each changed in a batch of its own, and health checks."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from lab.standins.aws_provider.resource import Aws, Resource, Values, as_tags
from lab.waiting import until

_SYNC_SECONDS = 60


def record_set(inputs: Values) -> Values:
    """The record in the format of Route 53's API."""
    answer: Values = {"Name": _dotted(inputs["name"]), "Type": inputs["type"]}
    if "aliases" in inputs:
        alias = inputs["aliases"][0]
        answer["AliasTarget"] = {
            "DNSName": alias["name"],
            "HostedZoneId": alias["zoneId"],
            "EvaluateTargetHealth": alias["evaluateTargetHealth"],
        }
    else:
        answer |= {"TTL": inputs["ttl"], "ResourceRecords": [{"Value": value} for value in inputs["records"]]}
    if "setIdentifier" in inputs:
        answer["SetIdentifier"] = inputs["setIdentifier"]
    if inputs.get("healthCheckId"):
        answer["HealthCheckId"] = inputs["healthCheckId"]
    for policy in inputs.get("failoverRoutingPolicies", []):
        answer["Failover"] = policy["type"]
    for policy in inputs.get("weightedRoutingPolicies", []):
        answer["Weight"] = policy["weight"]
    return answer


def record_inputs(found: Values, zone: str, written_name: str) -> Values:
    """The inputs for a record that exists; the reverse of `record_set`."""
    answer: Values = {"zoneId": zone, "name": written_name, "type": found["Type"]}
    if alias := found.get("AliasTarget"):
        target = {"name": alias["DNSName"].rstrip("."), "zoneId": alias["HostedZoneId"]}
        answer["aliases"] = [{**target, "evaluateTargetHealth": alias["EvaluateTargetHealth"]}]
    else:
        answer |= {"ttl": found["TTL"], "records": [record["Value"] for record in found["ResourceRecords"]]}
    if "SetIdentifier" in found:
        answer["setIdentifier"] = found["SetIdentifier"]
    if found.get("HealthCheckId"):
        answer["healthCheckId"] = found["HealthCheckId"]
    if "Failover" in found:
        answer["failoverRoutingPolicies"] = [{"type": found["Failover"]}]
    if "Weight" in found:
        answer["weightedRoutingPolicies"] = [{"weight": found["Weight"]}]
    return answer


def _dotted(name: str) -> str:
    return f"{name.rstrip('.').lower()}."


class Record(Resource):
    token = "aws:route53/record:Record"  # noqa: S105 - a type's token
    inputs: ClassVar = frozenset(
        {
            "zoneId",
            "name",
            "type",
            "ttl",
            "records",
            "aliases",
            "setIdentifier",
            "healthCheckId",
            "failoverRoutingPolicies",
            "weightedRoutingPolicies",
            "allowOverwrite",
        }
    )
    computed: ClassVar = frozenset({"fqdn"})
    fixed: ClassVar = frozenset({"zoneId", "name", "type", "setIdentifier"})

    @staticmethod
    def _change(aws: Aws, zone: str, action: str, record: Values) -> None:
        route53 = aws.client("route53")
        batch = {"Comment": "Managed by Pulumi", "Changes": [{"Action": action, "ResourceRecordSet": record}]}
        change = route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)["ChangeInfo"]
        if change["Status"] != "INSYNC":
            until(
                "Route 53 to spread the change",
                lambda: route53.get_change(Id=change["Id"])["ChangeInfo"]["Status"] == "INSYNC",
                timeout=_SYNC_SECONDS,
                interval=1,
            )

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        action = "UPSERT" if inputs.get("allowOverwrite") else "CREATE"
        self._change(aws, inputs["zoneId"], action, record_set(inputs))
        parts = (inputs["zoneId"], inputs["name"], inputs["type"], inputs.get("setIdentifier"))
        return "_".join(part for part in parts if part), {"fqdn": inputs["name"].rstrip(".")}

    def _find(self, aws: Aws, zone: str, name: str, kind: str, set_identifier: str | None) -> Values | None:
        pages = aws.client("route53").get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
        for record in (record for page in pages for record in page["ResourceRecordSets"]):
            if (_dotted(record["Name"]), record["Type"], record.get("SetIdentifier")) == (_dotted(name), kind, set_identifier):
                found: Values = record
                return found
        return None

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        if not inputs:
            zone, name, kind, *rest = identifier.split("_", 3)
            inputs = {"zoneId": zone, "name": name, "type": kind, **({"setIdentifier": rest[0]} if rest else {})}
        found = self._find(aws, inputs["zoneId"], inputs["name"], inputs["type"], inputs.get("setIdentifier"))
        if found is None:
            return None
        live = record_inputs(found, inputs["zoneId"], inputs["name"])
        if "allowOverwrite" in inputs:
            live["allowOverwrite"] = inputs["allowOverwrite"]
        return live, {"fqdn": inputs["name"].rstrip(".")}

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:  # noqa: ARG002
        self._change(aws, inputs["zoneId"], "UPSERT", record_set(inputs))
        return {"fqdn": inputs["name"].rstrip(".")}

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        # To delete a record, Route 53 requires all of its current values.
        found = self._find(aws, state["zoneId"], state["name"], state["type"], state.get("setIdentifier"))
        if found is not None:
            self._change(aws, state["zoneId"], "DELETE", found)


_CHECK = {
    "ipAddress": "IPAddress",
    "port": "Port",
    "resourcePath": "ResourcePath",
    "fqdn": "FullyQualifiedDomainName",
    "searchString": "SearchString",
    "failureThreshold": "FailureThreshold",
    "invertHealthcheck": "Inverted",
    "disabled": "Disabled",
    "enableSni": "EnableSNI",
    "regions": "Regions",
    "insufficientDataHealthStatus": "InsufficientDataHealthStatus",
    "childHealthchecks": "ChildHealthChecks",
    "childHealthThreshold": "HealthThreshold",
}
_CHECK_AT_CREATION = {"type": "Type", "requestInterval": "RequestInterval", "measureLatency": "MeasureLatency"}


class HealthCheck(Resource):
    token = "aws:route53/healthCheck:HealthCheck"  # noqa: S105
    inputs: ClassVar = frozenset({*_CHECK, *_CHECK_AT_CREATION, "referenceName", "tags"})
    computed: ClassVar = frozenset({"arn"})
    fixed: ClassVar = frozenset({*_CHECK_AT_CREATION, "referenceName"})

    @staticmethod
    def _tag(route53: Any, identifier: str, old: Values, inputs: Values) -> None:
        stale = [key for key in old.get("tags") or {} if key not in (inputs.get("tags") or {})]
        change: Values = {"RemoveTagKeys": stale} if stale else {}
        if inputs.get("tags"):
            change["AddTags"] = as_tags(inputs["tags"])
        if change:
            route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=identifier, **change)

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        route53 = aws.client("route53")
        config = {api: inputs[key] for key, api in {**_CHECK, **_CHECK_AT_CREATION}.items() if key in inputs}
        reference = f"{inputs.get('referenceName', '')}{uuid.uuid4()}"
        made = route53.create_health_check(CallerReference=reference[:64], HealthCheckConfig=config)["HealthCheck"]
        self._tag(route53, made["Id"], {}, inputs)
        return made["Id"], {"arn": f"arn:aws:route53:::healthcheck/{made['Id']}"}

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        found = aws.client("route53").get_health_check(HealthCheckId=identifier)["HealthCheck"]["HealthCheckConfig"]
        live = {key: found[api] for key, api in {**_CHECK, **_CHECK_AT_CREATION}.items() if api in found}
        known = {**inputs, **{key: live.get(key) for key in inputs if key in {**_CHECK, **_CHECK_AT_CREATION}}}
        return known if inputs else live, {"arn": f"arn:aws:route53:::healthcheck/{identifier}"}

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:
        route53 = aws.client("route53")
        config = {api: inputs[key] for key, api in _CHECK.items() if key in inputs}
        route53.update_health_check(HealthCheckId=identifier, **config)
        self._tag(route53, identifier, old, inputs)
        return {"arn": old["arn"]}

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        aws.client("route53").delete_health_check(HealthCheckId=identifier)


RESOURCES: tuple[type[Resource], ...] = (Record, HealthCheck)
