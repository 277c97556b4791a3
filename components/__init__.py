"""What the program provisions. Each folder has one purpose; `region` wires the folders and owns the order.

Imports point one way: `region` -> `failover` -> `database`, `velero`, `traffic` -> `storage` -> `kube`, `iam`. `etcd` and
`operators` stand beside them, and `telemetry`, which tells what `failover` has done. tests/unit/test_structure.py has the order
and holds the imports to it.

Components take settings as arguments and never read `pulumi.Config`; they ask `settings.roles` what a region does now.
"""
