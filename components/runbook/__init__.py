"""The runbook with the names of this deployment, where it is of use while the wiki is in the dead region."""
