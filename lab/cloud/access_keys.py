"""Access keys for the lab's AWS."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AccessKey:
    """The id and the secret of an IAM user's access key."""

    identifier: str
    secret: str

    @property
    def client(self) -> dict[str, str]:
        """The key as arguments of a boto3 client."""
        return {"aws_access_key_id": self.identifier, "aws_secret_access_key": self.secret}

    @property
    def environment(self) -> dict[str, str]:
        """The key as environment variables for AWS SDKs and the AWS CLI."""
        return {"AWS_ACCESS_KEY_ID": self.identifier, "AWS_SECRET_ACCESS_KEY": self.secret}


ADMINISTRATOR = AccessKey(identifier="AKIALABADMINISTRATOR", secret="known-to-everybody-and-worth-nothing")  # noqa: S106
"""The key of user `administrator`, who exists from the start and may do everything.

The Pulumi engine, the replicator and the lab itself use it. Backup tools have their own users, with the program's policies."""
