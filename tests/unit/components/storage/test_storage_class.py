"""The class of the databases' volumes, in one region."""

from __future__ import annotations

from components.storage.storage_class import StorageClass, StorageClassArgs
from settings.model import StorageClassSettings
from tests.unit.components.alone import registered
from tests.unit.recorder import Recorder

KEY = "arn:aws:kms:us-west-2:123456789012:key/0a1b2c3d"


def storage_class(settings: StorageClassSettings) -> Recorder:
    args = StorageClassArgs(settings=settings, key_arn=KEY)
    return registered(lambda: StorageClass("storage-class", args))


def test_volumes_are_encrypted_with_the_regions_own_key() -> None:
    made = storage_class(StorageClassSettings(managed=True))["storage-class-gp3"].inputs
    assert made["provisioner"] == "ebs.csi.aws.com"
    assert made["parameters"] == {"type": "gp3", "encrypted": "true", "kmsKeyId": KEY}


def test_a_volume_is_made_where_its_pod_runs_and_can_grow() -> None:
    made = storage_class(StorageClassSettings(managed=True))["storage-class-gp3"].inputs
    assert (made["volumeBindingMode"], made["allowVolumeExpansion"]) == ("WaitForFirstConsumer", True)


def test_volumes_outlive_the_database_that_is_cloned_anew() -> None:
    assert storage_class(StorageClassSettings(managed=True))["storage-class-gp3"].inputs["reclaimPolicy"] == "Retain"


def test_the_class_has_the_name_that_the_settings_say_and_is_never_deleted() -> None:
    made = storage_class(StorageClassSettings(managed=True, name="databases"))["storage-class-gp3"]
    assert made.metadata == {"name": "databases"}
    assert made.protect
    assert made.retain_on_delete


def test_a_cluster_that_has_the_class_gets_none() -> None:
    assert not storage_class(StorageClassSettings()).custom()
