"""As `tried_harmful`, of databases, images, pipelines and the rest."""

from __future__ import annotations

from typing import Any

from tests.examples import PASSWORD
from tests.unit.settings.tried_parts import (
    SELF_MANAGED,
    connected,
    database,
    delivery,
    topology,
)

Row = tuple[str, dict[str, Any], str]

HARMFUL: list[Row] = [
    (
        "min_wal_size above max_wal_size",
        database(parameters={"min_wal_size": "10GB"}),
        "databases[0].parameters: has a min_wal_size (10GB) that is not below max_wal_size (1GB); write less, or a larger "
        "max_wal_size",
    ),
    (
        "database: postgres",
        database(database="postgres"),
        "databases[0].database: postgres is in every PostgreSQL already, and CloudNativePG would not set it "
        "up; write one as in app",
    ),
    (
        "owner: postgres",
        database(owner="postgres"),
        "databases[0].owner: postgres is a role of PostgreSQL or of CloudNativePG itself; write one as in app",
    ),
    (
        "owner: pg_app",
        database(owner="pg_app"),
        "databases[0].owner: pg_app is a role of PostgreSQL or of CloudNativePG itself; write one as in app",
    ),
    (
        "walRetrieveRetryInterval of an hour",
        database(walRetrieveRetryInterval="1h"),
        "databases[0].walRetrieveRetryInterval: 1h is more than an RPO of 5m allows: the standby would be that "
        "far behind, and the gate shut; write 5m or less",
    ),
    (
        "walRetrieveRetryInterval of 30 days",
        database(walRetrieveRetryInterval="720h"),
        "databases[0].walRetrieveRetryInterval: 720h is not between 1s and 596h31m23s, and PostgreSQL takes "
        "nothing else; write one as in 2m",
    ),
    (
        "archiveTimeout of a second",
        database(archiveTimeout="1s"),
        "databases[0].archiveTimeout: 1s is not between 10s and 298261h37m3s, and each archives 16 MB, in two "
        "regions; write one as in 2m",
    ),
    (
        "parameters.port",
        database(parameters={"port": "5433"}),
        "databases[0].parameters: sets port, which CloudNativePG sets by itself; take it out",
    ),
    (
        "parameters.ssl",
        database(parameters={"ssl": "off"}),
        "databases[0].parameters: sets ssl, which CloudNativePG sets by itself; take it out",
    ),
    (
        "parameters.recovery_min_apply_delay",
        database(parameters={"recovery_min_apply_delay": "1h"}),
        "databases[0].parameters: sets recovery_min_apply_delay, which CloudNativePG sets by itself; take it out",
    ),
    (
        "parameters.hot_standby",
        database(parameters={"hot_standby": "off"}),
        "databases[0].parameters: sets hot_standby, which CloudNativePG sets by itself; take it out",
    ),
    (
        "parameters.fsync: off",
        database(parameters={"fsync": "off"}),
        "databases[0].parameters: sets fsync to off, and a crash then destroys data; take it out",
    ),
    (
        "shared_buffers above the memory",
        database(parameters={"shared_buffers": "16GB"}),
        "databases[0].parameters: sets shared_buffers to 16GB, and resources.memory is 8Gi; write a quarter of "
        "the memory, or more memory",
    ),
    (
        "wal_keep_size above walStorage",
        database(parameters={"wal_keep_size": "64GB"}),
        "databases[0].parameters: sets wal_keep_size to 64GB, and walStorage is 20Gi: WAL would fill the "
        "volume, and PostgreSQL stops; write less, or a larger walStorage",
    ),
    (
        "a parameter with a dash",
        database(parameters={"work-mem": "64MB"}),
        "databases[0].parameters: has work-mem, which is no name of a parameter (letters, digits, _ and one "
        "dot); write it as in work_mem",
    ),
    (
        "memory 512Ki",
        database(resources={"memory": "512Ki"}),
        "databases[0].resources.memory: 512Ki is less than PostgreSQL starts with; write 128Mi or more",
    ),
    (
        "100Ti of the program's own gp3",
        {"storageClass": {"managed": True}, **database(storage="100Ti")},
        "databases[0].storage: 100Ti is no size of a gp3 volume, of which storageClass.managed makes it; write 1Gi to 64Ti",
    ),
    (
        "PostgreSQL image with tag v18.4",
        database(image="ghcr.io/cloudnative-pg/postgresql:v18.4"),
        "databases[0].image: ghcr.io/cloudnative-pg/postgresql:v18.4 is not an image with a tag that begins "
        "with PostgreSQL's version; write one as in postgresql:18.4",
    ),
    (
        "PostgreSQL image with tag LATEST",
        database(image="ghcr.io/cloudnative-pg/postgresql:LATEST"),
        "databases[0].image: ghcr.io/cloudnative-pg/postgresql:LATEST is not an image with a tag that begins "
        "with PostgreSQL's version; write one as in postgresql:18.4",
    ),
    (
        "database name that begins with a digit",
        {"databases": [{"name": "2024-orders", "namespace": "databases"}], "databasePasswords": {"2024-orders": PASSWORD}},
        "databases[0].name: 2024-orders is not a name of lower case letters, digits and -, which begins with a "
        "letter; write one as in app-database",
    ),
    (
        "database in namespace default",
        database(namespace="default"),
        "databases[0].namespace: default is in every cluster already, and creating it fails; write "
        "createNamespace: false, or another namespace",
    ),
    (
        "hosts inside the cluster",
        database(
            **connected(
                hosts={
                    "primary": "app-database-rw.databases.svc.cluster.local",
                    "secondary": "app-database-rw.databases.svc.cluster.local",
                }
            )
        ),
        "databases[0].streaming.hosts.primary: app-database-rw.databases.svc.cluster.local is answered by each "
        "cluster for itself, with its own Service; write a name that both regions resolve",
    ),
    (
        "several etcd endpoints",
        {"cluster": SELF_MANAGED, "identity": "irsa", "etcd": {"endpoint": "https://10.0.0.1:2379,https://10.0.0.2:2379"}},
        "etcd.endpoint: https://10.0.0.1:2379,https://10.0.0.2:2379 names several members, and etcdctl "
        "snapshots one; write the node's own, as in https://127.0.0.1:2379",
    ),
    (
        "monthly etcd snapshots deleted after a week",
        {
            "cluster": {**SELF_MANAGED, "oidcIssuer": "oidc.example.com"},
            "identity": "irsa",
            "etcd": {"cron": "0 2 1 * *"},
            "storage": {"etcdSnapshotDays": 7},
        },
        "storage.etcdSnapshotDays: 7 days are shorter than the 744h that etcd.cron 0 2 1 * * may leave between "
        "two snapshots; write 31 or more, or take it out",
    ),
    (
        "active under a misspelt namespace",
        {"k8sdr:active": "secondary"},
        "k8sdr:active: is a key of k8sdr, which nobody reads, and not of k8s-dr; run: pulumi config rm "
        "k8sdr:active -s secondary && pulumi config set active … -s secondary",
    ),
    (
        "noncurrentDays of ten digits",
        {"storage": {"noncurrentDays": 9999999999}},
        "storage.noncurrentDays: 9999999999 is more than 36500; write 36500 or less",
    ),
    (
        "image with a trailing space",
        {"images": {"velero": "docker.io/velero/velero:v1.18.3 "}},
        'images.velero: "docker.io/velero/velero:v1.18.3 " begins or ends with a space; take it out',
    ),
    (
        "Velero by tag latest",
        {"images": {"velero": "docker.io/velero/velero:latest"}},
        "images.velero: docker.io/velero/velero:latest does not say its version, so nodes keep different ones; "
        "write its tag too, as in velero:v1.18.3",
    ),
    (
        "branch as a ref",
        delivery(branch="refs/heads/main"),
        "delivery.branch: refs/heads/main is not the name of a branch, without refs/heads/; write main",
    ),
    (
        "repository with .git",
        delivery(repository="acme/k8s-dr.git"),
        "delivery.repository: acme/k8s-dr.git is not owner/name, without .git; write acme/k8s-dr",
    ),
    (
        "state key of the other region",
        delivery(stateKeyArn="arn:aws:kms:us-east-1:123456789012:key/1234abcd"),
        "delivery.stateKeyArn: arn:aws:kms:us-east-1:123456789012:key/1234abcd is in us-east-1, and this "
        "stack's region is us-west-2; write a key of that region, with which the stack's secrets are encrypted",
    ),
    (
        "MinIO, as the key's own example",
        {"aws": {"endpoint": "http://minio.example.com:9000"}},
        "aws.endpoint: http://minio.example.com:9000 answers for one service, and EKS, IAM, KMS, Route 53 and "
        "STS are asked there too; write one that stands in for all of AWS, as moto or LocalStack do, or take "
        "it out",
    ),
    (
        "organization amzn-s3-demo",
        topology(organization="amzn-s3-demo"),
        "topology.organization: amzn-s3-demo begins the names of buckets, and S3 keeps those with "
        "amzn-s3-demo- for itself; write one as in acme",
    ),
    (
        "a password of twelve spaces",
        {"backupEncryptionPassword": " " * 12},
        "backupEncryptionPassword: the secret is shorter than 12 characters, and whoever reads the bucket can "
        "try it; choose a longer one",
    ),
]
