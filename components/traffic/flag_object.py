"""The traffic flag as an object in S3: the component that writes it, and the function by which a primary reads it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import pulumi
import pulumi_aws as aws

from components.iam.errors import explain
from components.kube.runner.flag import LONGEST, Flag, FlagInvalidError, moves_users, parse
from components.traffic.records import HEALTH_CHECK, TrafficArgs, make_records
from settings.aws import Aws
from settings.names import FLAG_KEY, Names
from settings.roles import ROLES, Duties, Role

_LAGGARDS = timedelta(minutes=1)
"""For clocks that differ, resolvers that keep a record for longer than they may, and a page that is asked for as they change."""


_PATIENCE, _PAUSE = 4.0, 0.5
"""For how many seconds S3 is asked again that answers with 5xx, and how many lie between two questions."""


class FlagUnreadableError(Exception):
    """The program cannot know whether the other region has taken over. The message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class TrafficFlagArgs:
    traffic: TrafficArgs
    bucket: aws.s3.Bucket | None
    duties: Duties
    after_update: Sequence[pulumi.ResourceHook] = ()
    """Called once a flag that was there already says something else."""


class TrafficFlag(pulumi.ComponentResource):
    """Moves the traffic, which is the last thing that a failover does.

    Only the secondary region has a flag: one object that names the active region, and a failover rewrites it. In the modes
    `standby-takes-over` and `both-regions` Route 53 reads it. In mode `record` a weighted record for each name moves the users,
    which exists while this region is active, and the flag is for the primary's `up` and guard alone.
    """

    def __init__(self, name: str, args: TrafficFlagArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:traffic:TrafficFlag", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        flag = [self._object(name, args.bucket, args)] if args.duties.flag and args.bucket is not None else []
        for host in args.traffic.dns.names if args.traffic.dns.mode == "record" and args.duties.flag == "secondary" else ():
            # The old primary is told to stop before users are sent away from it.
            opts = child(depends_on=flag)
            make_records(f"{name}-{host}", host, args.traffic, opts=opts, weighted_routing_policies=[{"weight": 255}])
        self.register_outputs({})

    def _object(self, name: str, bucket: aws.s3.Bucket, args: TrafficFlagArgs) -> aws.s3.BucketObjectv2:
        duties = args.duties
        assert duties.flag is not None
        flag = Flag(active=duties.flag, handover="primary" if duties.hands_over else None)
        return aws.s3.BucketObjectv2(
            name,
            bucket=bucket.bucket,
            key=FLAG_KEY,
            content=flag.content(),
            content_type="application/json",
            cache_control="no-store",
            # No tags, so that a failover needs the right to put this object and no other right.
            override_provider={"default_tags": {"tags": {}}},
            opts=pulumi.ResourceOptions(
                parent=self,
                hooks=pulumi.ResourceHookBinding(after_update=list(args.after_update)) if args.after_update else None,
            ),
        )


def read_flag(names: Names, settings: Aws) -> Flag | None:
    """The traffic flag. None while there is no flag, or if its region does not answer: a dead region must not block this one.

    Raises FlagUnreadableError if the region answers and the flag still cannot be known.
    """
    region = names.topology.regions.secondary
    timeouts = botocore.config.Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
    try:
        session = boto3.session.Session(profile_name=settings.profile, region_name=region)
        client = session.client("s3", endpoint_url=settings.endpoint, config=timeouts)
        found = _fetch(client, names)
        body = found["Body"].read(LONGEST + 1)
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError):
        return None
    except botocore.exceptions.ClientError as error:
        # A region that is half dead answers with 5xx.
        if error.response["Error"]["Code"] in ("NoSuchBucket", "NoSuchKey") or _passes(error):
            return None
        raise FlagUnreadableError(_unreadable(names, error)) from None
    except botocore.exceptions.BotoCoreError as error:
        raise FlagUnreadableError(_unreadable(names, error)) from None
    try:
        return replace(parse(body), written=found["LastModified"])
    except FlagInvalidError as error:
        raise FlagUnreadableError(_invalid(names, body, error)) from None


def _fetch(client: Any, names: Names) -> Any:
    """The answer with the flag. S3 answers with 500 or 503 now and then, on every day, and asks to be asked again: one such
    answer must not pass for a dead region, beside which a stale primary would serve. What does not answer is asked once."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return client.get_object(Bucket=names.flag_bucket, Key=FLAG_KEY)
        except botocore.exceptions.ClientError as error:
            if not _passes(error) or time.monotonic() >= end:
                raise
        time.sleep(_PAUSE)


def _passes(error: botocore.exceptions.ClientError) -> bool:
    return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500)


def may_be_on_their_way(flag: Flag | None, ttl: int, now: datetime) -> bool:
    """Whether users may not have reached the primary yet, though it serves: the flag still sends them to the secondary, or was
    written so lately that health checks and resolvers may not have followed it."""
    if flag is None:
        return False
    if flag.active == "secondary":
        return True
    return flag.written is not None and now - flag.written < HEALTH_CHECK + timedelta(seconds=ttl) + _LAGGARDS


def _address(names: Names) -> str:
    return f"s3://{names.flag_bucket}/{FLAG_KEY}"


def _unreadable(names: Names, error: Exception) -> str:
    why = explain(error, "s3:GetObject on it, and s3:ListBucket on its bucket")
    return f"the traffic flag {_address(names)} cannot be read: {why}"


def _invalid(names: Names, body: bytes, error: FlagInvalidError) -> str:
    """Where users go by such a flag, and the commands that write it by hand.

    The person has to choose: what Route 53 finds in a spoilt flag need not be what serves. No `pulumi up` writes it anew, because
    the state of the secondary says that it is written.
    """
    sent_to: Role = "secondary" if moves_users(body) else "primary"
    commands = [
        f"if the {role}, {names.topology.region(role)}, serves: printf '{Flag(active=role).content()}' | aws s3 cp - "
        f"{_address(names)} --region {names.topology.regions.secondary} --content-type application/json --cache-control no-store"
        for role in ROLES
    ]
    return (
        f"the traffic flag {_address(names)} {error}; by what Route 53 finds in it users are sent to the {sent_to}, "
        f"{names.topology.region(sent_to)}; no pulumi up repairs it, so write it by hand; {'; '.join(commands)}"
    )
