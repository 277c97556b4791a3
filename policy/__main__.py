"""Entry point of the policy pack, which `pulumi preview --policy-pack policy` starts."""

from pack import start

start()
