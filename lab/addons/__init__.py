"""What a real cluster on AWS has besides Kubernetes, so that a failover meets it in the lab: one process in each region.

It stands in for the AWS Load Balancer Controller, the EKS Pod Identity Webhook, the metrics server and a network policy engine.
"""
