"""The operators as the program installs them, on a machine that has not fetched their archives."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.operators import operators
from components.operators.operators import Operators, OperatorsArgs, planned
from settings.images import Images
from settings.model import OperatorsSettings
from tests.unit.components.alone import registered
from tests.unit.recorder import Recorder


def installed(settings: OperatorsSettings, images: Images | None = None, charts: Path = Path("charts")) -> Recorder:
    """What `settings` register. The archives themselves are another test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operators, "fault", lambda chart, charts: None)
        installations = planned(settings, images or Images(), charts)
    return registered(lambda: Operators("operators", OperatorsArgs(installations=installations)))
