"""URLs that one region calls, so that somebody hears of it, and of its silence. Whoever has one can speak for the region."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from settings.drills import KINDS
from settings.fields import Model
from settings.hosts import can_be_a_host, host_in, only_in_the_cluster, url_parts


def _receiver(url: SecretStr) -> SecretStr:
    """A URL to be called as it is. Without TLS it may go no further than the cluster and its network."""
    text = url.get_secret_value()
    parts = url_parts(text)
    if parts is None or parts.scheme.lower() not in ("http", "https") or not text.isascii() or not text.isprintable():
        raise ValueError("is not a URL; write one as in https://oneuptime.com/heartbeat/…")
    host = host_in(text)
    if " " in text or "#" in text or not can_be_a_host(host):
        raise ValueError("is not a URL that can be called as it is; write one as in https://oneuptime.com/heartbeat/…")
    if "@" in parts.netloc:
        raise ValueError("has a user or a password before its host, which nobody sends; write the URL without")
    if parts.scheme.lower() == "http" and not _stays_near(host):
        raise ValueError("is http to a host that is neither in the cluster nor at a private address; write https")
    return url


def _stays_near(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return only_in_the_cluster(host)


ReceiverUrl = Annotated[
    SecretStr,
    AfterValidator(_receiver),
    Field(json_schema_extra={"format": "a URL: https, or http within the cluster and its network"}),
]


class DrillHeartbeats(Model):
    """The heartbeat of each drill."""

    integrity: ReceiverUrl | None = Field(default=None, description="called while the drill integrity has passed lately")
    namespace: ReceiverUrl | None = Field(default=None, description="called while the drill namespace has passed lately")
    database: ReceiverUrl | None = Field(default=None, description="called while the drill database has passed lately")


class Heartbeats(Model):
    """A URL for each job, called every five minutes while that job is in order, and not otherwise: silence is the alarm."""

    etcd: ReceiverUrl | None = Field(default=None, description="called while the newest snapshot of etcd is fresh")
    guard: ReceiverUrl | None = Field(default=None, description="called while the guard finds everything in order")
    marks: ReceiverUrl | None = Field(
        default=None, description="called while the databases' archives are marked: the other region then knows what it lacks"
    )
    watchdog: ReceiverUrl | None = Field(
        default=None,
        description="called each minute by Alertmanager, by an alert that always fires: Prometheus and Alertmanager work here",
    )
    drills: DrillHeartbeats = Field(default_factory=DrillHeartbeats, description="by drill")
    schedules: dict[str, ReceiverUrl] = Field(
        default={},
        description="by the name of an entry of backups: called while its newest Completed backup that is here is fresh, "
        "whichever region made it",
    )
    databases: dict[str, ReceiverUrl] = Field(
        default={}, description="by the database's name: called while its Cluster here is ready, archives, and is not fenced"
    )

    def of_jobs(self) -> Iterator[tuple[str, str]]:
        """Each job that has a URL, and that URL in plain text. Alertmanager's is not the program's to call."""
        alone = {"etcd": self.etcd, "guard": self.guard, "marks": self.marks}
        drills = {f"drills.{kind}": getattr(self.drills, kind) for kind in KINDS}
        schedules = {f"schedules.{name}": url for name, url in self.schedules.items()}
        databases = {f"databases.{name}": url for name, url in self.databases.items()}
        for job, url in {**alone, **drills, **schedules, **databases}.items():
            if url is not None:
                yield job, url.get_secret_value()


class Receivers(Model):
    """Where one region is heard. Each region has its own URLs: with it, they go silent."""

    heartbeats: Heartbeats = Field(default_factory=Heartbeats, description="dead man's switches: a URL a job")
    alerts: ReceiverUrl | None = Field(
        default=None, description="takes Alertmanager's webhook: every alert of this program in this region, and its end"
    )
    status_page: ReceiverUrl | None = Field(
        default=None, description="told by the up that moves users, once they are moved: which region serves, since when, and why"
    )
