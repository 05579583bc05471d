import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest

import smoke
from features.clock import SHANGHAI
from features.ingest.identity.resolving import organisation_ids, person_ids
from features.ingest.identity.work_items import WorkItems, read_known, sightings
from features.ingest.keys import Keys
from features.tables.organisations import Organisation, Person
from features.tables.store import TableStore, TableWriter
from tests.check_digits import credit_code, identity_number

KEYS = Keys(bytes(range(32)), bytes(range(100, 164)))
MORNING = dt.datetime(2026, 1, 1, 8, tzinfo=SHANGHAI)
EVENING = MORNING + dt.timedelta(hours=12)
FIRM, NAME = "91440300708461136T", "南充市鑫源建筑工程有限公司"
NUMBER = identity_number("51130219900101123")
OTHER, OTHER_NAME = credit_code("91511300MA62960B0"), "嘉陵区华兴劳务有限公司"


def upsert(home: Path, table: type[Organisation | Person], source: str, *rows: dict[str, object]) -> None:
    schema = {name: column.dtype for name, column in table.columns().items()}
    frame = pl.DataFrame(list(rows), schema=schema).with_columns(source_record_id=pl.lit(f"{source}-1"))
    TableWriter(TableStore(home), table, MORNING, source).upsert(frame)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    upsert(tmp_path, Organisation, "S11", {"org_id": FIRM, "uscc": FIRM, "name": NAME, "reg_status": "active"})
    return tmp_path


def bid_rows(home: Path, *records: str, code: str | None = None) -> pl.DataFrame:
    """Bids of one batch whose bidder has a name and no usable code."""
    rows = pl.DataFrame(
        {"record": records, "name": [NAME] * len(records), "given": pl.Series([code] * len(records), dtype=pl.String)}
    )
    return rows.hstack(organisation_ids(rows["given"], rows["name"], read_known(TableStore(home), "S01")))


def deliver(home: Path, *records: str, at: dt.datetime = MORNING) -> int:
    return WorkItems(home).add(sightings("organisation", "S01", "S01/bid", bid_rows(home, *records)), at)


def unresolved_person(home: Path) -> tuple[str, str, str]:
    """Deliver a person whose number is one slip off a stored one's; return item, stored person and number given."""
    known = person_ids(pl.Series([NUMBER]), pl.Series(["张三丰"]), KEYS, read_known(TableStore(home), "P00")).row(
        0, named=True
    )
    upsert(home, Person, "P00", {"person_id": known["person_id"], "name": "张三丰", "id_no_hash": known["id_no_hash"]})
    slipped = NUMBER[:9] + "1" + NUMBER[10:]
    rows = pl.DataFrame({"record": ["r"], "given": [slipped], "name": ["张三丰"]})
    rows = rows.hstack(person_ids(rows["given"], rows["name"], KEYS, read_known(TableStore(home), "S10")))
    WorkItems(home).add(sightings("person", "S10", "S10/employment", rows, keys=KEYS), MORNING)
    return WorkItems(home).items(kind="person").item(0, "item_id"), known["person_id"], slipped


