"""What really happened: the file that no product code reads.

``lots``: every lot (or piece of work without one) that a group worked on, with analysis, scheme, skill, whether it came
off, and the money. An attempt counts where the act itself is wrong (a cover bid, terms cut to one firm, bought marks);
schemes that begin after the award count only where their firm won. ``look_alike`` names what is honest and looks wrong;
a few plain honest lots that were looked into have neither scheme nor likeness.

``groups``, ``organisations``, ``pairs``, ``rings``, ``persons``: who stood behind, written as the product names its
subjects (rulings G17): credit codes, ``organisation:A~organisation:B``, ``clique:`` and a hash of the sorted codes.
"""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl

from experiments.city.bidding import Bids, Lots
from experiments.city.defaults import SCHEMES
from experiments.city.facts import EXECUTION_SCHEMES, Population
from experiments.city.orders import Awards
from experiments.city.paperwork import END, at, entries, word_column
from experiments.city.planning import Market
from experiments.city.tendering import Tenders

LOOKED_INTO = 0.006
"""Share of plain honest lots that somebody looks into; they stand in the truth without scheme and without likeness."""
AFTERWARDS = frozenset(EXECUTION_SCHEMES)


def truth_lots(
    m: Market,
    projects: pl.DataFrame,
    pieces: pl.DataFrame,
    t: Tenders,
    lots: Lots,
    bids: Bids,
    a: Awards,
    lot_id: pl.Series,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return the touched and the look-alike pieces of a block that the city has seen by its last day.

    Columns: unit_id (lot, or plan without one), lot_id, plan_id, project_id, at, analysis, scheme, skill, look_alike,
    group_no, came_off, award_cny, gain_cny.
    """
    row = pieces["row"].to_numpy()
    kind = np.where(pieces["main"].to_numpy(), projects["kind"].to_numpy()[row], "")
    honest = projects["honest"].to_numpy()[row]
    lot_of = np.full(len(pieces), -1)
    lot_of[lots.piece] = np.arange(len(lots))
    opening = entries(t.time["opening"], entries(lots.tender, np.maximum(lot_of, 0)))
    seen = np.where(lot_of >= 0, opening, a.moment)
    idle = np.isin(kind, list(AFTERWARDS)) & ~a.lead_won
    looked_into = (kind == "") & (lot_of >= 0) & (rng.random(len(pieces)) < LOOKED_INTO)
    rows = np.flatnonzero(((kind != "") | looked_into) & (seen < END) & (honest | ~idle))
    group = np.where(kind[rows] == "", -1, projects["group_no"].to_numpy()[row[rows]])
    lot = lot_of[rows]
    wrong = ~honest[rows]
    done = np.where(a.moment[rows] < END, a.lead_won[rows] | _team_won(m, bids, a.bid[rows], group), False)
    share = np.array([SCHEMES[k].gain if k in SCHEMES else 0.0 for k in kind[rows]])
    noise = np.exp(rng.normal(0, 0.3, len(rows)))
    gain = np.where(done & wrong, np.round(a.amount[rows] * share * noise, 2), 0.0)
    plan = at(pieces["plan_id"], rows)
    lots_here = at(lot_id, np.maximum(lot, 0)).set(pl.Series(lot < 0), None)
    name = word_column(kind[rows])
    return pl.DataFrame(
        {
            "unit_id": lots_here.zip_with(pl.Series(lot >= 0), plan),
            "lot_id": lots_here,
            "plan_id": plan,
            "project_id": at(projects["project_id"], row[rows]),
            "at": seen[rows].astype("datetime64[us]"),
            "analysis": word_column(np.where(group >= 0, m.group["analysis"][group], "")),
            "scheme": name.set(pl.Series(~wrong), None),
            "skill": word_column(np.where(wrong, projects["skill"].to_numpy()[row[rows]], "")),
            "look_alike": name.set(pl.Series(wrong), None),
            "group_no": group,
            "came_off": done,
            "award_cny": np.where(a.org[rows] >= 0, a.amount[rows], 0.0),
            "gain_cny": gain,
        }
    )


def _team_won(m: Market, bids: Bids, bid: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return where the winner is a member of the group."""
    members = m.population.groups["member_nos"]
    return np.array(
        [b >= 0 and g >= 0 and int(bids.org[b]) in members[int(g)].to_list() for b, g in zip(bid, group, strict=True)],
        dtype=bool,
    )


ACTS_WITH = {
    "tenderer_repeat_winner": ("owner_no",),
    "agency_ties": ("agency_no",),
    "winner_vs_builder": ("partner_no",),
    "lot_splitting": ("owner_no",),
    "payment_anomaly": ("owner_no",),
}


def write(population: Population, lots: pl.DataFrame, folder: Path) -> None:
    """Write the truth, one parquet file a kind, below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lots.write_parquet(folder / "lots.parquet")
    for name, frame in behind(population, lots).items():
        frame.write_parquet(folder / f"{name}.parquet")


def behind(population: Population, lots: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return who stood behind the lots: groups, organisations with roles, pairs, rings, persons."""
    played = lots.group_by("group_no", maintain_order=True).agg(
        pl.len().alias("lots"),
        pl.col("gain_cny").sum(),
        pl.col("at").min().alias("first_at"),
        pl.col("at").max().alias("last_at"),
    )
    groups = population.groups.join(played, on="group_no", how="inner", maintain_order="left").sort("group_no")
    code = population.organisations["uscc"]
    organisations = _organisations(groups, code)
    wrong = groups.filter(~pl.col("honest"))
    return {
        "groups": groups,
        "organisations": organisations,
        "pairs": _pairs(wrong, population),
        "rings": _rings(groups, code),
        "persons": _persons(wrong, population),
    }


def _organisations(groups: pl.DataFrame, code: pl.Series) -> pl.DataFrame:
    rows = []
    for group in groups.iter_rows(named=True):
        roles = [(org, "lead" if org == group["lead_no"] else "member") for org in group["member_nos"]]
        roles += [
            (group[name], name.removesuffix("_no")) for name in ACTS_WITH.get(group["analysis"], ()) if group[name] >= 0
        ]
        rows += [
            (
                code[org],
                role,
                group["group_no"],
                group["analysis"],
                group["kind"],
                group["skill"],
                group["honest"],
                group["lots"],
            )
            for org, role in roles
        ]
    columns = ["org_id", "role", "group_no", "analysis", "kind", "skill", "honest", "lots"]
    return pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None)


