"""Access keys of the lab's AWS: who may be what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AccessKey:
    """A key of an IAM user, as its two halves."""

    identifier: str
    secret: str

    @property
    def client(self) -> dict[str, str]:
        """As boto3's clients take it."""
        return {"aws_access_key_id": self.identifier, "aws_secret_access_key": self.secret}

    @property
    def environment(self) -> dict[str, str]:
        """As the AWS SDKs and the AWS CLI read it."""
        return {"AWS_ACCESS_KEY_ID": self.identifier, "AWS_SECRET_ACCESS_KEY": self.secret}


ADMINISTRATOR = AccessKey(identifier="AKIALABADMINISTRATOR", secret="known-to-everybody-and-worth-nothing")  # noqa: S106
"""Of the user `administrator`, who is there from the start and may do everything: the engine, the replicator, the lab itself.

Backup tools have users of their own, and may do what the program's policies say."""
