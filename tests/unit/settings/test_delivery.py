"""Whose workflows may take the pipelines' roles."""

from __future__ import annotations

import pytest

from settings import ConfigurationError, load
from settings.load import SECRETS
from tests.examples import example

STATE = "acme-pulumi-us-east-1"


@pytest.mark.parametrize("repository", ["acme/k8s-dr", "Acme-Inc/k8s.dr_2", "acme@123456/k8s-dr@456789"])
def test_a_repository_is_written_as_githubs_tokens_name_it(repository: str) -> None:
    settings = load("primary", example("primary", {"delivery": {"repository": repository, "stateBucket": STATE}}), SECRETS)
    assert settings.delivery is not None
    assert settings.delivery.repository == repository


@pytest.mark.parametrize(
    "repository", ["*", "acme", "acme/*", "https://gitlab.com/acme/k8s-dr", "acme/k8s-dr:ref", "acme*/k8s-dr"]
)
def test_what_is_no_repository_is_refused_for_a_role_would_trust_it(repository: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load("primary", example("primary", {"delivery": {"repository": repository, "stateBucket": STATE}}), SECRETS)
    assert str(refused.value) == (
        f"k8s-dr:delivery.repository: {repository} is not owner/name, without .git; write one as in acme/k8s-dr "
        "or acme@123456/k8s-dr@456789"
    )
