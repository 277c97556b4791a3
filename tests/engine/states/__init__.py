"""The states that released versions left behind, one folder a version, and what today's program does with them."""
