"""One observation of one health check, over the network, within Route 53's limits.

Hosts of S3 (`*.amazonaws.com`) are asked at the lab's AWS endpoint, with the host they have in the real world: its black hole and
its access log see them. The endpoint speaks no TLS, so an HTTPS check of such a host is made in plain HTTP; HTTPS checks of every
other host use TLS, and like Route 53's do not look at the certificate.
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
"""Seconds, after the connection, for the answer; and again for the part of its body that is searched."""

SEARCHED = 5120
"""Bytes at the start of the body in which the string has to be, whole."""


class Prober:
    """`hosts` are names in small letters and their IPv4 addresses, `endpoint` the URL of the AWS endpoint."""

    def __init__(self, endpoint: str, hosts: Mapping[str, str]) -> None:
        url = urlsplit(endpoint)
        self._endpoint = (url.hostname or "", url.port or 80)
        self._hosts = hosts

    def __call__(self, check: HealthCheck) -> tuple[bool, str]:
        """Whether it went well, and in a few words why it did or did not."""
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
