"""The configuration: its keys, its validation, what each region has to do with it, and the names that follow from it.

Nothing here registers a resource. Read in this order: `model` (the keys), `rules` (what several keys must agree on), `load`
(reads Pulumi's configuration), `peer_file` (what must differ from the other stack's file), `explain` (writes one-line errors),
`advice` (what is only warned about), `roles` (what each region does), `names` (the names of buckets, roles and schedules).
`reference` writes docs/configuration.md, `schema` the JSON schemas for editors.
"""

from settings.advice import warnings
from settings.load import ConfigurationError, load, read_configuration, tries_in_previews
from settings.model import Settings
from settings.peer_file import refuse_dropped_parts, refuse_one_cluster_for_both
from settings.roles import Role

__all__ = [
    "ConfigurationError",
    "Role",
    "Settings",
    "load",
    "read_configuration",
    "refuse_dropped_parts",
    "refuse_one_cluster_for_both",
    "tries_in_previews",
    "warnings",
]
