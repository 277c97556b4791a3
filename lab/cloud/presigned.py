"""Checks presigned URLs of S3, which moto does not. Their signature is in the query, and covers no header except the host."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from moto.iam.access_control import S3IAMRequest
from moto.s3.exceptions import S3AccessDeniedError

_SIGNATURE = "X-Amz-Signature"


class PresignedRequest(S3IAMRequest):
    """Finds the user and checks the signature of a presigned URL with moto's methods.

    `path` includes the query. Raises S3's own errors.
    """

    def __init__(self, *, path: str, headers: dict[str, str], **request: Any) -> None:
        path, _, query = path.partition("?")
        self._fields = {name: values[0] for name, values in parse_qs(query).items()}
        signed, given = self._fields.get("X-Amz-SignedHeaders", ""), self._fields[_SIGNATURE]
        authorization = f"Credential={self._fields.get('X-Amz-Credential', '')}, SignedHeaders={signed}, Signature={given}"
        unsigned = "&".join(pair for pair in query.split("&") if not pair.startswith(f"{_SIGNATURE}="))
        super().__init__(path=f"{path}?{unsigned}", headers={**headers, "Authorization": authorization}, **request)

    def check_signature(self) -> None:
        signed = datetime.strptime(self._fields["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if datetime.now(UTC) > signed + timedelta(seconds=int(self._fields["X-Amz-Expires"])):
            raise S3AccessDeniedError
        super().check_signature()

    def _create_auth(self, credentials: Any) -> S3SigV4QueryAuth:
        return S3SigV4QueryAuth(credentials, self._service, self._region)

    def _create_aws_request(self) -> AWSRequest:
        signed = self._fields["X-Amz-SignedHeaders"].split(";")
        headers = self._create_headers_for_aws_request(signed, self._headers)
        request = AWSRequest(method=self._method, url=self._path, headers=headers)
        request.context["timestamp"] = self._fields["X-Amz-Date"]
        return request
