"""The worked example of docs/configuration.md: a shop that moves to another region. A test loads it as it stands there."""

SHARED = """config:
  topology:
    value:
      organization: shop                # the beginning of every bucket's and role's name
      accountId: "123456789012"         # in quotes: a number would lose a leading zero
      regions: {primary: eu-west-1, secondary: eu-central-1}
  tier:
    value: pilot-light                  # RPO 5 min, RTO 30 min: a replica of the database runs in B
  dns:
    value:
      zoneId: Z0123456789ABCDEFGHIJ
      names: [www.shop.example, api.shop.example]
      ttl: 60                           # users arrive up to a minute after the traffic has moved
  backups:
    value:
      - name: hourly
        cron: "15 * * * *"              # UTC
        keep: 168h
        include: [shop, orders]         # so a failover restores these two namespaces
  workloads:
    value:
      - namespace: shop
        names: [deployment/web, deployment/api]
        replicas: 3
        check: {service: web, path: /healthz}    # the traffic moves once this answers
      - namespace: shop
        names: [deployment/newsletter]
        replicas: 1
        required: false                 # the failover does not wait for it
  databases:
    value:
      - name: orders
        namespace: orders
        instances: 3
        storage: 100Gi
        archiveTimeout: 30s             # half a minute of writes may be lost, not a whole one
"""

OWN = """config:
  pulumi:disable-default-providers: [aws, kubernetes]
  k8s-dr:cluster: {context: shop-euw1, name: shop-euw1, distribution: eks}
  k8s-dr:endpoint: shop-1234567890.eu-west-1.elb.amazonaws.com    # the load balancer of this region
  k8s-dr:peerReady: false               # true once the other region is deployed
"""
