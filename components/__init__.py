"""What the program provisions: one file a concern, each a ComponentResource; `region` wires them and owns the order.

Components take settings as arguments and never read `pulumi.Config`. What a region does now they ask `settings.roles`.
"""
