"""Addresses on command lines, DNS questions, and control requests to the endpoint."""

from __future__ import annotations

import argparse
import json
import urllib.request
from typing import Any

from dnslib import QTYPE, RCODE, DNSRecord


def address(text: str) -> tuple[str, int]:
    """Parse HOST:PORT for argparse."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text} is not HOST:PORT; for example 127.0.0.1:0")
    return host, int(port)


def host_entry(text: str) -> tuple[str, str]:
    """Parse NAME=ADDRESS for argparse. The name is converted to lower case."""
    name, _, where = text.partition("=")
    if not name or not where:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=ADDRESS; for example lb-primary.lab.internal=172.30.0.11")
    return name.lower().removesuffix("."), where


def resolve(name: str, server: str, port: int, *, timeout: float = 2) -> tuple[str, int]:
    """The IPv4 address of `name` from the name server, and the shortest TTL in its answer, in seconds.

    Raises OSError if there is no answer in time, or no address in it.
    """
    reply = DNSRecord.parse(DNSRecord.question(name, "A").send(server, port, timeout=timeout))
    addresses = [str(record.rdata) for record in reply.rr if QTYPE.get(record.rtype) == "A"]
    if not addresses:
        raise OSError(f"{server}:{port} has no address for {name}: {RCODE.get(reply.header.rcode)}")
    return addresses[0], min(record.ttl for record in reply.rr)


def control(endpoint: str, path: str, *, method: str = "GET", timeout: float = 5) -> Any:
    """Send a `/_lab/` control request to the URL `endpoint`. Raises OSError if the endpoint does not answer."""
    request = urllib.request.Request(f"{endpoint}/_lab/{path}", method=method)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)
