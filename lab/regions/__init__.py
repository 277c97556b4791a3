"""Two Kubernetes regions on one Linux machine. Each has its own network, processes and disk; a WAN connects them."""
