"""Pulls what is new from source systems by REST and SQL into files that the feeds read."""
