"""Names by which hosts are called on the network: host names, wildcards, addresses and URLs, and the AWS region in one."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from settings import limits, nearly
from settings.fields import Form, matching
from settings.mistake import Mistake

_LABEL = r"[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"
_HOST = rf"({_LABEL}\.)+[A-Za-z]([-A-Za-z0-9]{{0,61}}[A-Za-z0-9])?\.?"
_HOST_NAME = re.compile(_HOST)
_LONGEST = 253  # RFC 1035, 2.3.4: 255 octets on the wire
_LONGEST_LABEL = 63
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")
_OF_AWS = re.compile(
    r"(?P<above>.*)\.(amazonaws\.com(\.cn)?|api\.aws|on\.aws|elasticbeanstalk\.com|awsapprunner\.com|compute\.internal|cloudfront\.net|awsglobalaccelerator\.com)"
)
_IN_THE_CLUSTER = re.compile(r"(.*\.)?(svc|cluster\.local|localhost|local|internal\.cluster)")
_OF_ONE_CLUSTER = re.compile(r"(.*\.)?(svc|cluster\.local|localhost)")
_REGISTRIES = {
    "": "ac co com edu gov mil net org",
    "jp": "ad ed go gr lg ne or",
    "kr": "go ne or pe re",
    "nz": "geek govt iwi school",
    "uk": "ltd me nhs plc police sch",
    "in": "firm gen ind",
    "au": "asn id",
    "za": "law web",
}
"""Labels below a country's, or below any country's, under which registries give out names: co.uk, com.au, or.jp. The Public
Suffix List has them all. Python's own http.cookiejar makes do with the first line (`strict_domain`)."""

EXAMPLE = "write one as in app.example.com"


def _host_name(text: str) -> str:
    """The name in lower case and without a last dot, for DNS knows no difference (RFC 4343; RFC 1034, 3.1)."""
    if "://" in text:
        raise Mistake("is a URL and not a host name; write {}", _host_of(text) or "app.example.com")
    if _is_address(text):
        raise ValueError(f"is an address and not a host name; {EXAMPLE}")
    if text.startswith("arn:"):
        raise ValueError("is an ARN and not a host name; write its DNSName: aws elbv2 describe-load-balancers")
    name = text.removesuffix(".").lower()
    if not text.isascii():
        raise Mistake("is not in ASCII, as DNS has it; write {}", _in_ascii(name))
    if len(name) > _LONGEST:
        raise ValueError(f"is longer than the {_LONGEST} characters of a host name; {EXAMPLE}")
    if longest := next((label for label in name.split(".") if len(label) > _LONGEST_LABEL), None):
        raise Mistake(f"has {{}} between two dots, and {_LONGEST_LABEL} characters are the most there; {EXAMPLE}", longest)
    if not _HOST_NAME.fullmatch(text):
        raise ValueError(f"is not a host name; {EXAMPLE}")
    return name


def _name_or_wildcard(text: str) -> str:
    """Route 53 takes an asterisk for the leftmost label of a name alone."""
    if "*" in text.removeprefix("*."):
        raise ValueError("has an asterisk elsewhere than for its leftmost label; write one as in *.apps.example.com")
    return f"*.{_host_name(text[2:])}" if text.startswith("*.") else _host_name(text)


def _name_or_address(text: str) -> str:
    if not _is_address(text):
        return _host_name(text)
    address = ip_address(text)
    if _of_one_machine(text) or address.is_multicast or text == "255.255.255.255":
        raise ValueError("is no address of another machine; write one that the other region reaches, as in 10.1.0.5")
    return str(address)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _of_one_machine(text: str) -> bool:
    """Whether an address leads to whoever asks, or no further than its own link."""
    address = ip_address(text)
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified or address.is_link_local


