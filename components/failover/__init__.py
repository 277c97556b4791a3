"""The failover: its gate, the workloads that it scales and checks, and how long each step took."""
