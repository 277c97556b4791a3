"""A base backup as the Barman Cloud plugin leaves it in a bucket, complete and worth nothing: for where no database runs."""

from __future__ import annotations

from typing import Any

from settings.names import ARCHIVE_PREFIX

_SEGMENT = "000000010000000000000002"
_LABEL = f"status=DONE\nbegin_wal={_SEGMENT}\nend_wal={_SEGMENT}\n"


def put_base_backup(s3: Any, bucket: str, server: str) -> list[str]:
    """Put one into `bucket`, as taken by the database that archives under the name `server`; the keys of its objects."""
    root = f"{ARCHIVE_PREFIX}/{server}"
    objects = {
        f"{root}/base/20260101T000000/data.tar.lz4": "",
        f"{root}/wals/{_SEGMENT[:16]}/{_SEGMENT}.zst": "",
        f"{root}/base/20260101T000000/backup.info": _LABEL,
    }
    for key, content in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content.encode())
    return list(objects)
