"""A stand-in for pulumi-resource-aws 7.51: exactly the types that the program uses, by boto3, against a given endpoint."""
