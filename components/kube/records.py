"""ConfigMaps in the program's namespace, in which the live cluster remembers what the engine's state cannot know."""

SERVING_RECORD = "serving"
"""Exists in the region that serves, from the moment users may be sent to it."""

FRESHNESS_RECORD = "freshness"
"""When the primary was last `asked` from here, and when it last `answered`. A secondary with databases has it."""

CLUSTER_RECORD = "cluster"
"""Carries, as an annotation, the UID that `kube-system` had when the stack was deployed into this cluster."""

CREATING_RECORD = "creating"
"""By database, whether the creation of its Cluster has only begun, or has ended. A killed `up` leaves one that has begun."""

ATTEMPTS_RECORD = "restore-attempts"
"""Counts each restore's attempts. A failed attempt raises the count, so that the next `up` makes a new Restore."""

GUARD_RECORD = "guard"
"""What the guard keeps: when the newest traffic flag was written that it has `seen`, when the flag was by which it `stopped` this
region, and when it did so last (`at`). And one key of the program's: the flag of what time a person has `overruled`."""

HANDOVER_RECORD = "handover"
"""The handover token that this region has given, as long as it stands by after it gave up in a planned switchover."""
