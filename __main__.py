"""Entry point of `pulumi up`: reads the settings, builds this stack's region, and exports its outputs."""

import signal

import pulumi

from components.region import Region, RegionArgs
from settings import ConfigurationError, load, read_configuration

# The engine interrupts the program once a hook has refused, for nothing of it is wanted any more. Python would print where it was
# interrupted, and with it bury the reason.
signal.signal(signal.SIGINT, signal.SIG_DFL)

try:
    values, secrets = read_configuration()
    settings = load(pulumi.get_stack(), values, secrets)
except ConfigurationError as error:
    raise pulumi.RunError(str(error)) from None

for key, value in Region("region", RegionArgs(settings=settings)).outputs().items():
    pulumi.export(key, value)
