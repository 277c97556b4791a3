"""Access to moto's memory. This also replaces the part of moto's Route 53 that is more lenient than AWS.

No other module uses moto's internals this way. moto runs in the endpoint's process; pyproject.toml pins its version.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.route53.exceptions import Route53ClientError
from moto.route53.models import RecordSet, Route53Backend, route53_backends
from moto.s3.models import s3_backends

from lab.cloud import route53_rules
from lab.cloud.access_keys import AccessKey
from lab.cloud.records import Alias, HealthCheck, Record, Route53, Zone, plain

_ACCOUNT = "123456789012"
"""moto's default account, and the only one in the lab."""

_moto_record: Any = RecordSet


def _buckets() -> dict[str, Any]:
    buckets: dict[str, Any] = s3_backends[_ACCOUNT]["aws"].buckets
    return buckets


def bucket_region(name: str) -> str | None:
    """The region of a bucket; None if the bucket does not exist."""
    bucket = _buckets().get(name)
    return None if bucket is None else str(bucket.region_name)


def bucket_regions() -> dict[str, str]:
    return {name: str(bucket.region_name) for name, bucket in list(_buckets().items())}


def is_versioned(bucket: str) -> bool:
    return bucket in _buckets() and _buckets()[bucket].versioning_status == "Enabled"


def is_kms_encrypted(bucket: str, key: str, version: str) -> bool:
    """Whether KMS encrypts a version of an object. False if the version no longer exists."""
    found = s3_backends[_ACCOUNT]["aws"].get_object(bucket, key, version_id=version)
    return found is not None and found.encryption == "aws:kms"


def has_object(bucket: str, key: str, version: str | None) -> bool:
    return bucket in _buckets() and s3_backends[_ACCOUNT]["aws"].get_object(bucket, key, version_id=version) is not None


def bucket_policy(bucket: str) -> dict[str, Any] | None:
    policy = getattr(_buckets().get(bucket), "policy", None)
    return None if policy is None else dict(json.loads(policy))


# KMS


def default_key(bucket: str) -> str | None:
    """ARN of the KMS key with which a bucket encrypts by default; None if it does not use KMS by default."""
    rule = (getattr(_buckets().get(bucket), "encryption", None) or {}).get("Rule") or {}
    named = (rule.get("ApplyServerSideEncryptionByDefault") or {}).get("KMSMasterKeyID")
    return key_arn(bucket_region(bucket) or "", named) if named else None


def object_key(bucket: str, key: str, version: str | None) -> str | None:
    """ARN of the KMS key of an object; None if KMS does not encrypt it, or it does not exist."""
    found = s3_backends[_ACCOUNT]["aws"].get_object(bucket, key, version_id=version) if bucket in _buckets() else None
    if found is None or found.encryption != "aws:kms":
        return None
    return key_arn(bucket_region(bucket) or "", found.kms_key_id) if found.kms_key_id else default_key(bucket)


def key_arn(region: str, identifier: str) -> str:
    """ARN of a KMS key, found by its id, its ARN or an alias. Returns the identifier itself if there is no such key."""
    home = identifier.split(":")[3] if identifier.startswith("arn:") else region
    alias = identifier[identifier.index("alias/") :] if "alias/" in identifier else None
    for key in list(kms_backends[_ACCOUNT][home].keys.values()):
        if alias in key.aliases or identifier in (key.id, key.arn):
            return str(key.arn)
    return identifier


def aliases(key: str) -> tuple[str, ...]:
    """Aliases of the KMS key with this ARN."""
    found = kms_backends[_ACCOUNT][key.split(":")[3]].keys.get(key.rpartition("/")[2])
    return () if found is None else tuple(sorted(found.aliases))


# IAM


def create_administrator(key: AccessKey) -> None:
    """Create a user who may do everything, with the access key `key`."""
    backend = iam_backends[_ACCOUNT]["aws"]
    if "administrator" in backend.users:
        return
    backend.create_user("us-east-1", "administrator")
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    backend.put_user_policy("administrator", "administrator", json.dumps(document))
    made = backend.create_access_key("administrator")
    made.access_key_id, made.secret_access_key = key.identifier, key.secret


def ensure_user(name: str) -> AccessKey:
    """The access key of the IAM user `name`. User and key are created if they do not exist; a new user has no permissions."""
    backend = iam_backends[_ACCOUNT]["aws"]
    user = backend.users.get(name) or backend.create_user("us-east-1", name)
    key = user.access_keys[0] if user.access_keys else backend.create_access_key(name)
    return AccessKey(identifier=str(key.access_key_id), secret=str(key.secret_access_key))


