"""The lab's AWS: moto behind an endpoint that logs, refuses and falls silent as AWS does, S3's replication, Route 53's answers.

endpoint.py     the AWS endpoint: moto with an access log, a black hole a region, and AWS's refusals
enforcement.py  who may do what: IAM's answer to each request, by the access key that signed it
replicator.py   does what the S3 replication rules stored there say
nameserver.py   answers from the Route 53 records stored there, by the health that health.py observes
cloud.py        starts and stops them, and what the demo and the tests ask of them
"""
