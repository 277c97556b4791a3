"""How pods authenticate to AWS: by IAM roles, or by static access keys where a cluster can have no roles."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from settings.fields import Model
from settings.parts import Part

IdentityMode = Literal["pod-identity", "irsa", "instance-profile", "static"]


class AccessKey(Model):
    """A static access key of one IAM user."""

    access_key_id: SecretStr = Field(min_length=1, description="the id of the access key")
    secret_access_key: SecretStr = Field(min_length=1, description="the key that belongs to the id")

    def secret_data(self) -> dict[str, str]:
        """Both values in plain text, under the keys that the program's Kubernetes Secrets use for them."""
        return {
            "accessKeyId": self.access_key_id.get_secret_value(),
            "secretAccessKey": self.secret_access_key.get_secret_value(),
        }


class StaticCredentials(Model):
    """With `identity: static`, one access key for each part. The program attaches the part's IAM policy to the key's IAM user."""

    velero: AccessKey | None = Field(default=None, description="access key of Velero's IAM user")
    database: AccessKey | None = Field(
        default=None, description="access key of the IAM user that reads and writes the databases' archives"
    )
    etcd: AccessKey | None = Field(default=None, description="access key of the etcd backup's IAM user")
    freshness: AccessKey | None = Field(
        default=None, description="access key of the IAM user that writes how fresh the databases' archives are"
    )
    guard: AccessKey | None = Field(
        default=None, description="access key of the IAM user that reads the traffic flag, for the guard"
    )
    drills: AccessKey | None = Field(
        default=None, description="access key of the IAM user that reads all backups and writes the records of drills"
    )

    drill_database: AccessKey | None = Field(
        default=None,
        description="access key of the IAM user that reads the databases' archives, for the throw-away Cluster of the drill of "
        "databases",
    )

    def of(self, part: Part) -> AccessKey | None:
        keys: dict[Part, AccessKey | None] = {
            "velero": self.velero,
            "database": self.database,
            "etcd": self.etcd,
            "freshness": self.freshness,
            "guard": self.guard,
            "drills": self.drills,
            "drill-database": self.drill_database,
        }
        return keys[part]
