"""Use cases: load, decide (domain), save. Each owns its transaction; `now` is an argument."""
