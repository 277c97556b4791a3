"""Every metric that an alert or a dashboard reads, by the exporter that has it.

Names are never taken from memory: tests/lab/metrics.py asks the real exporters, and kube-state-metrics is held to the names
that its own documentation calls stable.
"""

from __future__ import annotations

from typing import Literal

Exporter = Literal["velero", "node-agent", "postgresql", "kube-state-metrics", "prometheus"]

METRICS: dict[str, Exporter] = {
    # Velero, pkg/metrics/metrics.go; port 8085 of its server.
    "velero_backup_last_successful_timestamp": "velero",
    "velero_backup_failure_total": "velero",
    "velero_backup_validation_failure_total": "velero",
    "velero_backup_partial_failure_total": "velero",
    "velero_backup_location_status_gauge": "velero",
    "velero_restore_attempt_total": "velero",
    "velero_restore_failed_total": "velero",
    "velero_restore_partial_failure_total": "velero",
    "velero_restore_success_total": "velero",
    "velero_restore_validation_failed_total": "velero",
    "velero_repo_maintenance_failure_total": "velero",
    # The same file; port 8085 of each node agent. The first word is spelt so.
    "podVolume_data_upload_failure_total": "node-agent",
    "podVolume_data_download_failure_total": "node-agent",
    # CloudNativePG, pg_collector.go and config/manager/default-monitoring.yaml; port 9187 of each instance.
    "cnpg_collector_fencing_on": "postgresql",
    "cnpg_collector_pg_wal_archive_status": "postgresql",
    "cnpg_pg_replication_in_recovery": "postgresql",
    "cnpg_pg_replication_is_wal_receiver_up": "postgresql",
    "cnpg_pg_replication_lag": "postgresql",
    "cnpg_pg_stat_archiver_last_archived_time": "postgresql",
    "cnpg_pg_stat_archiver_last_archived_wal_start_lsn": "postgresql",
    "cnpg_pg_stat_archiver_last_failed_time": "postgresql",
    "cnpg_pg_stat_archiver_seconds_since_last_archival": "postgresql",
    # The Barman Cloud plugin, internal/cnpgi/instance/metrics.go; the instance has them on the same port.
    "barman_cloud_cloudnative_pg_io_first_recoverability_point": "postgresql",
    "barman_cloud_cloudnative_pg_io_last_available_backup_timestamp": "postgresql",
    "barman_cloud_cloudnative_pg_io_last_failed_backup_timestamp": "postgresql",
    # kube-state-metrics, docs/metrics of 2.18: STABLE, all of them. In 2.15 the last success of a CronJob was EXPERIMENTAL.
    "kube_configmap_created": "kube-state-metrics",
    "kube_cronjob_created": "kube-state-metrics",
    "kube_cronjob_status_last_successful_time": "kube-state-metrics",
    "kube_deployment_status_replicas_available": "kube-state-metrics",
    "kube_job_created": "kube-state-metrics",
    "kube_job_failed": "kube-state-metrics",
    "kube_job_owner": "kube-state-metrics",
    "kube_job_status_active": "kube-state-metrics",
    "kube_pod_container_status_ready": "kube-state-metrics",
    # Prometheus itself, of its rules and of each target that it scrapes.
    "ALERTS": "prometheus",
    "up": "prometheus",
}
