"""Adapters of the source systems: fetch, map, validate; what is refused goes to quarantine."""
