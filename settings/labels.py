"""Labels and what selects by them, as Kubernetes reads them (apimachinery, util/validation and labels.NewRequirement)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from settings.fields import LABEL_LENGTH, Model, matching

_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_PREFIX = r"(?=[^/]{1,253}/)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/"

LabelKey = Annotated[
    str,
    matching(
        re.compile(f"({_PREFIX})?{_NAME}"),
        f"the key of a label (letters, digits, -, _ and ., {LABEL_LENGTH} at most; before a / a domain in lower case)",
        "app.kubernetes.io/name",
        "dedicated",
    ),
]
LabelValue = Annotated[
    str,
    matching(
        re.compile(f"({_NAME})?"),
        f"the value of a label (letters, digits, -, _ and ., {LABEL_LENGTH} at most, a letter or digit at each end)",
        "storage",
        "v1.2",
        most=LABEL_LENGTH,
    ),
]


class MatchExpression(Model):
    """One requirement on an object's labels."""

    key: LabelKey = Field(description="the label", examples=["app", "tier"])
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="how the label is compared")
    values: list[LabelValue] = Field(default=[], description="values of In and NotIn", examples=[["web"], ["web", "queue"]])

    @model_validator(mode="after")
    def _the_operator_has_the_values_that_it_compares(self) -> MatchExpression:
        compares = self.operator in ("In", "NotIn")
        if compares and not self.values:
            raise ValueError(f"has no values, which {self.operator} compares; write values: […], or operator: Exists")
        if not compares and self.values:
            raise ValueError(f"has values, which {self.operator} does not compare; take them out, or write operator: In")
        return self


class LabelSelector(Model):
    """Requirements on an object's labels, all of which must hold."""

    match_labels: dict[LabelKey, LabelValue] = Field(
        default={}, description="labels and their values", examples=[{"app": "web"}, {"app": "queue", "tier": "back"}]
    )
    match_expressions: list[MatchExpression] = Field(
        default=[],
        description="further requirements",
        examples=[
            [{"key": "tier", "operator": "In", "values": ["web", "queue"]}],
            [{"key": "legacy", "operator": "DoesNotExist"}],
        ],
    )