# Route 53


def _route53() -> Any:
    return route53_backends[_ACCOUNT]["aws"]


def route53() -> Route53:
    """The zones, records and health checks stored now."""
    backend = _route53()
    return Route53(
        zones=tuple(
            Zone(id=zone.resource_id, name=plain(zone.name), records=tuple(_record(stored) for stored in list(zone.rrsets)))
            for zone in list(backend.zones.values())
        ),
        checks=tuple(health_check(check) for check in list(backend.health_checks.values())),
    )


def ensure_zone(name: str) -> str:
    """The id of the public hosted zone `name`. The zone is created if it does not exist."""
    zones = [zone for zone in list(_route53().zones.values()) if plain(zone.name) == plain(name)]
    zone = zones[0] if zones else _route53().create_hosted_zone(f"{plain(name)}.", private_zone=False)
    return str(zone.resource_id)


def _record(stored: Any) -> Record:
    alias = stored.alias_target
    other = ((stored.region, "Region"), (stored.geo_location, "GeoLocation"), (stored.multi_value_answer, "MultiValueAnswer"))
    return Record(
        name=plain(stored.name),
        type=stored.type,
        ttl=None if stored.ttl is None else int(stored.ttl),
        values=tuple(value["Value"] if isinstance(value, dict) else value for value in stored.records or ()),
        alias=_alias(alias) if alias else None,
        set_identifier=stored.set_identifier,
        failover=stored.failover,
        weight=None if stored.weight is None else int(stored.weight),
        other_routing=next((field for value, field in other if value), None),
        health_check_id=stored.health_check_id,
    )


def _alias(fields: dict[str, Any]) -> Alias:
    return Alias(name=plain(fields["DNSName"]), evaluate_target_health=str(fields["EvaluateTargetHealth"]).lower() == "true")


def health_check(check: Any) -> HealthCheck:
    return HealthCheck(
        id=check.id,
        type=check.type_,
        ip_address=check.ip_address,
        fqdn=check.fqdn,
        port=int(check.port),
        resource_path=check.resource_path or "/",
        search_string=check.search_string,
        request_interval=float(check.request_interval),
        failure_threshold=int(check.failure_threshold),
        inverted=bool(check.inverted),
        disabled=bool(check.disabled),
        children=tuple(check.children or ()),
        health_threshold=int(check.health_threshold or 0),
    )


def enforce_route53_rules() -> None:
    """Make moto apply a change batch like Route 53: by `route53_rules`, and either all of its changes or none.

    moto alone would accept batches that AWS refuses. A DELETE would also remove other records with the same set identifier.
    """
    lock = threading.Lock()

    def change_resource_record_sets(backend: Any, zone_id: str, batch: list[dict[str, Any]]) -> None:
        zone = backend.get_hosted_zone(zone_id)
        changes = [_change(zone.name, change) for change in batch]
        with lock:
            stored = {_record(record).key: record for record in zone.rrsets}
            current = [_record(record) for record in stored.values()]
            try:
                left = route53_rules.apply(current, changes, health_checks=backend.health_checks)
            except route53_rules.RefusedError as refused:
                raise Route53ClientError(refused.code, str(refused)) from None
            for change, described in zip(changes, batch, strict=True):
                if change.action != "DELETE":
                    stored[change.record.key] = _moto_record(_to_moto(described["ResourceRecordSet"]))
            zone.rrsets = [stored[record.key] for record in left]

    backends: Any = Route53Backend
    backends.change_resource_record_sets = change_resource_record_sets


def _change(zone: str, described: dict[str, Any]) -> route53_rules.Change:
    if described["Action"] not in ("CREATE", "UPSERT", "DELETE"):
        raise Route53ClientError("InvalidInput", f"{described['Action']} is not CREATE, UPSERT or DELETE")
    fields = described["ResourceRecordSet"]
    record = _record(_moto_record(_to_moto(fields)))
    if record.name != plain(zone) and not record.name.endswith(f".{plain(zone)}"):
        reason = f"RRSet with DNS name {record.name}. is not permitted in zone {plain(zone)}."
        raise Route53ClientError("InvalidChangeBatch", reason)
    return route53_rules.Change(action=described["Action"], record=record)


def _to_moto(fields: dict[str, Any]) -> dict[str, Any]:
    values = [value["Value"] for value in fields.get("ResourceRecords") or ()]
    return {**fields, "Name": f"{plain(fields['Name'])}.", "ResourceRecords": values}
