"""The one base of the errors that a user can mend."""


class SmokeError(Exception):
    """Something outside the code is wrong; the message says what, where, and how to mend it."""


class InputError(SmokeError):
    """Foreign data was refused at the border.

    Attributes:
        field: the field at fault, as a path such as ``records.bid[2].bid_price``.
        mend: what the sender can do about it.
    """

    def __init__(self, message: str, *, field: str, mend: str) -> None:
        super().__init__(f"{message} Mend: {mend}")
        self.field = field
        self.mend = mend


class StoreError(SmokeError):
    """The tables on disk cannot be read or written as asked."""


class CatalogueError(SmokeError):
    """An indicator's formula, its YAML file and the specification do not fit together."""
