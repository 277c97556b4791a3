"""The etcd of one region, for tests: how it is lost, how the script restores it, and the objects of its backup."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from components.etcd import backup as etcd
from components.etcd.backup import EtcdBackupArgs
from components.iam.access import Access
from components.iam.permissions import etcd_policy
from lab.cloud.access_keys import ADMINISTRATOR, AccessKey
from lab.paths import CHECKOUT
from lab.regions import daemons, layout, namespaces
from lab.regions.region import Region
from lab.tools import roots
from settings.etcd import EtcdSettings
from settings.identity import AccessKey as StaticKey
from settings.images import Images
from settings.names import Names

SCRIPT = CHECKOUT / "scripts" / "etcd-restore.sh"
SETTINGS = EtcdSettings(certificates=str(layout.ETCD_PKI), directory=str(layout.ETCD_BACKUPS), keep_local="168h", timeout="4m")
CONFIGURATION = SETTINGS.model_dump(mode="json", by_alias=True, exclude_unset=True)
"""The same, as a person writes it."""


_ALLOW = (
    "import boto3, sys; "
    "boto3.client('iam').put_user_policy(UserName=sys.argv[1], PolicyName=sys.argv[1], PolicyDocument=sys.argv[2])"
)
"""boto3 makes this call, because the AWS CLI of the image has only the commands of backup and restore, and no IAM."""


class EtcdError(Exception):
    """A command failed; the message has the command and its error."""


def arguments(names: Names, images: Mapping[str, str], endpoint: str, key: AccessKey) -> EtcdBackupArgs:
    """The arguments of one region's backup, as its stack would set them.

    `images` maps `etcd` and `aws-cli` to image references. `key` belongs to the IAM user that the backup job uses.
    """
    return EtcdBackupArgs(
        names=names,
        settings=SETTINGS,
        cluster_name=f"lab-{names.role}",
        images=Images(etcd=images["etcd"], aws_cli=images["aws-cli"]),
        bucket=names.bucket("etcd"),
        endpoint=endpoint,
        access=Access(key=StaticKey(access_key_id=SecretStr(key.identifier), secret_access_key=SecretStr(key.secret))),
    )


def manifests(args: EtcdBackupArgs) -> list[dict[str, Any]]:
    """All objects of the backup component, for kubectl."""
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": etcd.account(args.access.role_arn)},
        {"apiVersion": rbac, "kind": "Role", "metadata": etcd.metadata(), "rules": etcd.rules()},
        {"apiVersion": rbac, "kind": "RoleBinding", "metadata": etcd.metadata(), **etcd.binding()},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": etcd.metadata(), "data": {"etcd-upload.sh": etcd.UPLOAD}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": etcd.metadata(etcd.CREDENTIALS), "stringData": etcd.credentials(args)},
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": etcd.metadata(), "spec": etcd.cron_job(args)},
    ]


def lose(region: Region) -> None:
    """Lose the disk of the control plane: kill the region, and delete its etcd's data."""
    region.kill()
    shutil.rmtree(layout.on_disk(region.disk, layout.ETCD))


class Restorer:
    """The machine of the operator who restores etcd. It has `etcdutl` and the AWS CLI, and reaches the lab's AWS from the WAN.

    `directory` is where its tools go. `etcdutl` is the path of that program. `endpoint` is the URL of the lab's AWS.
    """

    def __init__(self, directory: Path, etcdutl: Path, endpoint: str) -> None:
        self._programs = directory / "bin"
        self._programs.mkdir(parents=True, exist_ok=True)
        self._environment = {
            **ADMINISTRATOR.environment,
            "PATH": os.pathsep.join((str(self._programs), str(etcdutl.parent), os.environ["PATH"])),
            "HOME": str(directory),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self._install_aws_cli(directory)

    def _install_aws_cli(self, directory: Path) -> None:
        """Install the same AWS CLI that the backup's image has."""
        layer = roots.ensure([roots.CLOUD_TOOLS])[roots.CLOUD_TOOLS.name].tar
        subprocess.run(["tar", "--extract", f"--file={layer}", f"--directory={directory}", "./usr/local/lib"], check=True)
        (packages,) = (directory / "usr/local/lib").glob("python3*/dist-packages")
        wrapper = self._programs / "aws"
        start = shlex.join(["env", f"PYTHONPATH={packages}", sys.executable, "-m", "awscli"])
        wrapper.write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        wrapper.chmod(0o755)

    def run(self, *command: str) -> str:
        """Run a command as the administrator of the lab's AWS, and return its output. Raises EtcdError if it fails."""
        inside = [*namespaces.inside(namespaces.WAN), *command]
        ran = subprocess.run(inside, env=self._environment, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise EtcdError(f"{shlex.join(command)}: {ran.stderr.strip() or ran.stdout.strip()}")
        return ran.stdout

    def make_bucket(self, names: Names) -> None:
        """Create the bucket, its KMS key unless a stack has made that, and the backup user's policy, as the stack would."""
        bucket, user = names.bucket("etcd"), names.principal("etcd")
        aliases = json.loads(self.run("aws", "kms", "list-aliases", "--output", "json"))["Aliases"]
        key = next((alias["TargetKeyId"] for alias in aliases if alias["AliasName"] == names.key_alias), None)
        if key is None:
            key = json.loads(self.run("aws", "kms", "create-key", "--output", "json"))["KeyMetadata"]["KeyId"]
            self.run("aws", "kms", "create-alias", "--alias-name", names.key_alias, "--target-key-id", key)
        self.run("aws", "s3api", "create-bucket", "--bucket", bucket)
        encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": encryption, "BucketKeyEnabled": True}]}
        encrypt = ("put-bucket-encryption", "--bucket", bucket, "--server-side-encryption-configuration", json.dumps(rules))
        self.run("aws", "s3api", *encrypt)
        self.run(sys.executable, "-c", _ALLOW, user, json.dumps(etcd_policy(names)))

    def restore(self, region: Region, *source: str) -> str:
        """Run the restore script for a region that is down. `source` are the script's options that name the snapshot."""
        data = layout.on_disk(region.disk, layout.ETCD)
        member = (f"--name={region.spec.name}", f"--peer-url={daemons.ETCD_PEERS}", f"--data-dir={data}")
        return self.run(str(SCRIPT), *source, *(part for option in member for part in option.split("=", 1)))
