"""What could not be taken: why, sealed, and fed back."""
