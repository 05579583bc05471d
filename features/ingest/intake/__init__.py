"""Rows in the contract's shape are judged, decided against what is stored, and stored as versions."""
