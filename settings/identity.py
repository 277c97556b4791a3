"""Who the pods are to AWS: roles where they can be had, static credentials where not."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from settings.fields import Model
from settings.parts import Part

IdentityMode = Literal["pod-identity", "irsa", "instance-profile", "static"]


class AccessKey(Model):
    """A static credential of one IAM user."""

    access_key_id: SecretStr = Field(min_length=1, description="the id of the access key")
    secret_access_key: SecretStr = Field(min_length=1, description="the key that belongs to the id")

    def secret_data(self) -> dict[str, str]:
        """Both values in plain text, under the keys that the program's Kubernetes Secrets use for them."""
        return {
            "accessKeyId": self.access_key_id.get_secret_value(),
            "secretAccessKey": self.secret_access_key.get_secret_value(),
        }


class StaticCredentials(Model):
    """One access key a part, of the users that the program attaches its policies to (identity: static)."""

    velero: AccessKey | None = Field(default=None, description="of the user of Velero")
    database: AccessKey | None = Field(default=None, description="of the user of the databases' archives")
    etcd: AccessKey | None = Field(default=None, description="of the user of the etcd backup")

    def of(self, part: Part) -> AccessKey | None:
        keys: dict[Part, AccessKey | None] = {"velero": self.velero, "database": self.database, "etcd": self.etcd}
        return keys[part]
