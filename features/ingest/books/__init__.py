"""What each source delivered and what became of it: ledger, reconciliation, health."""
