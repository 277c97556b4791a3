"""The guide's commands in its runbook's order: check the nodes, restore, promote, move the traffic, scale.

Names, contexts and the flags of the restore are those of docs/runbook.md, "By hand": without them it would restore what
controllers of region A made. One S3 object moves the traffic here, where the guide changes a record by Route 53's control plane,
which dies with us-east-1. It restores the same backup as the program.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from lab.world import Lab
from tests.long.by_hand import Person

COMMANDS = r"""
kubectl --context prod-usw2 get nodes
velero --kubecontext prod-usw2 restore create dr-restore --from-schedule hourly-critical-us-east-1 --wait \
  --resource-modifier-configmap restore-modifiers \
  --exclude-resources targetgroupbindings.elbv2.k8s.aws,targetgroupbindings.eks.amazonaws.com,leases.coordination.k8s.io,\
persistentvolumes,volumesnapshots.snapshot.storage.k8s.io,volumesnapshotcontents.snapshot.storage.k8s.io,jobs.batch,\
jobs.batch.volcano.sh,jobsets.jobset.x-k8s.io,rayjobs.ray.io,workflows.argoproj.io,analysisruns.argoproj.io,\
experiments.argoproj.io,pipelineruns.tekton.dev,taskruns.tekton.dev,customruns.tekton.dev,\
sparkapplications.sparkoperator.k8s.io,jaxjobs.kubeflow.org,mpijobs.kubeflow.org,mxjobs.kubeflow.org,\
paddlejobs.kubeflow.org,pytorchjobs.kubeflow.org,tfjobs.kubeflow.org,trainjobs.trainer.kubeflow.org,\
xgboostjobs.kubeflow.org,databaseclusterbackups.everest.percona.com,databaseclusterrestores.everest.percona.com,\
perconapgbackups.pgv2.percona.com,perconapgrestores.pgv2.percona.com,perconaservermongodbbackups.psmdb.percona.com,\
perconaservermongodbrestores.psmdb.percona.com,perconaservermysqlbackups.ps.percona.com,\
perconaservermysqlrestores.ps.percona.com,perconaxtradbclusterbackups.pxc.percona.com,\
perconaxtradbclusterrestores.pxc.percona.com,restores.k8s.mariadb.com \
  --selector '!pod-template-hash,!controller-revision-hash,!batch.kubernetes.io/job-name,!cnpg.io/cluster'
kubectl --context prod-usw2 patch cluster.postgresql.cnpg.io app-database -n databases --type merge \
  -p '{"spec": {"replica": {"primary": "app-database-secondary"}}}'
echo -n '{"active":"secondary"}' > active.json
aws s3api put-object --region us-west-2 --bucket acme-dr-flag-us-west-2-123456789012 --key dr/active.json --body active.json \
  --content-type application/json --cache-control no-store
kubectl --context prod-usw2 scale deployment --all --replicas=3 -n production
"""


def sit_down(lab: Lab) -> Person:
    """A person with the programs of the runbook, before anything has happened."""
    person = Person(lab=lab, directory=Path(tempfile.mkdtemp(prefix="k8s-dr-guide-")))
    person.sits_down()
    return person
