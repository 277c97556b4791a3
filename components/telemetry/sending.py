"""Sends traces and measurements by OTLP, where the environment names a collector, and never waits for one that hangs.

Everything is set by OpenTelemetry's own environment variables. Without an endpoint nothing is imported and nothing happens.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Literal

from components.telemetry.trace import Trace

Signal = Literal["traces", "metrics"]
SIGNALS: tuple[Signal, ...] = ("traces", "metrics")

PATIENCE = 5.0
"""Seconds for which anybody waits, whatever the collector does and whatever OTEL_EXPORTER_OTLP_TIMEOUT says."""

UNHURRIED = 20.0
"""The same for whoever keeps nobody waiting: a process of its own, or a command of the morning after."""

_TO_SAY_SO = 1.0
"""Seconds of them that are no request's, so that one which fails can still say so."""


def wanted() -> list[Signal]:
    """The signals that somebody takes, by the environment."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    return [signal for signal in SIGNALS if _endpoint(signal) and _variable(signal, "OTEL_{}_EXPORTER") != "none"]


def _endpoint(signal: Signal) -> str:
    return _variable(signal, "OTEL_EXPORTER_OTLP_{}_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()


def _variable(signal: Signal, name: str) -> str:
    return os.environ.get(name.format(signal.upper()), "").strip()


def send(traces: Sequence[Trace], *, patience: float = PATIENCE) -> list[str]:
    """Send what is wanted of these. Returns after `patience` seconds at the latest: a line for each signal that was not taken.

    The threads are daemons: whatever hangs in one keeps neither the caller nor the end of the process.
    """
    signals = wanted() if traces else []
    said: dict[Signal, str] = {}
    threads = {
        signal: threading.Thread(target=partial(_send, signal, traces, said, patience), daemon=True, name=f"otlp-{signal}")
        for signal in signals
    }
    until = time.monotonic() + patience
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(until - time.monotonic(), 0))
    late = f"the collector did not answer within {patience:g} s"
    return [f"{signal}: {why}" for signal in signals if (why := said.get(signal, late))]


def _send(signal: Signal, traces: Sequence[Trace], said: dict[Signal, str], patience: float) -> None:
    try:
        # Here and not above: the exporters and the part for metrics are slow to import, and of no use without an endpoint.
        from components.telemetry import sdk

        said[signal] = sdk.export(signal, traces, max(patience - _TO_SAY_SO, patience / 2))
    except ImportError as error:
        said[signal] = f"{error}; install what the program needs: pulumi install"
    except Exception as error:  # noqa: BLE001 - whatever a library raises, nothing depends on it
        # Its words may have the endpoint in them, and that a token.
        said[signal] = type(error).__name__
