"""One resource, or two, for each policy that it breaks; named after what is wrong with it."""

from __future__ import annotations

from functools import partial

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

OWNED = {"stack": "bad-program-primary", "role": "primary", "owner": "acme"}


class Region(pulumi.ComponentResource):
    """What this repository's program declares of its region."""

    def __init__(self) -> None:
        super().__init__("dr:region:Region", "region")
        self.register_outputs({"region": "us-east-1", "peerRegion": "us-west-2", "peerReady": True})


Region()
pulumi.export("active", "primary")
good = aws.Provider("good-aws", region="us-east-1", default_tags={"tags": OWNED})
# The context that happens to be current, of a cluster without a name.
anywhere = k8s.Provider("any-cluster", kubeconfig="/nowhere", enable_server_side_apply=True)
on_aws, on_cluster = partial(pulumi.ResourceOptions, provider=good), pulumi.ResourceOptions(provider=anywhere)

aws.s3.Bucket("unsafe-bucket", bucket="acme-velero-us-east-1-123456789012", force_destroy=True, opts=on_aws(protect=True))
aws.kms.Key("unprotected-key", opts=on_aws())
aws.Provider("provider-abroad", region="eu-central-1", default_tags={"tags": OWNED})
aws.iam.RolePolicy(
    "policy-abroad", role="backup", policy='{"Resource": "arn:aws:kms:eu-central-1:123456789012:key/k"}', opts=on_aws()
)
k8s.core.v1.Secret("static-keys", string_data={"cloud": "[default]\naws_secret_access_key = hunter2\n"}, opts=on_cluster)
aws.kms.Alias("alias-of-default-provider", name="alias/x", target_key_id="k")
k8s.apiextensions.CustomResource(
    "paused-schedule",
    api_version="velero.io/v1",
    kind="Schedule",
    spec={"paused": True, "template": {"includedNamespaces": ["shop"]}},
    opts=on_cluster,
)
k8s.apiextensions.CustomResource(
    "lonely-database",
    api_version="postgresql.cnpg.io/v1",
    kind="Cluster",
    metadata={"name": "app", "namespace": "databases"},
    spec={"instances": 1},
    opts=pulumi.ResourceOptions(provider=anywhere, protect=True),
)
aws.route53.Record(
    "record-that-never-moves",
    zone_id="Z0123456789ABCDEFGHIJ",
    name="app.example.com",
    type="CNAME",
    ttl=3600,
    records=["lb.example.com"],
    set_identifier="primary",
    failover_routing_policies=[{"type": "PRIMARY"}],
    opts=on_aws(),
)
k8s.core.v1.Pod("floating-image", spec={"containers": [{"name": "main", "image": "nginx:latest"}]}, opts=on_cluster)
untagged = aws.Provider("provider-without-tags", region="us-east-1")
aws.route53.HealthCheck(
    "nobodys-check", type="TCP", ip_address="192.0.2.1", port=1, opts=pulumi.ResourceOptions(provider=untagged)
)
k8s.helm.v3.Release("remote-chart", chart="velero", repository_opts={"repo": "https://charts.example.com"}, opts=on_cluster)
