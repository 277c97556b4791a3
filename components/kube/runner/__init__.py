"""What the program does inside a cluster, as small modules of the standard library alone: one step each.

A Pod runs them as the package `runner`, mounted from a ConfigMap: `python3 -m runner STEP`. Its image has Python 3.11 or newer
and nothing else. So the modules import each other relatively, and besides them the standard library alone.
"""
