"""Makes one observation for a health check over the network, with Route 53's time limits.

Checks of S3 hosts (`*.amazonaws.com`) go to the lab's AWS endpoint, with their real host name. A silent region therefore affects
them, and they are in the access log. The endpoint has no TLS, so an HTTPS check of such a host uses plain HTTP. HTTPS checks of
all other hosts use TLS and, like Route 53, do not verify the certificate.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from lab.cloud.access_log import HEALTH_CHECKER, user_agent
from lab.cloud.records import HealthCheck, plain

CONNECT_TIMEOUT = 4.0
TCP_TIMEOUT = 10.0
ANSWER_TIMEOUT = 2.0
"""Seconds for the answer after the connection is open, and again for the part of its body that is searched."""

SEARCHED = 5120
"""The whole search string must be within this many bytes at the start of the body."""


class Prober:
    """Makes observations. `hosts` maps lower-case names to IPv4 addresses; `endpoint` is the URL of the AWS endpoint."""

    def __init__(self, endpoint: str, hosts: Mapping[str, str]) -> None:
        url = urlsplit(endpoint)
        self._endpoint = (url.hostname or "", url.port or 80)
        self._hosts = hosts

    def __call__(self, check: HealthCheck) -> tuple[bool, str]:
        """Whether the check succeeded, and the reason in a few words."""
        try:
            where, tls = self._locate(check)
            if check.type == "TCP":
                socket.create_connection(where, timeout=TCP_TIMEOUT).close()
                return True, "connected"
            return _ask(check, where, tls=tls)
        except TimeoutError:
            return False, "no answer in time"
        except (OSError, http.client.HTTPException) as error:
            return False, str(error) or type(error).__name__

    def _locate(self, check: HealthCheck) -> tuple[tuple[str, int], bool]:
        tls = check.type.startswith("HTTPS")
        name = plain(check.fqdn or "")
        if check.ip_address:
            return (check.ip_address, check.port), tls
        if name.endswith(".amazonaws.com"):
            return self._endpoint, False
        if name not in self._hosts:
            raise OSError(f"no address for {name}")
        return (self._hosts[name], check.port), tls


def _ask(check: HealthCheck, where: tuple[str, int], *, tls: bool) -> tuple[bool, str]:
    connection = http.client.HTTPConnection(*where, timeout=CONNECT_TIMEOUT)
    try:
        connection.connect()
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection.sock = context.wrap_socket(connection.sock, server_hostname=check.fqdn)
        connection.sock.settimeout(ANSWER_TIMEOUT)
        path = check.resource_path if check.resource_path.startswith("/") else f"/{check.resource_path}"
        headers = {"Host": check.fqdn or where[0], "User-Agent": user_agent(HEALTH_CHECKER), "Connection": "close"}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        if not 200 <= answer.status < 400:
            return False, f"HTTP {answer.status}"
        if not check.type.endswith("STR_MATCH"):
            return True, f"HTTP {answer.status}"
        found = (check.search_string or "").encode() in answer.read(SEARCHED)
        return found, f"HTTP {answer.status}, string {'found' if found else 'not found'}"
    finally:
        connection.close()
