"""The lab's AWS in the test's own process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.moto_api._internal import moto_api_backend
from moto.route53.models import Route53Backend
from moto.route53.responses import Route53 as Route53Responses

from lab.cloud.access_keys import ADMINISTRATOR, AccessKey
from lab.cloud.endpoint import serve

REPLACED = (
    (Route53Backend, "change_resource_record_sets"),
    (Route53Responses, "get_health_check_status"),
    (ActionAuthenticatorMixin, "_authenticate_and_authorize_action"),
    (settings, "INITIAL_NO_AUTH_ACTION_COUNT"),
)
"""What the endpoint changes in moto, for the whole process."""


@contextmanager
def moto_unchanged() -> Iterator[None]:
    """Moto remembers nothing at the beginning, whatever ran in this process before; at the end it is as it was."""
    moto_api_backend.reset()
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in REPLACED:
            patch.setattr(owner, name, getattr(owner, name))
        try:
            yield
        finally:
            moto_api_backend.reset()


@contextmanager
def serving(log: Path) -> Iterator[str]:
    """An endpoint on a free port; its URL."""
    with moto_unchanged():
        server = serve(("127.0.0.1", 0), log)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


def client(url: str, service: str, region: str, *, key: AccessKey = ADMINISTRATOR, patience: float = 10) -> Any:
    """boto3's, with one attempt; it presigns as the SDKs of other languages do."""
    signature = "s3v4" if service == "s3" else "v4"
    config = Config(
        s3={"addressing_style": "path"}, signature_version=signature, read_timeout=patience, retries={"total_max_attempts": 1}
    )
    return boto3.client(service, endpoint_url=url, region_name=region, config=config, **key.client)
