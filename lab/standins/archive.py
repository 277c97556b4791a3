"""Puts a fake base backup into a bucket, in the layout of the Barman Cloud plugin. The rehearsal uses it: it has no database."""

from __future__ import annotations

from typing import Any

from settings.names import ARCHIVE_PREFIX

_SEGMENT = "000000010000000000000002"
_LABEL = f"status=DONE\nbegin_wal={_SEGMENT}\nend_wal={_SEGMENT}\n"


def put_base_backup(s3: Any, bucket: str, server: str) -> list[str]:
    """Put a base backup of the database that archives under the name `server` into `bucket`. Returns its objects' keys."""
    root = f"{ARCHIVE_PREFIX}/{server}"
    objects = {
        f"{root}/base/20260101T000000/data.tar.lz4": "",
        f"{root}/wals/{_SEGMENT[:16]}/{_SEGMENT}.zst": "",
        f"{root}/base/20260101T000000/backup.info": _LABEL,
    }
    for key, content in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content.encode())
    return list(objects)
