"""Nothing that holds data is deleted by a command."""

from __future__ import annotations

from lab.pulumi import touched
from tests.engine.conftest import Pair


def test_destroy_refuses_what_is_protected(pair: Pair) -> None:
    before = pair.pulumi.resources("secondary")
    refused = pair.pulumi.run("destroy", "-s", "secondary", "--yes", check=False)
    assert refused.exit_code
    assert "protect" in refused.output
    assert touched(before, pair.pulumi.resources("secondary")) == []


def test_moving_a_bucket_to_another_name_is_refused_in_the_preview(pair: Pair) -> None:
    directory = pair.pulumi.directory
    committed = (directory / "Pulumi.yaml").read_text()
    try:
        (directory / "Pulumi.yaml").write_text(committed.replace("organization: acme", "organization: other"))
        preview = pair.pulumi.run("preview", "-s", "secondary", check=False)
    finally:
        (directory / "Pulumi.yaml").write_text(committed)
    assert preview.exit_code
    assert "unable to replace resource" in preview.output
