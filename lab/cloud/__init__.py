"""The lab's AWS: moto behind an endpoint that logs, refuses and fails like AWS; S3 replication; and a name server for Route 53.

endpoint.py     the AWS endpoint: moto with an access log, AWS's refusals, and regions that can fall silent
enforcement.py  IAM: decides what the user whose access key signed a request may do
replicator.py   copies objects as the S3 replication rules in moto say
nameserver.py   answers DNS questions from the Route 53 records in moto and the health checks of health.py
cloud.py        starts and stops these, and gives the demo and the tests access to them
"""
