"""What AWS calls things: regions, ARNs, endpoints; and how the program reaches AWS where the usual way is not meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import Field, model_validator

from settings import nearly
from settings.fields import Form, Model, matching
from settings.hosts import url_parts
from settings.mistake import Mistake

# Names of regions in AWS's other partitions, by which botocore tells them apart (endpoints.json, regionRegex). ARNs, host names
# and the addresses of Route 53's checkers are others there.
_OTHER_PARTITIONS = {
    "cn-": "China",
    "us-gov-": "GovCloud",
    "us-iso": "a partition of its own",
    "eu-iso": "a partition of its own",
    "eusc-": "the European Sovereign Cloud",
}
ELSEWHERE = "and this program works in the commercial partition of AWS alone (docs/limits.md)"
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_PARTITION = re.compile(r"arn:(aws-[a-z-]+):")


def _region(text: str) -> str:
    elsewhere = next((name for prefix, name in _OTHER_PARTITIONS.items() if text.startswith(prefix)), None)
    if elsewhere:
        raise ValueError(f"is in {elsewhere}, {ELSEWHERE}; write one as in us-west-2")
    if not _REGION.fullmatch(text) or not text.isascii():
        raise ValueError("is not a commercial AWS region; write one as in us-west-2")
    return text


AwsRegion = Annotated[
    str,
    Form(
        check=_region,
        name="a commercial AWS region, as in us-west-2",
        examples=("us-west-2", "eu-central-1"),
        nearly=nearly.region,
        pattern=rf"^{_REGION.pattern}$",
    ),
]


def _arn(pattern: str, what: str, example: str, other: str, nearly: Callable[[str], str] = nearly.role_arn) -> Form:
    """The form of an ARN of the commercial partition."""
    form = matching(re.compile(pattern), what, example, other)

    def check(text: str) -> str:
        if elsewhere := _PARTITION.match(text):
            raise Mistake(f"is of the partition {{}}, {ELSEWHERE}; write one as in {example}", elsewhere[1])
        if re.match(r"arn:aws:kms:[^:]*:[^:]*:alias/", text):
            raise ValueError(
                "is the ARN of an alias; write the key's own: aws kms describe-key --key-id alias/… --query KeyMetadata.Arn"
            )
        if found := re.match(r"arn:aws:iam::[^:]*:role/(aws-service-role|aws-reserved)/", text):
            raise Mistake(
                "is a role in {}, which AWS keeps for itself and no Pod may assume; write one of your own", f"{found[1]}/"
            )
        return form.check(text)

    return Form(check=check, name=form.name, examples=form.examples, pattern=form.pattern, nearly=nearly)


RoleArn = Annotated[
    str,
    _arn(
        r"arn:aws:iam::\d{12}:role/([!-~]{1,510}/)?[A-Za-z0-9_+=,.@-]{1,64}",
        "the ARN of a role",
        "arn:aws:iam::123456789012:role/velero",
        "arn:aws:iam::123456789012:role/dr/etcd",
    ),
]
KeyArn = Annotated[
    str,
    _arn(
        r"arn:aws:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+",
        "the ARN of a key",
        "arn:aws:kms:us-east-1:123456789012:key/1234abcd",
        "arn:aws:kms:us-west-2:123456789012:key/mrk-1234abcd",
        nearly=nearly.key_arn,
    ),
]


def account_of(arn: str) -> str:
    return arn.split(":")[4]


def region_of(arn: str) -> str:
    return arn.split(":")[3]


_URL = matching(
    re.compile(r"https?://[^/\s@?#]+", re.IGNORECASE),
    "a plain URL (scheme, host and port)",
    "http://aws.example.com:5000",
    "https://aws.example.com",
)
_ONE_SERVICE = re.compile(r"(.*\.)?(amazonaws\.com(\.cn)?|api\.aws)|(.*\.)?minio[-\w]*(\..*)?|minio.*", re.IGNORECASE)


def _stands_in_for_aws(text: str) -> str:
    """One URL stands in for six services (`components/providers.py`). S3 alone does not, as MinIO or an interface endpoint is."""
    parts = url_parts(_URL.check(text))
    if parts is None or parts.hostname is None:
        raise ValueError("is not a plain URL (scheme, host and port); write one as in http://aws.example.com:5000")
    if _ONE_SERVICE.fullmatch(parts.hostname):
        raise ValueError(
            "answers for one service, and EKS, IAM, KMS, Route 53 and STS are asked there too; write one that stands in for all "
            "of AWS, as moto or LocalStack do, or take it out"
        )
    return text


Url = Annotated[
    str,
    Form(
        check=_stands_in_for_aws,
        name=_URL.name,
        examples=_URL.examples,
        pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^/\s@?#]+$",
        nearly=lambda text: nearly.url(text).rstrip("/"),
    ),
]


PolicyArn = Annotated[
    str,
    _arn(
        r"arn:aws:iam::(\d{12}|aws):policy/([!-~]{1,510}/)?[A-Za-z0-9_+=,.@-]{1,128}",
        "the ARN of a managed policy",
        "arn:aws:iam::123456789012:policy/boundary",
        "arn:aws:iam::123456789012:policy/platform/workloads",
        nearly=lambda text: text,
    ),
]

_OF_THE_PROGRAM = ("stack", "role", "owner", "Name")
"""Tags that the program gives its resources (`settings/names.py`, and names of health checks and alarms)."""

_CHARACTERS = re.compile(r"[\w .:/=+\-@]*", re.ASCII)


def _tag_key(text: str) -> str:
    """IAM, tagging rules: keys differ by more than case; Amazon S3 and others: `aws:` is reserved."""
    if not text or len(text) > 128 or not _CHARACTERS.fullmatch(text) or text != text.strip():
        raise ValueError(
            "is not the key of a tag (letters, digits, spaces and _.:/=+-@, 128 at most); write one as in CostCenter"
        )
    if text.lower().startswith("aws:"):
        raise ValueError("begins with aws:, which AWS keeps for itself; write one as in CostCenter")
    if own := next((each for each in _OF_THE_PROGRAM if text.lower() == each.lower()), None):
        raise Mistake("is the program's own tag {}, and AWS tells keys apart by more than case; take it out", own)
    return text


def _tag_value(text: str) -> str:
    if len(text) > 256 or not _CHARACTERS.fullmatch(text):
        raise ValueError("is not the value of a tag (letters, digits, spaces and _.:/=+-@, 256 at most); write one as in 4711")
    return text


TagKey = Annotated[str, Form(check=_tag_key, name="the key of a tag, as in CostCenter", examples=("CostCenter", "team"))]
TagValue = Annotated[str, Form(check=_tag_value, name="the value of a tag, as in 4711", examples=("4711", "platform"))]
MOST_TAGS = 6
"""A health check of Route 53 takes ten, and has four of the program's: stack, role, owner and Name."""

