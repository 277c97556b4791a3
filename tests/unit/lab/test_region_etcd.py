"""A region's etcd talks to those alone whom its own authority has signed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from lab.regions import daemons, layout, pki
from lab.regions.spec import PRIMARY


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    pki.ensure(directory, PRIMARY)
    return directory


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def uses(file: Path) -> set[x509.ObjectIdentifier]:
    return set(certificate(file).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_its_authority_is_not_the_clusters_so_that_no_user_of_the_cluster_is_one_of_etcd(directory: Path) -> None:
    own, clusters = certificate(directory / "etcd" / "ca.crt"), certificate(directory / "ca.crt")
    assert own.public_key() != clusters.public_key()
    for name in ("server", "peer", "apiserver-etcd-client", "healthcheck-client"):
        certificate(directory / "etcd" / f"{name}.crt").verify_directly_issued_by(own)


def test_members_are_servers_and_clients_and_clients_are_clients(directory: Path) -> None:
    for name in ("server", "peer"):
        assert uses(directory / "etcd" / f"{name}.crt") == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    for name in ("apiserver-etcd-client", "healthcheck-client"):
        assert uses(directory / "etcd" / f"{name}.crt") == {ExtendedKeyUsageOID.CLIENT_AUTH}


def test_its_keys_are_their_owners_alone_and_stay_when_the_region_comes_back(directory: Path) -> None:
    keys = list((directory / "etcd").glob("*.key"))
    assert len(keys) == 4
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)
    before = [key.read_bytes() for key in keys]
    pki.ensure(directory, PRIMARY)
    assert [key.read_bytes() for key in keys] == before


def test_a_region_made_before_etcd_had_keys_gets_them_and_keeps_its_own(tmp_path: Path) -> None:
    pki.ensure(tmp_path, PRIMARY)
    before = (tmp_path / "ca.crt").read_bytes()
    subprocess.run(["rm", "-r", str(tmp_path / "etcd")], check=True)
    pki.ensure(tmp_path, PRIMARY)
    assert (tmp_path / "etcd" / "ca.crt").exists()
    assert (tmp_path / "ca.crt").read_bytes() == before


def test_etcd_and_the_api_server_are_started_with_files_that_are_made(directory: Path) -> None:
    commands = daemons.control_plane(PRIMARY, {tool: tool for tool in layout.TOOLS})
    files = [
        argument.partition("=")[2]
        for argument in (*commands["etcd"], *commands["kube-apiserver"])
        if str(layout.ETCD_PKI) in argument
    ]
    assert len(files) == 9
    assert [
        name for name in files if not layout.on_disk(directory, layout.DISK / Path(name).relative_to(layout.PKI)).exists()
    ] == []
    assert {"--client-cert-auth", "--peer-client-cert-auth"} <= set(commands["etcd"])
    assert not [argument for argument in commands["etcd"] if "http://" in argument]
