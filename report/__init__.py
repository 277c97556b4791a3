"""The recovery report of one failover. `model` has its data; `terminal` and `page` show it as text and HTML."""
