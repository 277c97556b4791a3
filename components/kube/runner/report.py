"""What a step did and what it could not do, workload by workload."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .api import ApiError
from .failure import StepFailedError


class Report:
    """The lines of one step about one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._lines: list[str] = []
        self._failures: list[str] = []

    def did(self, line: str) -> None:
        # A change that met a conflict was decided twice, and is told once.
        if line not in self._lines:
            self._lines.append(line)

    def failed(self, line: str, *, required: bool) -> None:
        """Something went wrong. What nobody requires is only told, and holds up nothing."""
        if required:
            self._failures.append(line)
        else:
            self.did(f"{line} (not required)")

    @contextmanager
    def about(self, name: str, *, required: bool) -> Iterator[None]:
        """Keep the failure of one workload until every other one has been dealt with."""
        try:
            yield
        except ApiError as error:
            self._forget(name)
            self.failed(f"{name}: {error}", required=required)
        except StepFailedError as error:
            self._forget(name)
            self.failed(str(error), required=required)

    def _forget(self, name: str) -> None:
        """What was decided of it and then refused was not done."""
        self._lines = [line for line in self._lines if not line.startswith(f"{name} ")]

    @property
    def lines(self) -> tuple[str, ...]:
        """What was done."""
        return tuple(self._lines)

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong that is required."""
        return tuple(self._failures)

    def raise_failures(self) -> None:
        """Raises StepFailedError if something went wrong that is required."""
        if self._failures:
            raise StepFailedError(f"in {self.namespace}: {' | '.join(self._failures)}")

    def text(self) -> str:
        return f"{self.namespace}: {', '.join(self._lines) or 'nothing to do'}"
