"""What is asked from a Pod of the cluster: whether the primary lives, and whether this region's endpoint serves users."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from settings import nearly
from settings.fields import Form, HttpPath, Model, Switch, Whole
from settings.hosts import can_be_a_host, port_is_usable, url_parts
from settings.mistake import Mistake

_PORTS = {"http": 80, "https": 443}


def other_scheme(scheme: str, port: int | None) -> str | None:
    """The scheme whose own port this is, where it is not `scheme`: no server speaks the one on the port of the other."""
    return next((other for other, its in _PORTS.items() if port == its and other != scheme), None)


def refuse_the_port_of_another_scheme(key: str, scheme: str, port: int | None) -> None:
    """Raise Mistake where every question would fail, for what is asked speaks the other scheme. `key` is what `scheme` is
    called."""
    if other := other_scheme(scheme, port):
        text = f"asks {{}} on port {{}}, which is the port of {other}; write {key}: {other}, or another port"
        raise Mistake(text, scheme, str(port))


def tls_on_port_443(raw: Any) -> Any:
    """A question as it is written, with `scheme: https` where nobody wrote one and the port is that of https."""
    return {"scheme": "https", **raw} if isinstance(raw, dict) and raw.get("port") == 443 else raw


def _probe(text: str) -> str:
    """A URL that a person meant: where it can be asked nobody, no answer would read as "the primary is dead"."""
    parts = url_parts(text)
    if parts is None and not port_is_usable(text) and "[" not in text:
        raise ValueError("has a port that is no number from 1 to 65535; write one as in https://app.example.com:8443/")
    if (
        parts is None
        or parts.scheme.lower() not in ("http", "https")
        or not text.isascii()
        or not text.isprintable()
        or " " in text
        or not can_be_a_host(parts.hostname or "")
    ):
        raise ValueError("is not a URL; write one as in https://app.example.com/")
    if "@" in parts.netloc:
        # The gate's messages repeat the URL.
        raise ValueError("has a user or a password; leave them out: a refusal of the server is an answer too")
    if parts.scheme.lower() == "https" and parts.port == 80:
        # http on port 443 is answered: by a server of TLS with 400, and by what forwards to plain HTTP. The advice tells of it.
        raise ValueError("asks https on port 80, which is the port of http; write http://, or another port")
    return f"{parts.scheme.lower()}{text[len(parts.scheme) :]}"


ProbeUrl = Annotated[
    str,
    Form(
        check=_probe,
        name="a URL, as in https://app.example.com/",
        examples=("https://app.example.com/", "https://lb-primary.us-east-1.elb.amazonaws.com:8443/healthz"),
        pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://\S+$",
        nearly=nearly.url_of_a_page,
    ),
]


class EndpointQuestion(Model):
    """How a region's own endpoint is asked, as a user would ask: by the first of dns.names, as Host header and in TLS.

    What is not written is as in `failover.probe`: a user asks both regions alike.
    """

    ask: Switch = Field(
        default=True,
        description="false where Pods do not reach this region's own endpoint: nothing then tries it before users come",
    )
    scheme: Literal["https", "http"] | None = Field(default=None, description="https or http; by default as in failover.probe")
    port: Whole | None = Field(default=None, ge=1, le=65535, description="the port; by default as in failover.probe")
    path: HttpPath | None = Field(
        default=None, description="the path that must answer with success (2xx or 3xx); by default as in failover.probe"
    )
    certificate: Literal["verify", "ignore"] = Field(
        default="verify",
        description="with https: verify refuses a certificate that is not of the name, has expired, or is of an authority that "
        "browsers do not know; ignore takes any",
    )
