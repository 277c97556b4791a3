"""moto's IAM enforcement, switched on: nobody gets in without an access key, and nobody does what their policies do not allow.

moto finds the user, checks the signature and holds the policies. What it makes of them is replaced, for it

- ignores every condition,
- asks for `s3:PutObject` where an object's retention or legal hold is changed, and for `s3:CreateBucket` or `s3:DeleteBucket`
  where a bucket's encryption, replication, object lock or public access is, and for `s3:HeadBucket`, which does not exist,
- looks for a batch of deletions at the bucket and not at its keys, nor at their versions,
- does not look at the source of a copy, nor at governance retention that is bypassed, nor at KMS keys,
- knows the resource of few services: a KMS key or a hosted zone is `*`,
- cannot serve a request without a signature, nor one that is signed in its URL (`presigned.py`).

`permissions.py` says what AWS asks for, `policies.py` what the policies answer; a bucket's own policy counts too.
Not here: roles and their sessions' policies, permission boundaries, KMS key policies and grants (every key trusts its account).
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
"""Where the lab's health checkers are taken to ask from: an address of Route 53's, which a bucket policy names."""

SENT = "lab.sent"
"""Key of a WSGI environ: host and URI as the caller sent and signed them, where they were rewritten since."""


def enforce() -> None:
    """From now on, for everything that moto serves in this process."""
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    mixin: Any = ActionAuthenticatorMixin
    mixin._authenticate_and_authorize_action = _authorize


def _authorize(response: Any, signed_request: Any, resource: str = "*") -> None:  # noqa: ARG001 - moto's idea of the resource
    """Raise the service's own error unless the request may be served. `response` is moto's, `signed_request` the class of its
    way to read the signature."""
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
        # Without a body or a query moto would sign the headers in their place.
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
    # A form has been read by now, and its body with it.
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
        return []  # S3 tells everybody that there is none: a name that is free is no secret
    return needed(asked, moto_state)


def _source(headers: Any) -> str:
    if user_agent(HEALTH_CHECKER) in headers.get("User-Agent", ""):
        return ROUTE_53_ADDRESS
    return str(getattr(headers, "environ", {}).get("REMOTE_ADDR", "127.0.0.1"))


class _AnySpelling(dict[str, str]):
    """Headers by their names in any spelling."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


def _authorize_everybody(response: Any, questions: list[Question]) -> None:
    """A request that nobody signed: only a bucket's policy can allow it."""
    if not all(_by_bucket(question, "*") == "allowed" for question in questions):
        if "BucketName" in response.data:
            raise BucketAccessDeniedError(bucket=response.data["BucketName"])
        raise S3AccessDeniedError


def _allowed(question: Question, policies: list[Document], user: str) -> bool:
    """A user of the account needs one policy that allows it, of the user's or of the bucket's, and none that denies it."""
    verdicts = {answer(question, policies), _by_bucket(question, user)}
    return "denied" not in verdicts and "allowed" in verdicts


def _by_bucket(question: Question, principal: str) -> str:
    if not question.action.startswith("s3:"):
        return "not allowed"
    policy = moto_state.bucket_policy(question.resource.removeprefix("arn:aws:s3:::").partition("/")[0])
    return answer(question, [policy], principal) if policy else "not allowed"
