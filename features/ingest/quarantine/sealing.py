"""Records kept in quarantine hold personal data: they are sealed under the installation's data key."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from features.errors import InputError
from features.ingest.keys import DATA_KEY, HMAC_KEY, KEY_FILE, load_keys

_ASSOCIATED = [b"quarantine.raw"]


@dataclass
class Seal:
    """AES-SIV under the data key: equal records give equal seals, so that a record found again is known."""

    key: bytes = field(repr=False)
    _cipher: AESSIV = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._cipher = AESSIV(self.key)

    def close(self, texts: Iterable[str]) -> list[str]:
        """Seal texts; an empty one stays empty."""
        encrypt = self._cipher.encrypt
        return [base64.b64encode(encrypt(text.encode(), _ASSOCIATED)).decode() if text else "" for text in texts]

    def open(self, seals: Iterable[str]) -> list[str]:
        """Open seals.

        Raises:
            InputError: one was closed under another key.
        """
        decrypt = self._cipher.decrypt
        try:
            return [decrypt(base64.b64decode(seal), _ASSOCIATED).decode() if seal else "" for seal in seals]
        except InvalidTag as error:
            mend = "use the data key under which the records were loaded."
            raise InputError(
                "A record in quarantine was sealed under another key.", field=DATA_KEY, mend=mend
            ) from error


def seal_of(home: Path, environ: Mapping[str, str]) -> Seal | None:
    """Return the seal under the keys that the environment names; None where it names none.

    Raises:
        InputError: the keys are malformed, or others than those that the home was loaded under.
    """
    named = any(environ.get(name) for name in (DATA_KEY, HMAC_KEY, KEY_FILE))
    return Seal(load_keys(home, environ).data) if named else None
