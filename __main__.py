"""Entry point of `pulumi up`: reads the settings, builds this stack's region, and exports its outputs."""

import signal

import pulumi

from components.region import Region, RegionArgs
from settings import (
    ConfigurationError,
    load,
    read_configuration,
    refuse_dropped_parts,
    refuse_one_cluster_for_both,
    tries_in_previews,
    warnings,
)

# The engine interrupts the program once a hook has refused, for nothing of it is wanted any more. Python would print where it was
# interrupted, and with it bury the reason.
signal.signal(signal.SIGINT, signal.SIG_DFL)

try:
    values, secrets = read_configuration()
    settings = load(pulumi.get_stack(), values, secrets)
    refuse_dropped_parts(pulumi.get_stack())
    refuse_one_cluster_for_both(settings)
except ConfigurationError as error:
    raise pulumi.RunError(str(error)) from None

for line in warnings(settings, secrets):
    pulumi.warn(line)

region = Region("region", RegionArgs(settings=settings, tries_in_previews=tries_in_previews()))
for key, value in region.outputs().items():
    pulumi.export(key, value)