def pair_id(left: str, right: str) -> str:
    """Return the product's id of a pair of organisations (rulings G17)."""
    return "~".join(sorted((f"organisation:{left}", f"organisation:{right}")))


def clique_id(codes: list[str]) -> str:
    """Return the product's id of a clique (rulings G17)."""
    return "clique:" + hashlib.sha256(",".join(sorted(codes)).encode()).hexdigest()[:16]


def _pairs(groups: pl.DataFrame, population: Population) -> pl.DataFrame:
    code = population.organisations["uscc"]
    rows = []
    for group in groups.iter_rows(named=True):
        lead, members = group["lead_no"], group["member_nos"]
        ends = [(a, b) for i, a in enumerate(members) for b in members[i + 1 :]]
        ends += [(lead, group[name]) for name in ACTS_WITH.get(group["analysis"], ()) if group[name] >= 0]
        rows += [
            (pair_id(code[a], code[b]), group["group_no"], group["analysis"], group["kind"], group["skill"])
            for a, b in ends
            if a != b
        ]
    return pl.DataFrame(rows, schema=["pair_id", "group_no", "analysis", "kind", "skill"], orient="row")


def _rings(groups: pl.DataFrame, code: pl.Series) -> pl.DataFrame:
    rows = [
        (
            clique_id([code[o] for o in g["member_nos"]]),
            [code[o] for o in g["member_nos"]],
            g["group_no"],
            g["kind"],
            g["skill"],
            g["honest"],
        )
        for g in groups.filter(pl.col("analysis") == "bid_rigging").iter_rows(named=True)
        if len(g["member_nos"]) > 1
    ]
    return pl.DataFrame(rows, schema=["ring_id", "org_ids", "group_no", "kind", "skill", "honest"], orient="row")


def _persons(groups: pl.DataFrame, population: Population) -> pl.DataFrame:
    """Return the bought experts; a person is named by identity number, as sources deliver it."""
    person, number = population.experts["person_no"], population.persons["id_no"]
    rows = [
        (number[int(person[e])], g["group_no"], g["kind"], g["skill"])
        for g in groups.filter(pl.col("analysis") == "expert_ties").iter_rows(named=True)
        for e in g["expert_nos"][: 3 if g["kind"] == "standing_panel" else 1]
        if g["kind"] != "owner_rep_steering"
    ]
    return pl.DataFrame(rows, schema=["id_no", "group_no", "kind", "skill"], orient="row")
