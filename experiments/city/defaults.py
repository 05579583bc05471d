"""Every number the city was given beforehand, in one place: fixed before any detector was tuned.

Shares of misbehaviour are assumptions, not estimates: nobody knows them. The order of magnitude follows convicted and
audited cases (OECD, Fighting Bid Rigging, 2009; 审计署 reports on tendering name single-digit shares of projects).
"""

from dataclasses import dataclass

TOUCHED = 0.08
"""Share of lots (or of works without a lot) on which somebody misbehaves."""
SKILLS = (("clumsy", 1 / 3), ("practised", 1 / 3), ("careful", 1 / 3))
LOOK_ALIKE = 0.10
"""Share of lots that are honest and look like misbehaviour."""

PROJECT_TYPES = (("tender", 0.60), ("procurement", 0.30), ("emergency", 0.10))
WARD_PROJECTS = 2058
"""Projects of one market. A larger city is several such markets side by side: no firm's market grows with it."""
BLOCK_PROJECTS = 500


@dataclass(frozen=True)
class Kind:
    """One way to misbehave: its analysis, its weight among all ways, the types of project it lives on."""

    analysis: str
    weight: float
    types: tuple[str, ...]
    members: int = 0  # further firms that the group needs
    quota: int = 9  # lots that one group touches in three years, about
    gain: float = 0.05  # money gained, as a share of the award


TENDER, BOUGHT, URGENT = ("tender",), ("procurement",), ("emergency",)

SCHEMES: dict[str, Kind] = {
    "tailored_terms": Kind("tenderer_repeat_winner", 5, ("tender", "procurement"), gain=0.06),
    "leaked_price": Kind("tenderer_repeat_winner", 4, TENDER, gain=0.03),
    "captive_invitation": Kind("tenderer_repeat_winner", 4, ("tender", "procurement"), members=3, gain=0.07),
    "single_source_stretch": Kind("tenderer_repeat_winner", 3, BOUGHT, gain=0.10),
    "rotating_ring": Kind("bid_rigging", 14, TENDER, members=5, quota=14, gain=0.06),
    "one_hand": Kind("bid_rigging", 12, TENDER, members=5, quota=12, gain=0.05),
    "benchmark_ring": Kind("bid_rigging", 9, TENDER, members=7, quota=12, gain=0.04),
    "cover_for_hire": Kind("bid_rigging", 6, ("tender", "procurement"), members=3, quota=12, gain=0.05),
    "territory_ring": Kind("bid_rigging", 7, TENDER, members=4, quota=12, gain=0.06),
    "bought_withdrawal": Kind("bid_rigging", 4, TENDER, members=2, gain=0.03),
    "licence_lending": Kind("winner_vs_builder", 7, TENDER, gain=0.03),
    "works_transfer": Kind("winner_vs_builder", 5, TENDER, gain=0.04),
    "illegal_subcontract": Kind("winner_vs_builder", 4, TENDER, gain=0.03),
    "pay_ahead": Kind("payment_anomaly", 3, TENDER, gain=0.02),
    "low_award_high_final": Kind("payment_anomaly", 4, TENDER, gain=0.15),
    "over_measurement": Kind("payment_anomaly", 3, TENDER, gain=0.06),
    "unbalanced_bid": Kind("payment_anomaly", 3, TENDER, gain=0.05),
    "wage_diversion": Kind("payment_anomaly", 2, TENDER, gain=0.03),
    "payment_kickback": Kind("payment_anomaly", 2, ("tender", "procurement"), gain=0.02),
    "settlement_collusion": Kind("payment_anomaly", 2, TENDER, gain=0.06),
    "captive_agency": Kind("agency_ties", 4, TENDER, gain=0.04),
    "agency_leak": Kind("agency_ties", 3, TENDER, gain=0.03),
    "rival_disqualification": Kind("agency_ties", 3, ("tender", "procurement"), gain=0.05),
    "captive_expert": Kind("expert_ties", 3, ("tender", "procurement"), gain=0.04),
    "standing_panel": Kind("expert_ties", 2, ("tender", "procurement"), gain=0.04),
    "conflicted_expert": Kind("expert_ties", 2, ("tender", "procurement"), gain=0.03),
    "owner_rep_steering": Kind("expert_ties", 2, ("tender", "procurement"), gain=0.04),
    "split_works": Kind("lot_splitting", 2, TENDER, members=1, gain=0.08),
    "split_orders": Kind("lot_splitting", 1.5, BOUGHT, members=1, gain=0.08),
    "emergency_abuse": Kind("lot_splitting", 4, URGENT, quota=5, gain=0.12),
    "direct_then_grow": Kind("lot_splitting", 2, TENDER, gain=0.10),
    "dismembered_works": Kind("lot_splitting", 1, TENDER, members=2, gain=0.03),
    "provisional_evasion": Kind("lot_splitting", 2, TENDER, gain=0.06),
}

