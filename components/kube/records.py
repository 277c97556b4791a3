"""ConfigMaps in the program's namespace in which the live cluster remembers what an engine's state cannot know."""

SERVING_RECORD = "serving"
"""Exists in the region that serves, from the moment users may come."""

ATTEMPTS_RECORD = "restore-attempts"
"""Counts failed restores, so that the next `up` makes a new Restore instead of looking at the failed one."""
