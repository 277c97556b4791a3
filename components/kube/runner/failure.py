"""How a step says that it failed."""

from __future__ import annotations


class StepFailedError(Exception):
    """A step could not do its work. The message is one line for the person on call: what, why, and what to look at."""
