"""The operators that databases need, for clusters that do not have them."""
