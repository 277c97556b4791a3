"""A stand-in for pulumi-resource-aws 7.51. It covers exactly the types that the program uses, with boto3, at a given endpoint."""
