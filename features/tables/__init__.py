"""The data contract: one dataframely schema per table, and the store that keeps their versions."""
