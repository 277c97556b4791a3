"""Who may do what at AWS: one vocabulary of statements, the identity and permissions of pods, the delivery pipelines' roles, and
what errors of AWS mean."""