def _in_ascii(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return "app.example.com"


HostName = Annotated[
    str,
    Form(
        check=_host_name,
        name="a host name, as in app.example.com",
        examples=("app.example.com", "lb-1234.us-east-1.elb.amazonaws.com"),
        nearly=nearly.host,
        pattern=rf"^{_HOST}$",
    ),
]
DnsName = Annotated[
    str,
    Form(
        check=_name_or_wildcard,
        name="a host name, or a wildcard for one label, as in app.example.com or *.apps.example.com",
        examples=("app.example.com", "*.apps.example.com"),
        nearly=nearly.host,
        pattern=rf"^(\*\.)?{_HOST}$",
    ),
]
HostOrAddress = Annotated[
    str,
    Form(
        check=_name_or_address,
        name="a host name or an address, as in pg.us-east-1.example.com or 10.1.0.5",
        examples=("pg.us-east-1.example.com", "10.1.0.5"),
        nearly=nearly.host,
    ),
]
ZoneId = Annotated[
    str,
    matching(
        re.compile(r"[A-Z0-9]{4,32}"),
        "a Route 53 hosted zone id",
        "Z0123456789ABCDEFGHIJ",
        "Z35SXDOTRQ7X7K",
        nearly=nearly.zone_id,
    ),
]


def url_parts(url: str) -> SplitResult | None:
    """The parts of a URL whose host and port can be asked. None for any other text: Python reads ports when it is asked."""
    try:
        parts = urlsplit(url)
        asked = parts.hostname is not None and parts.port != 0
    except ValueError:
        return None
    return parts if asked else None


def _host_of(url: str) -> str | None:
    parts = url_parts(url)
    return parts.hostname if parts else None


def host_in(url: str) -> str:
    """The host of a checked URL as DNS compares it: in lower case and without a last dot."""
    return (_host_of(url) or "").removesuffix(".")


def can_be_a_host(host: str) -> bool:
    """Whether a host may be a name or an address at all: no asterisk, and no 999.1.1.1."""
    return _is_address(host) or "." not in host or _HOST_NAME.fullmatch(host) is not None


def port_is_usable(url: str) -> bool:
    """Whether the port, if one is written, is a number from 1 to 65535 (RFC 3986, 3.2.3; TCP)."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def of_aws(host: str) -> bool:
    """Whether a name is AWS's own: of a load balancer, a bucket, an instance or the like, or what is above these."""
    return _OF_AWS.fullmatch(f"_.{host.lower().removesuffix('.')}") is not None


def labels_above_a_zone(name: str) -> int:
    """How many labels from the right belong to registries, so that no zone of one's own is there: 2 of app.example.co.uk."""
    top, *below = name.removesuffix(".").lower().split(".")[::-1]
    given_out = f"{_REGISTRIES['']} {_REGISTRIES.get(top, '')}".split()
    return 2 if len(top) == 2 and below[:1] and below[0] in given_out else 1


def region_in(host: str) -> str | None:
    """The AWS region that a host name of AWS contains: NAME.us-east-1.elb.amazonaws.com for an Application or Classic Load
    Balancer, NAME.elb.us-east-1.amazonaws.com for a Network Load Balancer, other services alike. Names of us-east-1 may be older
    than regions (compute-1). The last label that is a region counts, for those before it a person chose."""
    found = _OF_AWS.fullmatch(host.lower().removesuffix("."))
    labels = found["above"].split(".")[::-1] if found else []
    if labels[:1] == ["compute-1"]:
        return "us-east-1"
    return next((region for label in labels if _REGION.fullmatch(region := label.removeprefix("s3-website-"))), None)


def zone_of_load_balancer(host: str) -> str | None:
    """The hosted zone of a load balancer of AWS, by its name. None for any other host, and for a region that is too new."""
    name, region = host.lower().removesuffix("."), region_in(host)
    kind = "network" if name.endswith(f".elb.{region}.amazonaws.com") else "application"
    if kind == "application" and not name.endswith(f".{region}.elb.amazonaws.com"):
        return None
    zone = limits.read("load_balancers").get(region, {}).get(kind)
    return str(zone) if zone else None


def only_in_the_cluster(host: str) -> bool:
    """Whether each cluster finds another host there: by its own DNS, its own Service or none; by an address, the asking Pod."""
    if _is_address(host):
        return _of_one_machine(host)
    return "." not in host or _IN_THE_CLUSTER.fullmatch(host.lower().removesuffix(".")) is not None


def of_one_cluster(host: str) -> bool:
    """Whether a name is of a Service, or of the machine itself: in no zone of Route 53, a private one included."""
    return _OF_ONE_CLUSTER.fullmatch(host.lower().removesuffix(".")) is not None
