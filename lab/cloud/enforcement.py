"""Turns on moto's IAM enforcement: every request needs an access key, and the policies of its user must allow it.

moto finds the user, checks the signature and stores the policies. The lab replaces moto's evaluation of the policies, because it

- ignores every condition,
- asks for `s3:PutObject` where an object's retention or legal hold is changed, and for `s3:CreateBucket` or `s3:DeleteBucket`
  where a bucket's encryption, replication, object lock or public access is, and for `s3:HeadBucket`, which does not exist,
- looks for a batch of deletions at the bucket and not at its keys, nor at their versions,
- does not look at the source of a copy, nor at governance retention that is bypassed, nor at KMS keys,
- knows the resources of few services: it takes `*` for a KMS key or a hosted zone,
- cannot serve a request without a signature, nor one that is signed in its URL (`presigned.py`).

`permissions.py` lists the permissions that AWS requires, and `policies.py` evaluates the policies, including bucket policies.
The lab has no roles and session policies, no permission boundaries, and no KMS key policies and grants (every key trusts its
account).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlencode

from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.iam.access_control import IAMPolicy
from moto.s3.exceptions import BucketAccessDeniedError, S3AccessDeniedError

from lab.cloud import moto_state
from lab.cloud.access_log import HEALTH_CHECKER, user_agent
from lab.cloud.operations import operation
from lab.cloud.permissions import Asked, needed
from lab.cloud.policies import Document, Question, answer
from lab.cloud.presigned import PresignedRequest
from lab.cloud.scope import target

ROUTE_53_ADDRESS = "15.177.0.1"
"""The source address of the lab's health checkers in policies. It is one of Route 53's, which a bucket policy allows."""

SENT = "lab.sent"
"""Key in a WSGI environ. It holds host and URI as the caller sent and signed them, if the endpoint rewrote them."""


def enforce() -> None:
    """Enforce permissions from now on, for every request that moto serves in this process."""
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    mixin: Any = ActionAuthenticatorMixin
    mixin._authenticate_and_authorize_action = _authorize


def _authorize(response: Any, signed_request: Any, resource: str = "*") -> None:  # noqa: ARG001 - moto's idea of the resource
    """Raise the service's own error unless the request is allowed.

    `response` is moto's object. `signed_request` is moto's class that reads this kind of signature.
    """
    headers, host, uri = response.headers, response.headers.get("Host"), _uri(response)
    if (sent := getattr(headers, "environ", {}).get(SENT)) is not None:
        host, uri = sent
    headers = {**dict(headers.items()), "Host": host}
    questions = _questions(_asked(response, headers, uri))
    if "Authorization" not in headers and "X-Amz-Signature=" in uri:
        signed_request = PresignedRequest
    elif "Authorization" not in headers:
        _authorize_everybody(response, questions)
        return
    request = signed_request(
        account_id=response.current_account,
        method=response.method,
        path=uri,
        # If there is neither a body nor a query, moto would sign the headers instead.
        data=response.data if response.form_data else {},
        body=response.raw_body,
        headers=headers,
        action=response._get_action(),
    )
    request.check_signature()
    policies: list[Document] = [IAMPolicy(found)._policy_json for found in request._access_key.collect_policies()]
    if not all(_allowed(question, policies, request._access_key.arn) for question in questions):
        request._raise_access_denied()


def _uri(response: Any) -> str:
    query = response.parsed_url.query
    return f"{response.raw_path}?{query}" if query else str(response.raw_path)


def _asked(response: Any, headers: dict[str, str], uri: str) -> Asked:
    path, _, query = uri.partition("?")
    spelled = _AnySpelling(headers)
    asked = target(spelled, path, query, moto_state.bucket_region)
    body = response.raw_body if isinstance(response.raw_body, bytes) else str(response.raw_body or "").encode()
    path = f"/{asked.bucket}{path}" if asked.virtual_host else path
    # By now, moto has parsed a form and used up its body.
    if asked.service != "s3":
        body = body or urlencode(response.form_data or {}).encode()
    form = "" if asked.service == "s3" else body.decode(errors="replace")
    return Asked(
        target=asked,
        operation=operation(asked.service, response.method, path, query, spelled, form) or "Unknown",
        path=path,
        query={name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()},
        headers=spelled,
        body=body,
        account=response.current_account,
        source=_source(response.headers),
    )


def _questions(asked: Asked) -> list[Question]:
    bucket = asked.target.bucket
    if bucket and asked.operation != "CreateBucket" and moto_state.bucket_region(bucket) is None:
        return []  # S3 tells every caller that a bucket does not exist
    return needed(asked, moto_state)


def _source(headers: Any) -> str:
    if user_agent(HEALTH_CHECKER) in headers.get("User-Agent", ""):
        return ROUTE_53_ADDRESS
    return str(getattr(headers, "environ", {}).get("REMOTE_ADDR", "127.0.0.1"))


class _AnySpelling(dict[str, str]):
    """Headers by name, in upper or lower case."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


def _authorize_everybody(response: Any, questions: list[Question]) -> None:
    """Authorize an unsigned request: only a bucket's policy can allow it."""
    if not all(_by_bucket(question, "*") == "allowed" for question in questions):
        if "BucketName" in response.data:
            raise BucketAccessDeniedError(bucket=response.data["BucketName"])
        raise S3AccessDeniedError


def _allowed(question: Question, policies: list[Document], user: str) -> bool:
    """Whether at least one policy, of the user or of the bucket, allows it, and none denies it."""
    verdicts = {answer(question, policies), _by_bucket(question, user)}
    return "denied" not in verdicts and "allowed" in verdicts


def _by_bucket(question: Question, principal: str) -> str:
    if not question.action.startswith("s3:"):
        return "not allowed"
    policy = moto_state.bucket_policy(question.resource.removeprefix("arn:aws:s3:::").partition("/")[0])
    return answer(question, [policy], principal) if policy else "not allowed"
