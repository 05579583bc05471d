"""Labelled auction markets of research, brought into the contract's shape."""