LOOK_ALIKES: dict[str, Kind] = {
    "repeat_winner": Kind("tenderer_repeat_winner", 5, ("tender", "procurement"), gain=0),
    "genuine_single_source": Kind("tenderer_repeat_winner", 3, BOUGHT, gain=0),
    "small_county": Kind("tenderer_repeat_winner", 5, TENDER, gain=0),
    "benchmark_bunching": Kind("bid_rigging", 5, TENDER, gain=0),
    "family_firms": Kind("bid_rigging", 4, TENDER, members=2, gain=0),
    "sister_firms": Kind("bid_rigging", 3, TENDER, members=1, gain=0),
    "joint_venture": Kind("bid_rigging", 4, TENDER, members=2, gain=0),
    "print_shop": Kind("bid_rigging", 4, ("tender", "procurement"), gain=0),
    "shared_terminal": Kind("bid_rigging", 3, ("tender", "procurement"), gain=0),
    "labour_heavy": Kind("winner_vs_builder", 3, TENDER, gain=0),
    "local_branch": Kind("winner_vs_builder", 3, TENDER, gain=0),
    "illness_replacement": Kind("winner_vs_builder", 3, TENDER, gain=0),
    "geology_changes": Kind("payment_anomaly", 3, TENDER, gain=0),
    "price_rise": Kind("payment_anomaly", 2, TENDER, gain=0),
    "year_end_settling": Kind("payment_anomaly", 3, TENDER, gain=0),
    "steel_advance": Kind("payment_anomaly", 2, TENDER, gain=0),
    "steep_discount": Kind("payment_anomaly", 3, TENDER, gain=0),
    "dominant_agency": Kind("agency_ties", 4, ("tender", "procurement"), gain=0),
    "neighbour_agency": Kind("agency_ties", 2, TENDER, gain=0),
    "rare_specialty": Kind("expert_ties", 4, ("tender", "procurement"), gain=0),
    "strict_expert": Kind("expert_ties", 3, ("tender", "procurement"), gain=0),
    "genuine_emergency": Kind("lot_splitting", 8, URGENT, gain=0),
    "small_nature": Kind("lot_splitting", 2, TENDER, gain=0),
}

TOUCHED_PROJECTS = 0.093
"""Chance that a project is touched, so that TOUCHED of the lots are (a scheme covers part of its lots); measured."""
ALIKE_PROJECTS = 0.12
"""The same for LOOK_ALIKE."""

CONCERN_SHARES = (
    (("building", "municipal", "highway", "water", "landscape", "mep"), 0.16),
    (("equipment", "office", "medical"), 0.08),
    (("property", "software", "consulting"), 0.08),
    (("design", "survey"), 0.08),
    (("supervision",), 0.08),
    (("agency", "cost"), 0.08),
)
"""Share of the firms of some trades that belong to a corporate group, about; their groups keep to these trades."""
CONCERN_SIZES = ((2, 0.55), (3, 0.28), (4, 0.09), (5, 0.04), (6, 0.02), (7, 0.01), (8, 0.01))
"""Firms of a private corporate group; those of the state have 3 to 8."""
HANDED_OVER = 0.12
"""Share of the held firms of private groups that are bought or sold in the three years."""
JOINT_FIRMS = 0.015
"""Share of contractors that belong to two others, neither with more than a half."""

# The law's amounts, CNY. 必须招标的工程项目规定 (2018) art. 5.
LIMIT_WORKS, LIMIT_GOODS = 4_000_000.0, 2_000_000.0

# Label feedback as a city has it.
LABELLED_TOUCHED = 0.04
"""Share of touched lots that anybody ever finds out about, clumsy ones first."""
LABEL_ODDS = {"clumsy": 6.0, "practised": 2.5, "careful": 0.5}
CLEARED_SHARE = 0.5
"""Cleared cases (honest lots that were looked into), as a share of the confirmed ones."""