_PROFILE = matching(re.compile(r"[^\s\[\]]([^\n\r\[\]]*[^\s\[\]])?"), "the name of a profile", "dr", "prod-us-west-2")


class Aws(Model):
    """How to reach AWS, where the usual endpoint or credentials are not meant."""

    endpoint: Url | None = Field(
        default=None, description="URL of an endpoint that stands in for all of AWS (EKS, IAM, KMS, Route 53, S3, STS), for tests"
    )
    profile: Annotated[str, _PROFILE] | None = Field(
        default=None, min_length=1, description="name of a profile in the shared AWS configuration"
    )
    tags: dict[TagKey, TagValue] = Field(
        default={},
        max_length=MOST_TAGS,
        description="tags of every AWS resource beside the program's own, as an organization's policies demand: "
        f"{MOST_TAGS} at most, for a health check takes ten and has four; no object of a bucket has them",
        examples=[{"CostCenter": "4711"}, {"CostCenter": "4711", "team": "platform"}],
    )
    permissions_boundary: PolicyArn | None = Field(
        default=None, description="the permissions boundary of every role that the program makes, where a policy demands one"
    )

    @model_validator(mode="after")
    def _keys_of_tags_differ_by_more_than_case(self) -> Aws:
        """IAM, tagging rules: keys are not case-sensitive."""
        seen: dict[str, str] = {}
        for key in self.tags:
            if other := seen.get(key.lower()):
                raise Mistake("tags has {} and {}, which IAM takes for one key; take one out", other, key)
            seen[key.lower()] = key
        return self

    @property
    def plain_http(self) -> bool:
        return self.endpoint is not None and self.endpoint.lower().startswith("http://")
