"""A Kubernetes client from a kubeconfig, which leaves no file behind.

The library writes the certificates and the private key of a kubeconfig into files in the system's temporary directory. It removes
them only when the interpreter ends in good order, and neither a program that the engine interrupts nor a plugin ends so.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes
import yaml
from urllib3.util import Retry, create_urllib3_context


def client_from(load: Callable[..., None]) -> Any:
    """A client that tries each request once. `load` is one of the library's loaders, bound to a kubeconfig and a context.

    Raises what the loader raises, and OSError if a certificate or a key cannot be used.
    """
    configuration = kubernetes.client.Configuration()
    # Set before the client is built: its connection pool copies the value. With False, a handshake that fails would reach the
    # library as such, and the library then fails with an error of its own.
    configuration.retries = Retry(0)
    with tempfile.TemporaryDirectory(prefix="k8s-dr-") as files:
        load(client_configuration=configuration, temp_file_path=files)
        client = kubernetes.client.ApiClient(configuration)
        # The context reads the files now. Without it, each new connection would read them again.
        client.rest_client.pool_manager.connection_pool_kw |= {
            "ssl_context": _context(configuration),
            **dict.fromkeys(("ca_certs", "cert_file", "key_file")),
        }
    return client


def reason_without_contents(error: Exception, written: str | None) -> str:
    """Why a kubeconfig cannot be used, in one line: without the path that is `written` for it, which may be a kubeconfig's own
    contents, and without an excerpt of the file."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, yaml.MarkedYAMLError):
        return f"it is no YAML: {error.problem}"
    reason = str(error)
    for path in {written, str(Path(written).expanduser())} if written else ():
        reason = reason.replace(path, "it")
    return " ".join(reason.split())


def _context(configuration: Any) -> ssl.SSLContext:
    """What urllib3 would make of these settings at each connection."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE)
    if configuration.ssl_ca_cert:
        context.load_verify_locations(configuration.ssl_ca_cert)
    else:
        context.load_default_certs()
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context
