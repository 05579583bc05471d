"""Python that scores: the smoke index and the trained models."""
