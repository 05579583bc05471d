"""Key people: who was promised, who is there, who replaces whom, who is on leave, and who punches in."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from experiments.city.facts import CITY_END
from experiments.city.people import NOBODY, Roster, someone
from experiments.city.records import END_DAY, days_after, known, office_hours, restamped, sequence, stamped

POSITIONS = {
    "project_manager": ("pm", 22),
    "tech_lead": ("tech_lead", 20),
    "quality_lead": ("quality_lead", 22),
    "safety_lead": ("safety_lead", 22),
    "labour_manager": ("labour_manager", 20),
    "chief_supervisor": ("supervisor", 15),
    "supervisor_rep": ("supervisor", 20),
}
"""Position -> role of the person in the population, days a month demanded by the contract."""
_GRADES = {"project_manager": "一级建造师", "tech_lead": "高级工程师", "chief_supervisor": "注册监理工程师"}
_SUPERVISION = ("chief_supervisor", "supervisor_rep")
PUNCH_DAYS = 60
"""Days of attendance made at once: this many days of all people are held in memory."""


def crew(course: pl.DataFrame, roster: Roster, rng: np.random.Generator) -> pl.DataFrame:
    """Return who holds each key position of each site, one row a contract and position.

    Columns besides those of the course: position, org_no, bid_person_no (promised), builder_person_no (of a hidden
    builder), successor_no, replaced_on and cause (illness, swap, ordinary) of a replacement, present (chance to be
    there on a working day), tricked (chance that a day away is covered by a false punch).
    """
    site = course.filter("site")
    base = site.select(
        "contract_id",
        "project_id",
        "start_date",
        "finish_date",
        "stop_from",
        "stop_to",
        "longitude",
        "latitude",
        "hidden",
        "shows",
        "scheme",
        "look_alike",
        "winner_org_no",
        "real_builder_org_no",
        "supervisor_org_no",
        "pm_person_no",
        "tech_lead_person_no",
    )
    parts: list[pl.DataFrame] = []
    for position, (role, days) in POSITIONS.items():
        supervising = position in _SUPERVISION
        unit = (
            base["supervisor_org_no" if supervising else "winner_org_no"].fill_null(NOBODY).to_numpy().astype(np.int64)
        )
        # An outside firm may build honestly with the people of a local branch, who are insured there.
        local = (base["look_alike"] == "local_branch").fill_null(value=False).to_numpy() & (not supervising)
        home = base["real_builder_org_no"].fill_null(NOBODY).to_numpy().astype(np.int64)
        person = roster.pick(role, np.where(local, home, unit), rng)
        if position in ("project_manager", "tech_lead"):
            named = base["pm_person_no" if position == "project_manager" else "tech_lead_person_no"]
            person = named.fill_null(pl.Series(person)).to_numpy().astype(np.int64)
        builders = roster.pick(role, home, rng)
        n = len(base)
        strange = base["hidden"].to_numpy() & ~np.full(n, supervising) & (builders != NOBODY)
        present = np.where(supervising, rng.beta(14, 4, n), rng.beta(22, 3, n))
        openly = base["shows"].to_numpy()
        present = np.where(strange, np.clip(0.92 - 0.85 * openly + rng.normal(0, 0.05, n), 0.02, 0.95), present)
        lazy = ~strange & (rng.random(n) < 0.04)
        present = np.where(lazy, rng.uniform(0.35, 0.6, n), present)
        parts.append(
            base.with_columns(
                position=pl.lit(position),
                required_days_per_month=pl.lit(days, dtype=pl.Int64),
                org_no=pl.Series(unit, dtype=pl.Int32),
                bid_person_no=someone(person),
                builder_person_no=someone(np.where(strange, builders, NOBODY)),
                present=pl.Series(present),
                tricked=pl.Series(np.where(strange, 0.05 + 0.25 * openly * rng.random(n), 0.015)),
            ).filter(pl.col("bid_person_no").is_not_null())
        )
    people = pl.concat(parts)
    return _with_replacements(people, roster, rng).sort("contract_id", "position")


def _with_replacements(people: pl.DataFrame, roster: Roster, rng: np.random.Generator) -> pl.DataFrame:
    """Decide who leaves: an open licence lender's team goes home within weeks, an honest one falls ill now and then."""
    n = len(people)
    strange = people["builder_person_no"].is_not_null().to_numpy()
    ill = (people["look_alike"] == "illness_replacement").fill_null(value=False).to_numpy()
    ill = ill & (people["position"] == "project_manager").to_numpy()
    swap = strange & (rng.random(n) < 0.15 + 0.45 * people["shows"].to_numpy())
    ordinary = ~strange & (rng.random(n) < 0.03)
    replaced = swap | ordinary | ill
    start = people["start_date"].to_numpy().astype("datetime64[D]")
    span = np.maximum((people["finish_date"].to_numpy().astype("datetime64[D]") - start).astype(float), 10.0)
    day = start + np.where(swap, rng.uniform(3, 70, n), span * rng.uniform(0.2, 0.8, n)).astype("timedelta64[D]")
    own = np.full(n, NOBODY)
    for position, (role, _days) in POSITIONS.items():
        mine = (people["position"] == position).to_numpy()
        own[mine] = roster.pick(role, people["org_no"].to_numpy().astype(np.int64)[mine], rng)
    builder = people["builder_person_no"].fill_null(NOBODY).to_numpy().astype(np.int64)
    # The papers name the builder's man now and then only; else another of the winner's people lends the name.
    successor = np.where(swap & (rng.random(n) < 0.5), builder, own)
    same = successor == people["bid_person_no"].to_numpy()
    replaced = replaced & (successor != NOBODY) & ~same
    return people.with_columns(
        successor_no=pl.when(pl.Series(replaced)).then(someone(successor)),
        replaced_on=pl.when(pl.Series(replaced)).then(pl.Series(day).cast(pl.Date)),
        cause=pl.Series(np.where(ill, "illness", np.where(swap, "swap", "ordinary"))),
    )


