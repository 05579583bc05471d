"""The two keys that personal data stand under. They come from outside, and every source adapter uses the same ones.

``hmac`` turns identity numbers, phones, accounts and e-mails into hashes that can be compared; ``data`` encrypts the
identity numbers themselves. Whoever has the tables and not the keys learns neither. The first load writes a
fingerprint of both into the home, and a later load under other keys is refused: the same person would become another.
"""

import base64
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from features.errors import InputError

HMAC_KEY = "SMOKE_HMAC_KEY"
DATA_KEY = "SMOKE_DATA_KEY"
KEY_FILE = "SMOKE_KEY_FILE"
FINGERPRINT_FILE = "keys.json"
HMAC_BYTES = 32
DATA_BYTES = 64
"""AES-256-SIV: one half encrypts, the other authenticates."""
DISTINCT_MIN = 16
"""Distinct bytes below which a key is no random one; of 32 random bytes 30 differ on average."""
_FINGERPRINTED = b"smoke-index key fingerprint"
_MAKE = "make a key file with `smoke keys new --out FILE` and name it in SMOKE_KEY_FILE."


@dataclass(frozen=True)
class Keys:
    """The keys of one installation; neither is ever shown.

    Attributes:
        hmac: of HMAC-SHA256, at least 32 random bytes.
        data: of AES-SIV, 64 random bytes.
    """

    hmac: bytes = field(repr=False)
    data: bytes = field(repr=False)

    def fingerprints(self) -> dict[str, str]:
        """Return what tells one key from another without telling the key."""
        return {
            name: hmac.digest(key, _FINGERPRINTED, "sha256").hex()
            for name, key in (("hmac", self.hmac), ("data", self.data))
        }


def load_keys(home: Path, environ: Mapping[str, str]) -> Keys:
    """Return the keys that the environment names, after comparing them with those the home was loaded under.

    Args:
        home: where the tables are; the fingerprint of the first keys is kept there.
        environ: SMOKE_HMAC_KEY and SMOKE_DATA_KEY (base64 or hexadecimal), or SMOKE_KEY_FILE, a file with both.

    Raises:
        InputError: a key is missing, malformed, short or not random; the file is readable by others, or lies in the
            home or in a git checkout; or the home was loaded under other keys.
    """
    given = {name: environ[name] for name in (HMAC_KEY, DATA_KEY) if environ.get(name)}
    if given and environ.get(KEY_FILE):
        mend = f"unset {KEY_FILE}, or {' and '.join(sorted(given))}."
        raise InputError("Keys are given twice, in a file and in the environment.", field=KEY_FILE, mend=mend)
    if environ.get(KEY_FILE):
        given = _read_file(Path(environ[KEY_FILE]), home)
    keys = Keys(_key(given, HMAC_KEY, HMAC_BYTES), _key(given, DATA_KEY, DATA_BYTES))
    if keys.data.startswith(keys.hmac):
        raise InputError("Both keys are the same.", field=DATA_KEY, mend=_MAKE)
    _compare(home, keys)
    return keys


def new_key_file(file: Path) -> None:
    """Write a file with two fresh random keys, readable by its owner only; never over another file.

    Raises:
        InputError: the file is there already, its folder cannot be made, or it would lie in a git checkout.
    """
    _refuse_checkout(file, "--out")
    try:
        file.absolute().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        mend = "name a file in a folder that can be made."
        raise InputError(f"{file.absolute().parent} cannot be made.", field="--out", mend=mend) from error
    text = "".join(
        f"{name}={base64.b64encode(secrets.token_bytes(size)).decode()}\n"
        for name, size in ((HMAC_KEY, HMAC_BYTES), (DATA_KEY, DATA_BYTES))
    )
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        mend = "name another; keys that were in use must be kept, or no identity can be compared any more."
        raise InputError(f"{file} is there already.", field="--out", mend=mend) from error
    with os.fdopen(descriptor, "w", encoding="ascii") as out:
        out.write(text)


def _read_file(file: Path, home: Path) -> dict[str, str]:
    if not file.is_file():
        raise InputError(f"There is no key file {file}.", field=KEY_FILE, mend=_MAKE)
    if home.resolve() in file.resolve().parents:
        mend = "move it out, so that who has the tables does not have the keys."
        raise InputError(f"The key file {file} lies in {home}.", field=KEY_FILE, mend=mend)
    _refuse_checkout(file, KEY_FILE)
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        mend = f"chmod 600 {file}"
        raise InputError(f"The key file {file} can be read by others than its owner.", field=KEY_FILE, mend=mend)
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no key file.", field=KEY_FILE, mend=_MAKE) from error
    named = [line.strip().partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return {name.strip(): value.strip() for name, _, value in named}


def _refuse_checkout(file: Path, field: str) -> None:
    checkout = next((folder for folder in file.resolve().parents if (folder / ".git").exists()), None)
    if checkout is not None:
        mend = "choose a folder outside, such as ~/.config/smoke-index; a key in a checkout is published one day."
        raise InputError(f"{file} lies in the git checkout {checkout}.", field=field, mend=mend)


def _key(given: Mapping[str, str], name: str, size: int) -> bytes:
    text = given.get(name)
    if not text:
        raise InputError(f"{name} is not given; personal data are never stored without it.", field=name, mend=_MAKE)
    try:
        hexadecimal = re.fullmatch(r"(?:[0-9a-fA-F]{2})+", text)
        key = bytes.fromhex(text) if hexadecimal else base64.b64decode(text.translate(_URL_SAFE), validate=True)
    except ValueError:
        key = None
    if key is None:
        raise InputError(f"{name} is neither base64 nor hexadecimal.", field=name, mend=_MAKE)
    if len(key) < size or (name == DATA_KEY and len(key) != size):
        raise InputError(f"{name} has {len(key)} bytes and needs {size}.", field=name, mend=_MAKE)
    if len(set(key)) < DISTINCT_MIN:
        raise InputError(f"{name} is not random: its bytes repeat.", field=name, mend=_MAKE)
    return key


_URL_SAFE = str.maketrans("-_", "+/")


def _compare(home: Path, keys: Keys) -> None:
    """Hold the keys against those of the first load, or keep their fingerprint when this is the first."""
    file, own = home / FINGERPRINT_FILE, keys.fingerprints()
    if not file.exists():
        home.mkdir(parents=True, exist_ok=True)
        fresh = home / f".{FINGERPRINT_FILE}.{secrets.token_hex(4)}"
        fresh.write_text(json.dumps(own), encoding="ascii")
        try:
            file.hardlink_to(fresh)  # whole or not at all, and never over the fingerprint of another process
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    stored = json.loads(file.read_text(encoding="ascii"))
    for name, variable in (("hmac", HMAC_KEY), ("data", DATA_KEY)):
        if not hmac.compare_digest(str(stored.get(name)), own[name]):
            mend = "use the keys of the first load, the same in every adapter; other keys need a home of their own."
            raise InputError(f"{home} was loaded under another {variable}.", field=variable, mend=mend)
