"""The backup buckets of one region, their hardening, replication and access logs; and the class of the databases' volumes."""
