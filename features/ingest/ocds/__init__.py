"""Open Contracting releases: read, merged, mapped to the contract, loaded."""
