"""Misbehaviour as people do it for money, and the honest cases that look like it; one module an analysis."""
