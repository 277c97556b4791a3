"""Two Kubernetes regions on one Linux machine, a network, a process space and a disk each, and a WAN between them."""
