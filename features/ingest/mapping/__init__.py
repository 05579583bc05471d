"""Delivered cells become columns of the contract, by the declaration of their feed."""
