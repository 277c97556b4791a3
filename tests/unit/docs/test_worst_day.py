"""What docs/worst-day.md gives to type, where no cluster is needed: run as it stands, by the AWS CLI against the lab's AWS."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab.cloud.access_keys import ADMINISTRATOR
from tests.documented import blocks
from tests.examples import ROOT
from tests.unit.lab.aws import client, serving

BUCKET = "acme-velero-us-east-1-123456789012"


def test_the_deletions_of_each_minute_are_counted(tmp_path: Path) -> None:
    (counting,) = [each.commands for each in blocks(ROOT / "docs" / "worst-day.md") if "uniq -c" in each.commands]
    with serving(tmp_path / "log") as url:
        s3 = client(url, "s3", "us-east-1")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        for key in ("velero/primary/backups/a", "velero/primary/backups/b", "velero/secondary/backups/c"):
            s3.put_object(Bucket=BUCKET, Key=key, Body="a backup")
            s3.delete_object(Bucket=BUCKET, Key=key)
        path = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ["PATH"]])
        told = {**os.environ, **ADMINISTRATOR.environment, "PATH": path, "AWS_ENDPOINT_URL": url}
        ran = subprocess.run(["bash", "-c", counting], env=told, capture_output=True, text=True, timeout=120, check=True)
    # The deletions may be of two minutes. Those of another prefix are none of them.
    assert sum(int(line.split()[0]) for line in ran.stdout.splitlines()) == 2, ran.stdout
