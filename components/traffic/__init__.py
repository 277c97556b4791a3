"""What moves users from one region to the other: DNS records, their health checks, and the traffic flag."""
