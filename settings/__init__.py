"""What a person may configure, validated before anything is registered, and what each part does in each role.

Nothing here registers a resource. Read in this order: `model` (the keys), `load` (from Pulumi's configuration), `explain`
(one-line errors), `roles` (who does what), `names` (what both regions can compute about each other). `reference` writes
docs/configuration.md.
"""

from settings.load import ConfigurationError, load, read_configuration
from settings.model import Settings
from settings.roles import Role

__all__ = ["ConfigurationError", "Role", "Settings", "load", "read_configuration"]
