"""Puts a fake base backup into a bucket, in the layout of the Barman Cloud plugin. The rehearsal uses it: it has no database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from settings.names import ARCHIVE_PREFIX, FRESHNESS_PREFIX

_SEGMENT = "000000010000000000000002"
_LABEL = f"status=DONE\nbegin_wal={_SEGMENT}\nend_wal={_SEGMENT}\n"


def put_base_backup(s3: Any, bucket: str, server: str) -> list[str]:
    """Put a base backup of the database that archives under the name `server` into `bucket`, with its mark. Returns the
    keys of the backup's objects."""
    root = f"{ARCHIVE_PREFIX}/{server}"
    put_mark(s3, bucket, server)
    objects = {
        f"{root}/base/20260101T000000/data.tar.lz4": "",
        f"{root}/wals/{_SEGMENT[:16]}/{_SEGMENT}.zst": "",
        f"{root}/base/20260101T000000/backup.info": _LABEL,
    }
    for key, content in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content.encode())
    return list(objects)


def put_mark(s3: Any, bucket: str, server: str) -> None:
    """Put the mark of what is archived, as of now. No CronJob writes it anew, so after some minutes it is late."""
    written = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    mark = {"written": written, "segment": _SEGMENT, "archived": written, "bases": {}}
    s3.put_object(Bucket=bucket, Key=f"{FRESHNESS_PREFIX}/{server}.json", Body=json.dumps(mark).encode())
