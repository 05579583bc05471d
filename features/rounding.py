"""How far numbers are told apart: comparisons round to so many decimals first (rulings G13)."""

DECIMALS = 9
