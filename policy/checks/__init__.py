"""What must hold of a stack, one file for each concern. Each check is a function over plain data, which a test can call."""
