"""Whether a database fits into its memory and its volumes, and has the connections that its own instances take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from settings import postgresql
from settings.mistake import Mistake
from settings.sizes import bytes_in, in_gibibytes

if TYPE_CHECKING:
    from settings.database import DatabaseSettings

LEAST_MEMORY = "128Mi"
EMPTY = "64Mi"
"""An empty PostgreSQL with one database and without its WAL: initdb of PostgreSQL 15 makes 23 MB and each database 8 MB more."""

_WAL_SIZES = (("min_wal_size", "80MB"), ("max_wal_size", "1GB"))
"""Both with PostgreSQL's default."""


def check(database: DatabaseSettings) -> None:
    """Raise Mistake if PostgreSQL or CloudNativePG could not run it as it is written."""
    _memory(database)
    _wal_sizes(database)
    _volumes(database)
    _connections(database)
    _hints(database)


def _hints(database: DatabaseSettings) -> None:
    written = _parameter(database, "wal_log_hints")
    if written and database.instances > 1 and postgresql.as_postgresql_reads(written) == "off":
        # CloudNativePG's webhook: "`wal_log_hints` must be set to `on` when `instances` > 1"
        text = "sets wal_log_hints to {}, and with {} instances CloudNativePG takes it as on alone; take it out"
        raise Mistake(text, written, str(database.instances), at=("parameters",))


def _parameter(database: DatabaseSettings, name: str) -> str | None:
    return next((value for key, value in database.parameters.items() if key.lower() == name), None)


def _memory(database: DatabaseSettings) -> None:
    memory = database.resources.memory
    if bytes_in(memory) < bytes_in(LEAST_MEMORY):
        text = f"{{}} is less than PostgreSQL starts with; write {LEAST_MEMORY} or more"
        raise Mistake(text, memory, at=("resources", "memory"))
    buffers = _parameter(database, "shared_buffers")
    if buffers and buffers.strip().isdecimal() and int(buffers) << 20 > bytes_in(memory):
        # CloudNativePG's webhook, parsePostgresQuantityValue: "If no suffix, default is MB"
        text = (
            "sets shared_buffers to {} without a unit, which PostgreSQL reads as blocks of 8 kB and CloudNativePG as MB, more "
            "than resources.memory, {}; write {}"
        )
        raise Mistake(text, buffers, memory, f"{max(1, int(buffers) * 8 // 1024)}MB", at=("parameters",))
    if buffers and postgresql.bytes_of(database.parameters, "shared_buffers", buffers) > bytes_in(memory):
        # CloudNativePG's webhook, validateResources: "Memory request is lower than PostgreSQL `shared_buffers` value"
        text = "sets shared_buffers to {}, and resources.memory is {}; write a quarter of the memory, or more memory"
        raise Mistake(text, buffers, memory, at=("parameters",))

    for name in ("work_mem", "maintenance_work_mem", "autovacuum_work_mem"):
        written = _parameter(database, name)
        if written and postgresql.bytes_of(database.parameters, name, written) > bytes_in(memory):
            # PostgreSQL, resource consumption: each sort takes so much, and each vacuum; the kernel then kills the instance.
            text = f"sets {name} to {{}}, and resources.memory is {{}}: one query or vacuum may take all of it; write far less"
            raise Mistake(text, written, memory, at=("parameters",))


def _wal_sizes(database: DatabaseSettings) -> None:
    least, most = (postgresql.bytes_of(database.parameters, name, default) for name, default in _WAL_SIZES)
    if least >= most:
        # CloudNativePG's webhook, validateWalSizeConfiguration: min_wal_size < max_wal_size
        text = "has a min_wal_size ({}) that is not below max_wal_size ({}); write less, or a larger max_wal_size"
        shown = (_parameter(database, name) or default for name, default in _WAL_SIZES)
        raise Mistake(text, *shown, at=("parameters",))


def _volumes(database: DatabaseSettings) -> None:
    """What PostgreSQL keeps in pg_wal fits beside what else is in the volume; it stops where the volume is full."""
    if bytes_in(database.storage) < bytes_in(EMPTY):
        text = "{} is less than an empty PostgreSQL takes; write {}, or 1Gi at least"
        raise Mistake(text, database.storage, in_gibibytes(database.storage), at=("storage",))
    volume, key = (database.wal_storage, "walStorage") if database.wal_storage else (database.storage, "storage")
    for name in ("wal_keep_size", "max_wal_size", "min_wal_size", "max_slot_wal_keep_size"):
        written = _parameter(database, name)
        if written and postgresql.bytes_of(database.parameters, name, written) >= bytes_in(volume):
            text = (
                f"sets {name} to {{}}, and {key} is {{}}: WAL would fill the volume, and PostgreSQL stops; "
                f"write less, or a larger {key}"
            )
            raise Mistake(text, written, volume, at=("parameters",))
    kept, default = _WAL_SIZES[0]
    beside = 0 if database.wal_storage else bytes_in(EMPTY)
    if postgresql.bytes_of(database.parameters, kept, default) + beside >= bytes_in(volume):
        text = f"{{}} has no room for the WAL that PostgreSQL always keeps ({kept}, {{}}); write {{}}, or 1Gi at least"
        number = in_gibibytes(volume)
        raise Mistake(text, volume, _parameter(database, kept) or default, number, at=(key,))


def _connections(database: DatabaseSettings) -> None:
    """PostgreSQL starts only with fewer reserved connections than connections (postmaster.c). CloudNativePG gives each replica a
    replication slot and a connection, and a new one two connections while it is copied (pg_basebackup, --wal-method=stream)."""
    amounts = {
        name: int(postgresql.number_of(database.parameters, name, default))
        for name, default in (
            ("max_connections", "100"),
            ("superuser_reserved_connections", "3"),
            ("reserved_connections", "0"),
            ("max_wal_senders", "10"),
            ("max_replication_slots", "32"),
        )
    }
    reserved = amounts["superuser_reserved_connections"] + amounts["reserved_connections"]
    if amounts["max_connections"] <= reserved:
        text = "has max_connections {}, of which {} are reserved, and PostgreSQL would not start; write {} or more"
        written = amounts["max_connections"], reserved, max(100, reserved + 20)
        raise Mistake(text, *map(str, written), at=("parameters",))
    for name, needed in (("max_wal_senders", database.instances + 2), ("max_replication_slots", database.instances)):
        if _parameter(database, name) and amounts[name] < needed:
            text = f"sets {name} to {{}}, and {{}} instances and the other region need {{}}; write that or more, or take it out"
            raise Mistake(text, str(amounts[name]), str(database.instances), str(needed), at=("parameters",))
