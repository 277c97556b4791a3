"""Keys and certificates of one region: its own authority, its API server, and one user for each client of it.

Each client has a different user name, so that the audit log distinguishes people from the region's own parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.addons import objects
from lab.regions.spec import RegionSpec

MASTERS = "system:masters"
_VALID = timedelta(days=365)
_CLOCK_SKEW = timedelta(minutes=5)
_API_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


@dataclass(frozen=True, kw_only=True)
class User:
    """The user of a client certificate. `file` is the name of its files without extension."""

    file: str
    name: str
    group: str | None = None


ADMIN = User(file="admin", name="admin", group=MASTERS)
KUBELET_CLIENT = User(file="kubelet-client", name="kube-apiserver-kubelet-client", group=MASTERS)
CONTROLLER_MANAGER = User(file="controller-manager", name="system:kube-controller-manager")
SCHEDULER = User(file="scheduler", name="system:kube-scheduler")
PROXY = User(file="proxy", name="system:kube-proxy")
DNS = User(file="coredns", name="lab:coredns", group=MASTERS)
STORAGE = User(file="storage", name="lab:storage", group=MASTERS)
DISKS = User(file="disks", name="lab:disks", group=MASTERS)
ADDONS = User(file="addons", name="lab:addons", group=MASTERS)
SETUP = User(file="setup", name="lab:setup", group=MASTERS)
# Clients of etcd. etcd only checks that its own authority signed their certificates. Names and files are like kubeadm's.
ETCD_API_SERVER = User(file="apiserver-etcd-client", name="kube-apiserver-etcd-client")
ETCD_HEALTH_CHECK = User(file="healthcheck-client", name="kube-etcd-healthcheck-client")


def node(spec: RegionSpec) -> User:
    return User(file="node", name=f"system:node:{spec.name}", group="system:nodes")


def users(spec: RegionSpec) -> tuple[User, ...]:
    """All users with a certificate in this region."""
    parts = (KUBELET_CLIENT, CONTROLLER_MANAGER, SCHEDULER, PROXY, DNS, STORAGE, DISKS, ADDONS, SETUP)
    return (ADMIN, node(spec), *parts)


def ensure(directory: Path, spec: RegionSpec) -> None:
    """Create all keys and certificates in `directory`, unless they exist: a restarted region keeps its keys.

    The files are ca.crt, api.crt and .key, sa.key (signs the tokens of service accounts), and a .crt and a .key for each user.
    `etcd/` has the files of etcd's own authority: ca, server, peer, and a .crt and a .key for each of etcd's clients. `addons/`
    has those of the add-ons' authority: ca.crt, and server.crt and .key.
    """
    _once(directory, lambda: _make(directory, spec))
    _once(directory / "etcd", lambda: _make_etcd(directory / "etcd", spec))
    _once(directory / "addons", lambda: _make_addons(directory / "addons", spec))


def _once(directory: Path, make: Callable[[], None]) -> None:
    complete = directory / "complete"
    if complete.exists():
        return
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    make()
    complete.touch()


def _make(directory: Path, spec: RegionSpec) -> None:
    authority = _Authority(f"k8s-dr-{spec.name}")
    (directory / "ca.crt").write_bytes(_pem(authority.certificate))
    _write_key(directory / "sa.key", _new_key())
    addresses = (spec.address, spec.api_service_address, "127.0.0.1")
    names = [*(x509.IPAddress(ip_address(address)) for address in addresses), *(x509.DNSName(name) for name in _API_NAMES)]
    _issue(authority, directory, User(file="api", name="kube-apiserver"), names)
    for user in users(spec):
        _issue(authority, directory, user)


def _make_etcd(directory: Path, spec: RegionSpec) -> None:
    authority = _Authority(f"k8s-dr-{spec.name}-etcd")
    (directory / "ca.crt").write_bytes(_pem(authority.certificate))
    local = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
    for file in ("server", "peer"):
        _issue(authority, directory, User(file=file, name=spec.name), local, also_client=True)
    for user in (ETCD_API_SERVER, ETCD_HEALTH_CHECK):
        _issue(authority, directory, user)


def _make_addons(directory: Path, spec: RegionSpec) -> None:
    authority = _Authority(f"k8s-dr-{spec.name}-addons")
    (directory / "ca.crt").write_bytes(_pem(authority.certificate))
    names = [x509.IPAddress(ip_address(spec.address)), *(x509.DNSName(name) for name in objects.server_names())]
    _issue(authority, directory, User(file="server", name="addons"), names)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A server and a client with certificates of one common authority. Each has a certificate and a key, in PEM."""

    authority: str
    server: tuple[str, str]
    client: tuple[str, str]


def bundle(server: Sequence[str], client: str) -> Bundle:
    """Create an authority, a certificate for a server with the DNS names `server`, and one for the client `client`."""
    authority = _Authority(f"k8s-dr-{client}")

    def issued(name: str, names: Sequence[x509.GeneralName]) -> tuple[str, str]:
        key = _new_key()
        return _pem(authority.sign(_name(name), key.public_key(), names, also_client=False)).decode(), _key_pem(key).decode()

    names = [x509.DNSName(name) for name in server]
    return Bundle(authority=_pem(authority.certificate).decode(), server=issued(server[0], names), client=issued(client, ()))


class _Authority:
    """A certificate authority whose key is never stored, because it only signs when the region is created."""

    def __init__(self, name: str) -> None:
        self._key = _new_key()
        self._name = _name(name)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = self._builder(self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        self.certificate = builder.sign(self._key, hashes.SHA256())

    def sign(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, server: Sequence[x509.GeneralName], *, also_client: bool
    ) -> x509.Certificate:
        """A certificate for a server with the names `server`, or for a client if there are none. An etcd member is both."""
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH] if server else []
        purposes += [ExtendedKeyUsageOID.CLIENT_AUTH] if also_client or not server else []
        builder = self._builder(subject, key).add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        if server:
            builder = builder.add_extension(x509.SubjectAlternativeName(server), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - _CLOCK_SKEW,
            not_valid_after=now + _VALID,
        )


def _issue(
    authority: _Authority,
    directory: Path,
    user: User,
    server: Sequence[x509.GeneralName] = (),
    *,
    also_client: bool = False,
) -> None:
    key = _new_key()
    certificate = authority.sign(_name(user.name, user.group), key.public_key(), server, also_client=also_client)
    (directory / f"{user.file}.crt").write_bytes(_pem(certificate))
    _write_key(directory / f"{user.file}.key", key)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(name: str, group: str | None = None) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    file.touch(mode=0o600)
    file.write_bytes(_key_pem(key))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    # kube-apiserver accepts the key of service accounts only in the traditional format.
    return key.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, plain)
