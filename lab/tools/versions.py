"""The versions that the lab pins. The modules' go.mod files name the same versions; a unit test compares the two."""

PULUMI = "v3.260.0"
KUBERNETES = "v1.36.3"  # a version that CLOUDNATIVE_PG supports
ETCD = "v3.7.3"
COREDNS = "v1.15.0"
EXTERNAL_SNAPSHOTTER = "v8.6.0"  # the last with KUBERNETES' libraries
EXTERNAL_PROVISIONER = "v5.3.0"
VELERO = "v1.18.3"
VELERO_PREVIOUS = "v1.18.2"  # the test of an upgrade to VELERO starts with this version
VELERO_PLUGIN_FOR_AWS = "v1.14.3"
CLOUDNATIVE_PG = "v1.30.0"
PLUGIN_BARMAN_CLOUD = "v0.14.0"
HELM = "v3.21.4"
PROMETHEUS, PROMTOOL = "v0.313.5", "3.13.5"  # one release: as a Go module, Prometheus is numbered so
ACTIONLINT = "v1.7.12"
POSTGRESQL_MAJOR = "15"  # Debian decides the patch release
