"""Measures the service against its budgets. `make bench`; see README.md."""