def key_personnel(people: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of key_personnel: promised in the bid, named in the contract, and who came, with ``updated_at``."""
    base = people.select(
        "contract_id",
        "project_id",
        "org_no",
        "position",
        "required_days_per_month",
        "bid_person_no",
        "successor_no",
        "start_date",
        "finish_date",
        "replaced_on",
        code=pl.col("contract_id")
        + "-"
        + pl.col("position").replace_strict({p: str(i) for i, p in enumerate(POSITIONS)}),
        cert_grade=pl.col("position").replace_strict(_GRADES, default=None, return_dtype=pl.String),
    )
    bid_parts = base.filter(pl.col("position").is_in(["project_manager", "tech_lead"]))
    end = pl.coalesce("replaced_on", "finish_date")
    rows = pl.concat(
        [
            bid_parts.select(
                kp_id="GB" + pl.col("code"), person_no="bid_person_no", source=pl.lit("bid"), **_OPEN, **_KEEP
            ),
            base.select(
                kp_id="GC" + pl.col("code"), person_no="bid_person_no", source=pl.lit("contract"), **_OPEN, **_KEEP
            ),
            base.select(
                kp_id="GA" + pl.col("code"),
                person_no="bid_person_no",
                source=pl.lit("actual"),
                assigned_from="start_date",
                assigned_to=end,
                **_KEEP,
            ),
            base.filter(pl.col("successor_no").is_not_null()).select(
                kp_id="GA" + pl.col("code") + "R",
                person_no="successor_no",
                source=pl.lit("actual"),
                assigned_from="replaced_on",
                assigned_to="finish_date",
                **_KEEP,
            ),
        ]
    )
    rows = rows.with_columns(since=pl.coalesce("assigned_from", "start_date"))
    rows = known(rows, "since", {"assigned_to": []})
    first = stamped(rows.with_columns(assigned_to=pl.lit(None, pl.Date)), rng, after=["since"])
    last = restamped(
        rows.filter(pl.col("assigned_to").is_not_null()), rng, after=["since", "assigned_to"], hours=(61, 120)
    )
    return pl.concat([first, last]).drop("since", "start_date")


_OPEN = {"assigned_from": pl.lit(None, pl.Date), "assigned_to": pl.lit(None, pl.Date)}
_KEEP = {
    name: pl.col(name)
    for name in (
        "contract_id",
        "project_id",
        "org_no",
        "position",
        "required_days_per_month",
        "cert_grade",
        "start_date",
    )
}


def replacements(people: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of personnel_replacement with ``updated_at``; who swaps a team openly asks late or not at all."""
    rows = people.filter(pl.col("replaced_on").is_not_null())
    n = len(rows)
    swap = (rows["cause"] == "swap").to_numpy()
    day = rows["replaced_on"].to_numpy().astype("datetime64[D]")
    late = rng.random(n) < np.where(swap, 0.1 + 0.7 * rows["shows"].to_numpy(), 0.06)
    never = late & swap & (rng.random(n) < 0.6)
    approved = np.where(late, days_after(day, 2, 40, rng), day - rng.integers(1, 12, n).astype("timedelta64[D]"))
    applied = days_after(approved, -15, -3, rng)
    honest = rng.choice(["resignation", "owner_agreed", "illness", "force_majeure"], n, p=[0.4, 0.3, 0.25, 0.05])
    reason = np.where(swap, rng.choice(["owner_agreed", "resignation", "other"], n), honest)
    reason = np.where(rows["cause"].to_numpy() == "illness", "illness", reason)
    rows = rows.select(
        "contract_id",
        "project_id",
        "position",
        replacement_id=sequence(rows, "HR", "contract_id", 2),
        out_person_no="bid_person_no",
        in_person_no="successor_no",
        reason_code=pl.Series(reason.astype(str)),
        effective_at="replaced_on",
        applied_at=pl.Series(office_hours(applied, rng)),
        approved_at=pl.when(~pl.Series(never)).then(pl.Series(office_hours(approved, rng))),
        in_cert_not_lower=pl.Series(rng.random(n) < np.where(swap, 0.6, 0.95)),
    )
    rows = known(rows, "effective_at", {"applied_at": [], "approved_at": []})
    return stamped(rows, rng, after=["effective_at", "applied_at", "approved_at"])


def leaves(people: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows of leave_record with ``updated_at``, and project_id, contract_id, position beside them."""
    rows = people.filter(pl.Series(rng.random(len(people)) < 0.12))
    n = len(rows)
    start = rows["start_date"].to_numpy().astype("datetime64[D]")
    span = np.maximum((rows["finish_date"].to_numpy().astype("datetime64[D]") - start).astype(float), 5.0)
    first = start + (span * rng.random(n)).astype("timedelta64[D]")
    actual = pl.lit("GA") + pl.col("contract_id") + "-"
    rows = rows.select(
        kp_id=actual + pl.col("position").replace_strict({p: str(i) for i, p in enumerate(POSITIONS)}),
        start_date=pl.Series(first).cast(pl.Date),
        end_date=pl.Series(first + rng.integers(1, 9, n).astype("timedelta64[D]")).cast(pl.Date),
        approved=pl.Series(rng.random(n) < 0.94),
    )
    rows = rows.with_columns(leave_id=sequence(rows, "QJ", "kp_id", 2)).filter(pl.col("end_date") < CITY_END.date())
    return stamped(rows, rng, after=["start_date"], hours=(1, 30))


def attendance(people: pl.DataFrame, days: int, rng: np.random.Generator) -> Iterator[pl.DataFrame]:
    """Yield rows of attendance with ``updated_at``, some days of all people at a time.

    Args:
        people: of :func:`crew`.
        days: how many days before the end of the city are made.
        rng: source of chance.
    """
    first = END_DAY - np.timedelta64(days, "D")
    start = np.maximum(people["start_date"].to_numpy().astype("datetime64[D]"), first)
    end = np.minimum(people["finish_date"].to_numpy().astype("datetime64[D]"), END_DAY)
    if not len(people):
        return
    day = start.min()
    while day < END_DAY:
        until = min(day + np.timedelta64(PUNCH_DAYS, "D"), END_DAY)
        low, high = np.maximum(start, day), np.minimum(end, until)
        yield _punches(people, low, np.maximum((high - low).astype(int), 0), rng)
        day = until


def _punches(people: pl.DataFrame, low: np.ndarray, length: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    """Return the punches of stretches of days: who comes punches once or, at a gate, when leaving too."""
    who = np.repeat(np.arange(len(people)), length)
    day = np.repeat(low, length) + (np.arange(len(who)) - np.repeat(np.cumsum(length) - length, length)).astype(
        "timedelta64[D]"
    )
    stop_from = people["stop_from"].fill_null(CITY_END.date()).to_numpy().astype("datetime64[D]")[who]
    stop_to = people["stop_to"].fill_null(CITY_END.date()).to_numpy().astype("datetime64[D]")[who]
    sunday = (day.astype(np.int64) + 3) % 7 == 6
    chance = people["present"].to_numpy()[who] * np.where(sunday, 0.55, 1.0)
    chance = np.where((day >= stop_from) & (day < stop_to), 0.08, chance)
    comes = rng.random(len(who)) < chance
    faked = ~comes & (rng.random(len(who)) < people["tricked"].to_numpy()[who])
    kept = comes | faked
    who, day, faked = who[kept], day[kept], faked[kept]
    morning = day.astype("datetime64[us]") + rng.normal(8.0 * 3600, 1500, len(who)).astype("timedelta64[s]")
    twice = ~faked & (rng.random(len(who)) < 0.45)
    evening = day[twice].astype("datetime64[us]") + rng.normal(17.6 * 3600, 2400, int(twice.sum())).astype(
        "timedelta64[s]"
    )
    row = np.concatenate([who, who[twice]])
    when = np.concatenate([morning, evening])
    false = np.concatenate([faked, np.zeros(int(twice.sum()), bool)])
    n = len(row)
    # A false punch is a clerk's make-up, a picture held to the camera, or a phone far from the site.
    trick = rng.choice(["makeup", "picture", "far"], n)
    away = false & (trick == "far") | ~false & (rng.random(n) < 0.01)
    shift = rng.normal(0, np.where(away, 0.08, 0.0009)[:, None], (n, 2))
    replaced = people["replaced_on"].fill_null(CITY_END.date()).to_numpy().astype("datetime64[D]")[row]
    after = when.astype("datetime64[D]") >= replaced
    named = people["bid_person_no"].to_numpy()[row]
    successor = people["successor_no"].fill_null(NOBODY).to_numpy()[row]
    code = people.select(
        pl.col("contract_id") + "-" + pl.col("position").replace_strict({p: str(i) for i, p in enumerate(POSITIONS)})
    ).to_series()
    picked = code.gather(row)
    person = np.where(after, successor, named)
    makeup = false & (trick == "makeup")
    phone = np.where(false & (trick == "picture"), row - row % len(POSITIONS), person)
    frame = pl.DataFrame(
        {
            "code": picked,
            "after": after,
            "project_id": people["project_id"].gather(row),
            "person_no": pl.Series(person, dtype=pl.Int32),
            "punched_at": pl.Series(when),
            "longitude": pl.Series(np.round(people["longitude"].to_numpy()[row] + shift[:, 0], 6)),
            "latitude": pl.Series(np.round(people["latitude"].to_numpy()[row] + shift[:, 1], 6)),
            "gate": pl.Series(rng.random(n) < 0.6),
            "is_makeup": pl.Series(makeup),
            "liveness_pass": pl.Series(~(false & (trick == "picture")) & (rng.random(n) > 0.004)),
            "phone": pl.Series(phone),
            "evening": pl.Series(np.arange(n) >= len(who)),
        }
    )
    stamp = pl.col("punched_at").dt.strftime("%y%m%d") + pl.when("evening").then(pl.lit("B")).otherwise(pl.lit("A"))
    rows = frame.select(
        "project_id",
        "person_no",
        "punched_at",
        "longitude",
        "latitude",
        "is_makeup",
        "liveness_pass",
        attendance_id="DK" + pl.col("code") + stamp,
        kp_id="GA" + pl.col("code") + pl.when("after").then(pl.lit("R")).otherwise(pl.lit("")),
        method=pl.when("is_makeup")
        .then(pl.lit("manual"))
        .otherwise(pl.when("gate").then(pl.lit("face_gate")).otherwise(pl.lit("app_face"))),
        device_id=pl.when("gate").then("GATE" + pl.col("project_id")).otherwise("PH" + pl.col("phone").cast(pl.String)),
    ).filter(pl.col("punched_at") < CITY_END)
    return stamped(rows, rng, after=["punched_at"], hours=(0.05, 6))
