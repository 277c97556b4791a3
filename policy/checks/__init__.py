"""What must hold of a stack: one file a concern, over plain data, so that each check is a function that a test can call."""
