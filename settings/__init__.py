"""The configuration: its keys, its validation, what each region has to do with it, and the names that follow from it.

Nothing here registers a resource. Read in this order: `model` (the keys), `rules` (what several keys must agree on), `load`
(reads Pulumi's configuration), `explain` (writes one-line errors), `roles` (what each region does), `names` (the names of
buckets, roles and schedules). `reference` writes docs/configuration.md, `schema` the JSON schemas for editors.
"""

from settings.load import ConfigurationError, load, read_configuration
from settings.model import Settings
from settings.roles import Role

__all__ = ["ConfigurationError", "Role", "Settings", "load", "read_configuration"]
