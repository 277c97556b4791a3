"""Who may do what at AWS: one vocabulary of statements, the pods' identity and permissions, the delivery pipelines' roles."""