def listed(capsys: pytest.CaptureFixture[str], home: Path, *options: str) -> list[dict[str, object]]:
    capsys.readouterr()
    assert smoke.run(["identities", "list", "--home", str(home), "--format", "json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_records_are_counted_once_in_any_chunks_and_any_number_of_times(home: Path) -> None:
    assert [deliver(home, "b1", "b2"), deliver(home, "b2", "b3", at=EVENING), deliver(home, "b3", "b1")] == [2, 1, 0]

    item = WorkItems(home).items().row(0, named=True)

    assert (item["records"], item["first_seen"], item["last_seen"]) == (3, MORNING, EVENING)
    assert (item["kind"], item["source"], item["feeds"], item["reason"]) == (
        "organisation",
        "S01",
        "S01/bid",
        "missing_code",
    )


def test_a_decision_is_used_by_the_next_mapping_and_a_later_one_stands(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deliver(home, "b1")
    [item] = listed(capsys, home)
    assert (str(item["candidate"]).split()[0], item["state"]) == (FIRM, "open")
    assert bid_rows(home, "b1")["org_id"].to_list() == [None]

    decide = ["identities", "decide", str(item["item_id"]), "--home", str(home), "--as", "wang"]
    assert smoke.run([*decide, "--id", FIRM, "--because", "核对营业执照"]) == 0

    assert bid_rows(home, "b1", "b9")["org_id"].to_list() == [FIRM, FIRM]
    assert listed(capsys, home) == []
    [decided] = listed(capsys, home, "--state", "decided")
    assert (decided["decided_id"], decided["decided_by"], decided["because"]) == (FIRM, "wang", "核对营业执照")
    assert (
        smoke.run(
            ["identities", "dismiss", str(item["item_id"]), "--home", str(home), "--as", "li", "--because", "误判"]
        )
        == 0
    )
    assert bid_rows(home, "b1")["org_id"].to_list() == [None]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--id", "某公司", "--as", "wang", "--because", "x"], "names no organisation"),
        (["--id", FIRM[:-1] + "X", "--as", "wang", "--because", "x"], "valid 18-character credit code"),
        (["--id", FIRM, "--as", " ", "--because", "x"], "--as is empty"),
        (["--id", FIRM, "--as", "wang", "--because", " "], "--because is empty"),
    ],
)
def test_a_decision_needs_someone_a_reason_and_an_identity(
    home: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    deliver(home, "b1")
    item = WorkItems(home).items().item(0, "item_id")

    assert smoke.run(["identities", "decide", item, "--home", str(home), *options]) == 1
    assert says in capsys.readouterr().err
    assert WorkItems(home).decided() == {}


def test_who_decides_about_a_person_is_not_told_to_give_a_credit_code(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item, *_ = unresolved_person(home)
    decide = ["identities", "decide", item, "--home", str(home), "--as", "wang", "--because", "x"]

    assert smoke.run([*decide, "--id", "p000"]) == 1

    said = capsys.readouterr().err
    assert "candidates of `smoke identities show`; a person must be stored before." in said
    assert "credit code" not in said


def test_an_unknown_item_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.run(["identities", "show", "nothing", "--home", str(home)]) == 1
    assert "smoke identities list" in capsys.readouterr().err


def test_a_mistyped_number_proposes_the_person_and_shows_no_number(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item, person, slipped = unresolved_person(home)

    assert smoke.run(["identities", "show", item, "--home", str(home)]) == 0

    shown = capsys.readouterr().out
    assert person in shown
    assert "证件号只差一处" in shown
    assert slipped not in shown
    assert slipped[6:14] not in shown


def printed(capsys: pytest.CaptureFixture[str], home: Path, *arguments: str) -> str:
    capsys.readouterr()
    assert smoke.run([*arguments, "--home", str(home)]) == 0
    return capsys.readouterr().out


@pytest.fixture
def person_item(home: Path) -> tuple[str, str]:
    """A person and an organisation that nobody has told; the person's item and the likeliest candidate."""
    deliver(home, "b1")
    item, person, _ = unresolved_person(home)
    return item, person


LOOK = ("--as", "wang", "--purpose", "核对身份")
LOOKS = ["list", "list --format json", "list --format csv", "show", "show --format json", "show --format csv"]


def look(command: str, item: str) -> list[str]:
    return ["identities", *(f"{command} {item}" if command.startswith("show") else command).split()]


@pytest.mark.parametrize("command", LOOKS)
def test_names_of_persons_are_masked_and_those_of_firms_are_not(
    home: Path, person_item: tuple[str, str], capsys: pytest.CaptureFixture[str], command: str
) -> None:
    item, person = person_item
    said = printed(capsys, home, *look(command, item))

    assert "张三丰" not in said
    assert said.count("张＊＊") == 2
    assert person in said
    assert (NAME in said) == command.startswith("list")
    assert json.loads(printed(capsys, home, "access", "list", "--format", "json")) == []


@pytest.mark.parametrize("command", LOOKS)
def test_an_officer_sees_the_names_for_a_purpose_that_is_logged(
    home: Path, person_item: tuple[str, str], capsys: pytest.CaptureFixture[str], command: str
) -> None:
    item, _ = person_item
    assert printed(capsys, home, *look(command, item), *LOOK).count("张三丰") == 2

    [line] = json.loads(printed(capsys, home, "access", "list", "--format", "json"))
    assert (line["user_id"], line["purpose"], line["table_name"]) == ("wang", "核对身份", "person")
    assert json.loads(line["fields_read"]) == ["name"]
    assert line["subject_id"] == (item if command.startswith("show") else None)


def test_a_look_at_firms_alone_is_none_at_persons(
    home: Path, person_item: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert NAME in printed(capsys, home, "identities", "list", "--kind", "organisation", *LOOK)
    assert json.loads(printed(capsys, home, "access", "list", "--format", "json")) == []


def test_no_name_is_shown_when_the_look_cannot_be_logged(
    home: Path,
    person_item: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(TableStore, "append", full)

    assert smoke.run([*look("show", person_item[0]), *LOOK, "--home", str(home)]) == 1
    told = capsys.readouterr()
    assert (told.out, "access log cannot be written" in told.err) == ("", True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (LOOK[:2], "--purpose is missing"),
        (LOOK[2:], "--as is missing"),
        (("--as", "wang", "--purpose", " "), "No purpose is given"),
        (("--as", " ", "--purpose", "x"), "No reader is given"),
        (("--as", "system:x", "--purpose", "x"), "is a run"),
    ],
)
@pytest.mark.parametrize("command", ["list", "show"])
def test_nobody_sees_a_name_unnamed_or_without_a_purpose(
    home: Path,
    person_item: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
    command: str,
    options: tuple[str, ...],
    says: str,
) -> None:
    assert smoke.run([*look(command, person_item[0]), *options, "--home", str(home)]) == 1

    told = capsys.readouterr()
    assert (told.out, says in told.err, "Mend: " in told.err) == ("", True, True)


def test_one_code_under_two_names_is_an_item_whose_decision_moves_the_rows(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upsert(home, Organisation, "S11", {"org_id": OTHER, "uscc": OTHER, "name": OTHER_NAME})
    upsert(home, Organisation, "S01", {"org_id": FIRM, "uscc": FIRM, "name": OTHER_NAME})

    [item] = listed(capsys, home, "--kind", "name_conflict")
    decide = [
        "identities",
        "decide",
        str(item["item_id"]),
        "--home",
        str(home),
        "--as",
        "wang",
        "--because",
        "代码抄错",
    ]
    assert smoke.run([*decide, "--id", OTHER]) == 0

    assert (item["given"], item["source"], item["name"]) == (FIRM, "S01", OTHER_NAME)
    names = pl.Series([OTHER_NAME, NAME])
    for source, expected in (("S01", [OTHER, FIRM]), ("S06", [FIRM, FIRM])):
        known = read_known(TableStore(home), source)
        assert organisation_ids(pl.Series([FIRM, FIRM]), names, known)["org_id"].to_list() == expected
