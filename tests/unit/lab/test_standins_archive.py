"""The stand-in base backup, judged by the program's own reading of an archive."""

from datetime import timedelta

import boto3
from moto import mock_aws

from components.database.archive import LiveArchive
from lab.standins.archive import put_base_backup
from settings.aws import Aws


@mock_aws
def test_a_standby_can_be_made_of_it_and_of_nothing_less(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "lab")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="archive")
    keys = put_base_backup(s3, "archive", "db-primary-g1")
    archive = LiveArchive("archive", "us-east-1", Aws())
    assert archive.missing_for_a_standby("db-primary-g1") is None
    assert archive.missing_for_a_standby("db-secondary-g1")
    mark = archive.mark("db-primary-g1")
    assert mark
    assert archive.missing_wal("db-primary-g1", mark, None, timedelta(seconds=60)) == timedelta(0)
    for key in keys:
        s3.delete_object(Bucket="archive", Key=key)
        assert archive.missing_for_a_standby("db-primary-g1"), f"nothing was missed without {key}"
        put_base_backup(s3, "archive", "db-primary-g1")
