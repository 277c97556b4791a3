"""The advice after an error of AWS fits its cause: who is not logged in is not sent to the IAM policies."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError

from components.iam.errors import explain

NEEDS = "s3:GetObject on s3://acme-dr-flag/dr/active.json"
LOG_IN = "log in (aws sso login), or name a profile with valid credentials (k8s-dr:aws.profile, or AWS_PROFILE)"


def refused(code: str, message: str = "no", *, headers: dict[str, str] | None = None, **details: str) -> ClientError:
    response: dict[str, Any] = {
        "Error": {"Code": code, "Message": message, **details},
        "ResponseMetadata": {"HTTPHeaders": headers or {}},
    }
    return ClientError(response, "GetObject")


WITHOUT_CREDENTIALS = [
    exceptions.NoCredentialsError(),
    exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
    exceptions.CredentialRetrievalError(provider="custom-process", error_msg="it ended with 1"),
    exceptions.ProfileNotFound(profile="nobody"),
    exceptions.UnauthorizedSSOTokenError(),
    exceptions.SSOTokenLoadError(error_msg="the token has expired"),
    exceptions.TokenRetrievalError(provider="sso", error_msg="the token has expired and refresh failed"),
    exceptions.LoginRefreshRequired(),
    exceptions.RefreshWithMFAUnsupportedError(),
    *(
        refused(code)
        for code in (
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidToken",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
            "AuthorizationHeaderMalformed",  # without a region S3 means an access key that is empty or malformed
        )
    ),
]
DENIED = "User: arn:aws:iam::123456789012:user/me is not authorized to perform: "
ALLOW = [
    (refused("AccessDenied"), f"allow {NEEDS}"),
    (refused("403", "Forbidden"), f"allow {NEEDS}"),
    (refused("AccessDenied", f"{DENIED}s3:GetObject on resource: arn because no policy allows it"), f"allow {NEEDS}"),
    (refused("AccessDenied", f"{DENIED}kms:Decrypt on this resource"), "allow kms:Decrypt"),
    (refused("AccessDenied", f"{DENIED}s3:Get on this resource"), "allow s3:Get"),
    (refused("AccessDenied", f"{DENIED}sts:AssumeRole on resource: arn"), "allow sts:AssumeRole, in the role's trust policy too"),
    (
        refused("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
        "allow sts:AssumeRoleWithWebIdentity, in the role's trust policy too",
    ),
    (
        refused("AccessDenied", f"{DENIED}s3:GetObject on resource: arn with an explicit deny in a service control policy"),
        "a policy denies s3:GetObject, and no other policy can allow it: change that one",
    ),
]
ELSEWHERE = [
    (
        refused("PermanentRedirect"),
        "the bucket is in another region: is it this program's, and does k8s-dr:topology.regions name that region?",
    ),
    (
        refused("AuthorizationHeaderMalformed", Region="eu-west-1"),
        "the bucket is in eu-west-1: is it this program's, and does k8s-dr:topology.regions name that region?",
    ),
    (refused("SignatureDoesNotMatch", "Signature expired: 20261129T000000Z is now earlier than"), "set this machine's clock"),
    (refused("TemporaryRedirect"), "a bucket that was made minutes ago is not known everywhere yet: try again in some minutes"),
    (
        refused("AccessDenied", "not authorized to perform: s3:GetObject because no VPC endpoint policy allows the s3:GetObject"),
        "the VPC endpoint policy allows no s3:GetObject: change that one",
    ),
    (
        refused("AccessDenied", "not authorized to perform: s3:GetObject because no identity-based policy allows the action"),
        f"allow {NEEDS}",
    ),
    (
        refused("301", headers={"x-amz-bucket-region": "eu-west-1"}),
        "the bucket is in eu-west-1: is it this program's, and does k8s-dr:topology.regions name that region?",
    ),
    (exceptions.NoRegionError(), "correct k8s-dr:topology.regions"),
    (refused("RequestTimeTooSkewed"), "set this machine's clock"),
]
UNKNOWN = [
    refused("NoSuchBucket"),
    refused("SlowDown"),
    refused("InternalError"),
    refused("KMS.DisabledException", "the key is disabled."),
    exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
    exceptions.ReadTimeoutError(endpoint_url="http://127.0.0.1:1"),
    exceptions.ParamValidationError(report="a\nb"),
    OSError("the disk"),
]


def named(case: Any) -> str | None:
    """A readable id of a case: the class of the error and its code."""
    if not isinstance(case, Exception):
        return ""
    code = case.response["Error"]["Code"] if isinstance(case, ClientError) else ""
    return f"{type(case).__name__}{code}"


@pytest.mark.parametrize("error", WITHOUT_CREDENTIALS, ids=named)
def test_without_valid_credentials_one_is_told_to_log_in(error: Exception) -> None:
    assert explain(error, NEEDS) == f"{str(error).removesuffix('.')}; {LOG_IN}"


@pytest.mark.parametrize(("error", "advice"), [*ALLOW, *ELSEWHERE], ids=named)
def test_the_advice_fits_the_cause(error: Exception, advice: str) -> None:
    assert explain(error, NEEDS) == f"{str(error).removesuffix('.')}; {advice}"


@pytest.mark.parametrize("error", UNKNOWN, ids=named)
def test_an_error_whose_cause_is_not_known_stands_alone_in_one_line(error: Exception) -> None:
    assert explain(error, NEEDS) == " ".join(str(error).split())


def test_a_program_with_options_of_its_own_names_those() -> None:
    missing, elsewhere = exceptions.NoCredentialsError(), refused("PermanentRedirect")
    assert "(--profile, or AWS_PROFILE)" in explain(missing, NEEDS, profile="--profile")
    assert explain(elsewhere, NEEDS, region="--region").endswith("does --region name that region?")


def test_only_a_refusal_is_answered_with_permissions() -> None:
    classes = [each for _, each in inspect.getmembers(exceptions, inspect.isclass) if issubclass(each, BotoCoreError)]
    assert len(classes) > 50
    for each in classes:
        error = each.__new__(each)
        Exception.__init__(error, "anything")
        assert "allow" not in explain(error, NEEDS), each
