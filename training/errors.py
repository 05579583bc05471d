"""The error of the training border."""

from features.errors import SmokeError


class TrainingError(SmokeError):
    """Labels, splits or registry do not allow what was asked; the message says what is missing and how to mend it."""
