"""The operator's command: what a person types into two shells, carried from one stack to the other.

It decides nothing that `settings/` and `components/` decide, and nothing depends on it: each command prints the `pulumi` commands
that it stands for. Read in this order: `steps` (what comes next, as a pure function of what both stacks say), `stacks` (Pulumi's
Automation API), `project` (the settings, read from the files), `run` (does the steps), `show` (what is printed), `alone` and
`signals` (a second one beside it, and a SIGTERM), `commands/`.
"""
