"""How an indicator is declared, measured and judged."""
