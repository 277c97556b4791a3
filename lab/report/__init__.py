"""The recovery report of one failover: `model` is its data, `terminal` and `page` show it to people."""
