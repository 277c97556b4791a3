"""The failover: its gate, the workloads that it scales and checks, and the record of how long each step took."""
