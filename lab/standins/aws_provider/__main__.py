"""The executable `pulumi-resource-aws`."""

from lab.standins.aws_provider.provider import AwsProvider
from lab.standins.provider import serve_provider

serve_provider(AwsProvider)
