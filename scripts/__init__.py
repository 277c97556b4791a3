"""For people and for the workflows; docs/architecture.md says which is for whom. The program knows none of them."""
