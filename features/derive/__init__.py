"""Derived tables: joins, pairs and windows over the data contract, always as of a moment."""
