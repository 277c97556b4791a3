"""As `tried_harmful`, of PostgreSQL's parameters: values that it would not start with, or that a failover fails by."""

from __future__ import annotations

from typing import Any

from tests.unit.settings.tried_parts import database

Row = tuple[str, dict[str, Any], str]


def sets(name: str, value: str, **changes: Any) -> dict[str, Any]:
    return database(parameters={name: value}, **changes)


HARMFUL: list[Row] = [
    (
        "reading by io_uring, which no Pod may",
        sets("io_method", "io_uring"),
        "databases[0].parameters: sets io_method to io_uring, which the seccomp profile of the database's Pods forbids, so "
        "PostgreSQL would not start; write worker",
    ),
    (
        "hints that CloudNativePG wants of several instances",
        sets("wal_log_hints", "off", instances=3),
        "databases[0].parameters: sets wal_log_hints to off, and with 3 instances CloudNativePG takes it as on alone; "
        "take it out",
    ),
    (
        "shared buffers without a unit",
        sets("shared_buffers", "262144"),
        "databases[0].parameters: sets shared_buffers to 262144 without a unit, which PostgreSQL reads as blocks of 8 kB and "
        "CloudNativePG as MB, more than resources.memory, 8Gi; write 2048MB",
    ),
    (
        "a parameter with a line break",
        sets("log_line_prefix", "%m\nfsync = off"),
        "databases[0].parameters: sets log_line_prefix to a text with a line break or another control character; write it"
        " in one line",
    ),
    (
        "a parameter with a carriage return",
        sets("search_path", "app\r"),
        "databases[0].parameters: sets search_path to a text with a line break or another control character; write it in "
        "one line",
    ),
    (
        "a standby that waits for its readers for ever",
        sets("max_standby_archive_delay", "-1"),
        "databases[0].parameters: sets max_standby_archive_delay to -1: a query may hold the standby back for ever, and "
        "the gate would be shut; write 300s or less",
    ),
    (
        "a standby that waits for its readers longer than the RPO",
        sets("max_standby_streaming_delay", "10min"),
        "databases[0].parameters: sets max_standby_streaming_delay to 10min: a query may hold the standby back longer "
        "than the RPO, and the gate would be shut; write 300s or less",
    ),
    (
        "a sender's timeout of a second",
        sets("wal_sender_timeout", "1s"),
        "databases[0].parameters: sets wal_sender_timeout to 1s, and that ends replication which is healthy; write 10s or"
        " more, or take it out",
    ),
    (
        "a receiver's timeout in milliseconds",
        sets("wal_receiver_timeout", "60"),
        "databases[0].parameters: sets wal_receiver_timeout to 60, and that ends replication which is healthy; write 10s "
        "or more, or take it out",
    ),
    (
        "replication slots that idle for a second",
        sets("idle_replication_slot_timeout", "1s"),
        "databases[0].parameters: sets idle_replication_slot_timeout to 1s, and that ends replication which is healthy; "
        "write 10s or more, or take it out",
    ),
    (
        "connections that die within a second",
        sets("tcp_user_timeout", "500ms"),
        "databases[0].parameters: sets tcp_user_timeout to 500ms, and that ends replication which is healthy; write 10s "
        "or more, or take it out",
    ),
    (
        "a time zone that is none",
        sets("timezone", "Mars/Olympus"),
        "databases[0].parameters: sets timezone to Mars/Olympus, which is no time zone, and PostgreSQL would not start; "
        "write one as in Europe/Berlin",
    ),
    (
        "a time zone that is misspelt",
        sets("log_timezone", "Europe/Berlinn"),
        "databases[0].parameters: sets log_timezone to Europe/Berlinn, which is no time zone, and PostgreSQL would not "
        "start; did you mean Europe/Berlin?",
    ),
    (
        "a style of dates that is none",
        sets("datestyle", "European style"),
        "databases[0].parameters: sets datestyle to European style, which is no style of dates, and PostgreSQL would not "
        "start; write one as in ISO, MDY",
    ),
    (
        "two styles of dates",
        sets("DateStyle", "ISO, SQL"),
        "databases[0].parameters: sets DateStyle to ISO, SQL, which is no style of dates, and PostgreSQL would not start;"
        " write one as in ISO, MDY",
    ),
    (
        "a compression that no build has",
        sets("wal_compression", "gzip"),
        "databases[0].parameters: sets wal_compression to gzip, and PostgreSQL takes one of pglz, lz4, zstd, on, off; "
        "write one of them",
    ),
    (
        "a compression of values that no build has",
        sets("default_toast_compression", "zstd"),
        "databases[0].parameters: sets default_toast_compression to zstd, and PostgreSQL takes one of pglz, lz4; write "
        "one of them",
    ),
    (
        "memory for a sort above all memory",
        sets("work_mem", "16GB"),
        "databases[0].parameters: sets work_mem to 16GB, and resources.memory is 8Gi: one query or vacuum may take all of"
        " it; write far less",
    ),
    (
        "memory for maintenance above all memory",
        sets("maintenance_work_mem", "64GB"),
        "databases[0].parameters: sets maintenance_work_mem to 64GB, and resources.memory is 8Gi: one query or vacuum may"
        " take all of it; write far less",
    ),
    (
        "memory for autovacuum above all memory",
        sets("autovacuum_work_mem", "9GB"),
        "databases[0].parameters: sets autovacuum_work_mem to 9GB, and resources.memory is 8Gi: one query or vacuum may "
        "take all of it; write far less",
    ),
    (
        "a parameter without a value",
        sets("work_mem", ""),
        'databases[0].parameters: sets work_mem to "", and PostgreSQL takes a number (kB); write one as in 64MB',
    ),
]

VALID: list[tuple[str, dict[str, Any]]] = [
    ("no hints of one instance", sets("wal_log_hints", "off", instances=1)),
    ("shared buffers whose number is small in MB too", sets("shared_buffers", "4096")),
    (
        "times, zones and compressions that PostgreSQL takes",
        database(
            parameters={
                "timezone": "europe/berlin",
                "log_timezone": "<+03>-3",
                "datestyle": "iso, dmy",
                "wal_compression": "lz4",
                "default_toast_compression": "LZ4",
                "wal_sender_timeout": "0",
                "wal_receiver_timeout": "10s",
                "max_standby_streaming_delay": "30s",
                "autovacuum_work_mem": "-1",
                "log_line_prefix": "%m\t[%p] ",
            }
        ),
    ),
    ("replay that waits in a database without a standby", {"tier": "backup-restore", **sets("max_standby_archive_delay", "-1")}),
]
