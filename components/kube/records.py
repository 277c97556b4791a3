"""ConfigMaps in the program's namespace, in which the live cluster remembers what the engine's state cannot know."""

SERVING_RECORD = "serving"
"""Exists in the region that serves, from the moment users may be sent to it."""

ATTEMPTS_RECORD = "restore-attempts"
"""Counts each restore's attempts. A failed attempt raises the count, so that the next `up` makes a new Restore."""
