"""What an error of the AWS SDK means to whoever reads it at night: the error in one line, and advice that fits its cause.

Pure, and without the engine: scripts for people use it too.
"""

from __future__ import annotations

import re

from botocore import exceptions as aws

_NO_CREDENTIALS = (
    aws.CredentialRetrievalError,
    aws.InfiniteLoopConfigError,
    aws.LoginError,
    aws.MetadataRetrievalError,
    aws.NoAuthTokenError,
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.ProfileNotFound,
    aws.RefreshWithMFAUnsupportedError,
    aws.SSOError,
    aws.TokenRetrievalError,
    aws.UnknownCredentialError,
)
_REJECTED_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnauthorizedException",
        "UnrecognizedClientException",
    }
)
_REFUSED = frozenset({"403", "AccessDenied", "AccessDeniedException", "Forbidden", "UnauthorizedOperation"})
_NO_REGION = (aws.InvalidRegionError, aws.NoRegionError, aws.UnknownRegionError)
_WRONG_REGION = frozenset(
    {
        "301",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "IncorrectEndpoint",
        "PermanentRedirect",
    }
)
_MOVING = frozenset({"307", "TemporaryRedirect"})
_WRONG_CLOCK = frozenset({"RequestExpired", "RequestTimeTooSkewed"})
_ACTION = re.compile(r"[\w-]+:\w+")
_LACKS = re.compile(r"not authorized to perform:? ([\w-]+:\w+)", re.IGNORECASE)
"""How AWS names the one action that was refused; it need not be the one that was asked for, as kms:Decrypt in a GetObject."""


_LIMIT = re.compile(r"because no ((?!identity-based|resource-based)[\w-][\w -]* (?:policy|boundary)) allows", re.IGNORECASE)
"""How AWS names what caps a permission that an identity's own policy grants."""


def explain(error: Exception, needs: str, *, profile: str = "k8s-dr:aws.profile", region: str = "k8s-dr:topology.regions") -> str:
    """`error` in one line, and what to do about it. Where the cause is not known the error stands alone.

    `needs`: the permissions that the call takes, as in `s3:GetObject on s3://bucket/key`. `profile` and `region`: where this
    program is told those.
    """
    told = " ".join(str(error).split())
    advice = _advice(error, needs, profile, region)
    return f"{told.removesuffix('.')}; {advice}" if advice else told


def _advice(error: Exception, needs: str, profile: str, region: str) -> str | None:
    response = error.response if isinstance(error, aws.ClientError) else {}
    details = response.get("Error", {})
    code = str(details.get("Code", ""))
    message = str(details.get("Message", ""))
    where = details.get("Region") or response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region")
    if code in _WRONG_CLOCK or (code == "SignatureDoesNotMatch" and "expired" in message.lower()):
        return "set this machine's clock"
    # S3 answers an access key that is empty or malformed with the code of a wrong region too; only the latter names one.
    malformed = code == "AuthorizationHeaderMalformed" and not where
    if isinstance(error, _NO_CREDENTIALS) or code in _REJECTED_CREDENTIALS or malformed:
        return f"log in (aws sso login), or name a profile with valid credentials ({profile}, or AWS_PROFILE)"
    if isinstance(error, _NO_REGION):
        return f"correct {region}"
    if code in _MOVING:
        return "a bucket that was made minutes ago is not known everywhere yet: try again in some minutes"
    if code in _WRONG_REGION:
        # Not "correct it": a region is part of every bucket's name, so a change of it would mean other buckets.
        return f"the bucket is in {where or 'another region'}: is it this program's, and does {region} name that region?"
    if code in _REFUSED:
        return _permission(message, needs)
    return None


def _permission(message: str, needs: str) -> str:
    named = _LACKS.search(message)
    action = named[1] if named else None
    if "explicit deny" in message:
        return f"a policy denies {action or needs}, and no other policy can allow it: change that one"
    if limit := _LIMIT.search(message):
        return f"the {limit[1]} allows no {action or needs}: change that one"
    if action is None or action in _ACTION.findall(needs):
        return f"allow {needs}"
    if action.startswith("sts:AssumeRole"):
        return f"allow {action}, in the role's trust policy too"
    return f"allow {action}"
