"""What the tests' AWS refuses when it is told to (`moto_server`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from lab.cloud.scope import target


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What AWS refuses with `status` and `code`: a service, of S3 the configuration of buckets (`s3-bucket`), or one object's
    `key`."""

    service: str
    status: int
    code: str
    key: str | None = None

    def covers(self, environ: Mapping[str, Any]) -> bool:
        headers = {"Host": environ.get("HTTP_HOST", ""), "Authorization": environ.get("HTTP_AUTHORIZATION", "")}
        query, method = environ.get("QUERY_STRING", ""), environ["REQUEST_METHOD"]
        asked = target(headers, environ["PATH_INFO"], query)
        if self.service != "s3-bucket":
            return asked.service == self.service and self.key in (None, asked.key)
        objects = {"delete", "list-type", "prefix", "versions", "uploads", "x-id"} & parse_qs(
            query, keep_blank_values=True
        ).keys()
        listed = method == "GET" and not query
        return asked.service == "s3" and asked.bucket is not None and asked.key is None and not objects and not listed


CONTROL_PLANES = (
    Refusal(service="route53", status=503, code="ServiceUnavailable"),
    Refusal(service="iam", status=403, code="AccessDenied"),
    Refusal(service="s3-bucket", status=503, code="ServiceUnavailable"),
)
"""What stands in us-east-1, whichever region it is for."""
