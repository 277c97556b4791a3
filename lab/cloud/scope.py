"""Finds the AWS service and region that a request is for, from the request alone. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

_CREDENTIAL = re.compile(r"Credential=[^/,\s]+/\d{8}/([^/,\s]+)/([^/,\s]+)/aws4_request")
_S3_HOST = re.compile(r"^(?:(?P<bucket>.+)\.)?s3(?:[.-](?:dualstack\.)?(?P<region>[a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com$")
_SERVICE_HOST = re.compile(r"^(?P<service>[a-z0-9-]+)(?:\.(?P<region>[a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com$")
GLOBAL_REGION = "us-east-1"
"""The region with the control planes of AWS's global services."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The object that a copy reads."""

    bucket: str
    key: str
    version: str | None


@dataclass(frozen=True, kw_only=True)
class Target:
    """The service, region and object that a request is for.

    `region` comes from the signature, the host or the bucket. Only S3 has `bucket`, `key`, `version` and `copied_from`.
    """

    service: str
    region: str | None
    bucket: str | None = None
    key: str | None = None
    version: str | None = None
    copied_from: Source | None = None
    virtual_host: bool = False
    """Whether the bucket is in the host name instead of the path."""


def target(
    headers: Mapping[str, str], path: str, query: str, bucket_region: Callable[[str], str | None] = lambda _: None
) -> Target:
    """The target of a request.

    `headers` ignore upper and lower case in names. `path` and `query` are as the caller sent them. `bucket_region` finds the
    region for anonymous requests.
    """
    host = (headers.get("Host") or "").lower().partition(":")[0]
    signed = signature(headers, query)
    s3_host = _S3_HOST.match(host)
    service, region = signed or ("", "")
    if not signed:
        other = _SERVICE_HOST.match(host)
        if s3_host or not other:
            service = "s3"
        else:
            return Target(service=other["service"], region=other["region"] or GLOBAL_REGION)
    if service != "s3":
        return Target(service=service, region=region)
    bucket = s3_host["bucket"] if s3_host else None
    virtual = bucket is not None
    rest = unquote(path).lstrip("/")
    if bucket is None:
        bucket, _, rest = rest.partition("/")
    if not signed:
        region = (s3_host and s3_host["region"]) or (bucket and bucket_region(bucket)) or ""
    return Target(
        service="s3",
        region=region or None,
        bucket=bucket or None,
        key=rest or None,
        version=parse_qs(query).get("versionId", [None])[0],
        copied_from=_source(headers.get("x-amz-copy-source") or ""),
        virtual_host=virtual,
    )


def _source(header: str) -> Source | None:
    path, _, version = header.partition("?versionId=")
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    return Source(bucket=bucket, key=key, version=version or None) if bucket else None


def signature(headers: Mapping[str, str], query: str) -> tuple[str, str] | None:
    """Service and region from the credential scope of the Authorization header or of a presigned URL."""
    presigned = parse_qs(query).get("X-Amz-Credential", [""])[0]
    found = _CREDENTIAL.search(headers.get("Authorization") or "") or _CREDENTIAL.search(f"Credential={presigned}")
    return (found[2].lower(), found[1].lower()) if found else None
