import base64
import os
import stat
from pathlib import Path

import pytest

import smoke
from features.errors import InputError
from features.ingest.keys import Keys, load_keys, new_key_file

HMAC, DATA = bytes(range(32)), bytes(range(100, 164))
ENVIRON = {"SMOKE_HMAC_KEY": HMAC.hex(), "SMOKE_DATA_KEY": base64.b64encode(DATA).decode()}


def test_keys_come_from_the_environment_in_hexadecimal_or_base64(tmp_path: Path) -> None:
    assert load_keys(tmp_path, ENVIRON) == Keys(HMAC, DATA)
    url_safe = {**ENVIRON, "SMOKE_DATA_KEY": base64.urlsafe_b64encode(DATA).decode()}
    assert load_keys(tmp_path, url_safe) == Keys(HMAC, DATA)


def test_a_made_file_is_random_private_and_usable(tmp_path: Path) -> None:
    for name in ("one", "two"):
        new_key_file(tmp_path / name)

    one = load_keys(tmp_path / "home", {"SMOKE_KEY_FILE": str(tmp_path / "one")})
    two = load_keys(tmp_path / "other", {"SMOKE_KEY_FILE": str(tmp_path / "two")})

    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o600
    assert one.hmac != two.hmac
    assert one.data != two.data


def test_keys_are_not_shown(tmp_path: Path) -> None:
    keys = load_keys(tmp_path, ENVIRON)

    assert HMAC.hex() not in f"{keys!r}{keys}{keys.fingerprints()}"
    assert repr(HMAC) not in repr(keys)
    assert HMAC.hex() not in "".join(path.read_text() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"SMOKE_HMAC_KEY": ""}, "not given"),
        ({"SMOKE_HMAC_KEY": "geheim!"}, "neither base64 nor hexadecimal"),
        ({"SMOKE_HMAC_KEY": HMAC[:16].hex()}, "16 bytes and needs 32"),
        ({"SMOKE_DATA_KEY": DATA[:32].hex()}, "32 bytes and needs 64"),
        ({"SMOKE_DATA_KEY": (DATA + b"x").hex()}, "65 bytes and needs 64"),
        ({"SMOKE_HMAC_KEY": "00" * 32}, "not random"),
        ({"SMOKE_DATA_KEY": (b"password" * 8).hex()}, "not random"),
        ({"SMOKE_HMAC_KEY": DATA[:32].hex()}, "the same"),
        ({"SMOKE_KEY_FILE": "/nowhere"}, "twice"),
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(changed: dict[str, str], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load_keys(tmp_path, {**ENVIRON, **changed})

    assert "Mend:" in str(caught.value)
    assert not any(value and value in str(caught.value) for name, value in changed.items() if name != "SMOKE_KEY_FILE")
    assert not list(tmp_path.iterdir())


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    new_key_file(tmp_path / "keys")
    (tmp_path / "keys").chmod(0o640)

    with pytest.raises(InputError, match="chmod 600"):
        load_keys(tmp_path / "home", {"SMOKE_KEY_FILE": str(tmp_path / "keys")})


@pytest.mark.parametrize("place", ["home/keys", "home/tables/keys"])
def test_a_key_file_among_the_tables_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    new_key_file(tmp_path / place)

    with pytest.raises(InputError, match="lies in"):
        load_keys(tmp_path / "home", {"SMOKE_KEY_FILE": str(tmp_path / place)})


def test_a_key_file_in_a_checkout_is_neither_made_nor_read(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / ".git").mkdir(parents=True)

    with pytest.raises(InputError, match="git checkout"):
        new_key_file(checkout / "keys")
    new_key_file(tmp_path / "keys")
    (tmp_path / "keys").rename(checkout / "keys")
    with pytest.raises(InputError, match="git checkout"):
        load_keys(tmp_path / "home", {"SMOKE_KEY_FILE": str(checkout / "keys")})


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    new_key_file(tmp_path / "keys")
    before = (tmp_path / "keys").read_bytes()

    with pytest.raises(InputError, match="there already"):
        new_key_file(tmp_path / "keys")

    assert (tmp_path / "keys").read_bytes() == before


@pytest.mark.parametrize("name", ["SMOKE_HMAC_KEY", "SMOKE_DATA_KEY"])
def test_a_home_keeps_to_the_keys_of_its_first_load(tmp_path: Path, name: str) -> None:
    load_keys(tmp_path, ENVIRON)
    load_keys(tmp_path, ENVIRON)

    with pytest.raises(InputError, match=f"another {name}"):
        load_keys(tmp_path, {**ENVIRON, name: os.urandom(32 if name == "SMOKE_HMAC_KEY" else 64).hex()})


def test_the_command_makes_a_file_and_shows_no_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.run(["keys", "new", "--out", str(tmp_path / "keys.env")]) == 0

    shown = capsys.readouterr()
    keys = dict(line.split("=", 1) for line in (tmp_path / "keys.env").read_text().splitlines())
    assert shown.out == f"export SMOKE_KEY_FILE={tmp_path / 'keys.env'}\n"
    assert not any(key in shown.out + shown.err for key in keys.values())
    assert smoke.run(["keys", "new", "--out", str(tmp_path / "keys.env")]) == 1
