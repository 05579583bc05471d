"""Measurements: the data contract, derived tables, and the indicators judged on them."""
