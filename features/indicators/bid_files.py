"""What bids give away of one another: files, texts, people, money and times (analysis 围标串标)."""

import polars as pl

from features.assessment.declare import Measure, NullReason, indicator
from features.assessment.shapes import at_least, ramp
from features.derive.bid_timing import TimingCluster
from features.derive.bid_traces import (
    AddressPair,
    AuthorPair,
    BondPair,
    CommonValuePair,
    CreationIdPair,
    MachinePair,
    MixedPair,
    PeoplePair,
    PricingLockPair,
    TextPair,
    TracePair,
)

RAW = pl.col("raw_value")
FIRED = at_least(RAW, 1.0)
PAGES_MIN = 20
"""Texts with fewer pages are not compared (min_support of SI-015)."""
N_SUBMITTED_MIN = 4
"""Lots with fewer bids have no clusters to speak of (min_support of SI-019)."""


def _yes_no(hit: pl.Expr, known: pl.Expr, *, extras: dict[str, pl.Expr] | None = None) -> Measure:
    """State a yes/no question about two bids: a fact that is found answers it, else both must be known (G14)."""
    return Measure(
        raw_value=hit.cast(pl.Float64),
        support_n=TracePair.n_values.col,
        null_when={NullReason.MISSING_SOURCE: ~hit & ~known},
        triggered=FIRED,
        intensity=RAW,
        evidence=TracePair.evidence.col,
        extras={"lot_id": TracePair.lot_id.col, **(extras or {})},
    )


@indicator("SI-010", reads=MachinePair)
def same_machine(*, hw_min: int) -> Measure:
    """Whether files of two bids of different control groups were made on one computer.

    One machine code is enough; of the hardware attributes several must agree, for single ones repeat by chance or by a
    driver's default. Print shops and the trading centre's own terminals belong on the whitelist.

    Grain: one row per pair of bids of a lot. Unit: 0 or 1.
    Source: 招标投标法实施条例 第40条; OCP red flag R041.
    """
    n_same, n_known = MachinePair.n_hardware_same.col, MachinePair.n_hardware_known.col
    return _yes_no(
        MachinePair.machine_same.col | (n_same >= hw_min),
        MachinePair.machine_known.col | (n_known >= hw_min),
        extras={"machine_same": MachinePair.machine_same.col, "n_hardware_same": n_same},
    )


@indicator("SI-011", reads=CreationIdPair)
def same_creation_id() -> Measure:
    """Whether files of two bids carry one file-creation id, that is, grew out of one file.

    Some tools copy the id from the tender document: such ids belong on the list of excluded ones.

    Grain: one row per pair of bids of a lot. Unit: 0 or 1.
    Source: 招标投标法实施条例 第40条; OCP red flag R041.
    """
    return _yes_no(CommonValuePair.same.col, CommonValuePair.known.col)


@indicator("SI-012", reads=PricingLockPair)
def same_pricing_lock() -> Measure:
    """Whether two bids were priced with one licence (lock) of the pricing software.

    One cost consultant who serves two bidders is itself what the article names. Lock numbers of cracked software belong
    on the list of excluded ones.

    Grain: one row per pair of bids of a lot. Unit: 0 or 1.
    Source: 招标投标法实施条例 第40条; OCP red flag R041.
    """
    return _yes_no(CommonValuePair.same.col, CommonValuePair.known.col)


@indicator("SI-013", reads=AddressPair)
def same_ip() -> Measure:
    """How many of upload, decryption and download two bids did from one network address.

    Like is compared with like; any address of one that is another kind of address of the other counts once. Shared
    gateways, offices and hotels do the same: never sufficient alone.

    Grain: one row per pair of bids of a lot. Unit: kinds of event, 0 to 3.
    Source: 招标投标法实施条例 第40条; OCP red flag R041.
    """
    same = AddressPair.same.col
    return Measure(
        raw_value=pl.max_horizontal(AddressPair.n_types_same.col, same.cast(pl.Int64)),
        support_n=AddressPair.n_values.col,
        null_when={NullReason.MISSING_SOURCE: ~AddressPair.known.col},
        triggered=FIRED,
        intensity=ramp(RAW, 0.0, 2.0),
        evidence=AddressPair.evidence.col,
        extras={"lot_id": AddressPair.lot_id.col},
    )


@indicator("SI-014", reads=AuthorPair)
def common_author_metadata(*, score_min: float) -> Measure:
    """How far the document properties of two bids point to one writer.

    Same author, same last editor, or a company that is the rival (or one third firm) weigh 0.4 each, files created
    within minutes 0.2. Assessable where what both carry could reach the threshold.

    Grain: one row per pair of bids of a lot. Unit: score, 0..1.
    Source: 招标投标法实施条例 第40条; OCP red flag R041.
    """
    score = _author_score(
        AuthorPair.author_same.col,
        AuthorPair.modified_by_same.col,
        AuthorPair.company_same.col,
        AuthorPair.created_together.col,
    )
    reach = _author_score(
        AuthorPair.author_known.col,
        AuthorPair.modified_by_known.col,
        AuthorPair.company_known.col,
        AuthorPair.created_known.col,
    )
    return Measure(
        raw_value=score,
        support_n=AuthorPair.n_values.col,
        null_when={NullReason.MISSING_SOURCE: ~at_least(score, score_min) & ~at_least(reach, score_min)},
        triggered=at_least(RAW, score_min),
        intensity=RAW,
        evidence=AuthorPair.evidence.col,
        extras={
            "lot_id": AuthorPair.lot_id.col,
            "author_same": AuthorPair.author_same.col,
            "modified_by_same": AuthorPair.modified_by_same.col,
            "company_same": AuthorPair.company_same.col,
            "created_together": AuthorPair.created_together.col,
        },
    )


def _author_score(author: pl.Expr, modified_by: pl.Expr, company: pl.Expr, created: pl.Expr) -> pl.Expr:
    weights = (author, 0.4), (modified_by, 0.4), (company, 0.4), (created, 0.2)
    return pl.sum_horizontal(part.cast(pl.Float64) * weight for part, weight in weights).clip(upper_bound=1.0)


@indicator("SI-015", reads=TextPair)
def text_similarity(*, sim_min: float, typo_min: int, image_min: int, passage_min_chars: int) -> Measure:
    """How alike the texts of two bids are, once tender text and standards are taken out.

    A long common passage or many common images raise the value; only the likeness itself and common mistakes fire.
    Standard construction methods are alike everywhere.

    Grain: one row per pair of bids of a lot. Unit: ratio, 0..1.
    Source: 招标投标法实施条例 第40条; OCP red flag R041.
    """
    similarity, typos = TextPair.text_similarity.col, TextPair.shared_typos.col
    raised = (
        typos >= typo_min,
        TextPair.max_common_passage_chars.col >= passage_min_chars,
        TextPair.shared_images.col >= image_min,
    )
    found = (at_least(similarity, sim_min) | (typos >= typo_min)).fill_null(value=False)
    nothing = similarity.is_null() & typos.is_null()
    return Measure(
        raw_value=pl.max_horizontal(similarity, *[one.cast(pl.Float64) for one in raised]),
        support_n=TextPair.pages.col.fill_null(0),
        null_when={
            NullReason.MISSING_SOURCE: ~found & (nothing | ~TextPair.pages_known.col),
            NullReason.TOO_FEW_OBSERVATIONS: TextPair.pages.col < PAGES_MIN,
        },
        triggered=pl.col("found"),
        intensity=ramp(RAW, 0.5, 0.9),
        evidence=TextPair.evidence.col,
        extras={
            "lot_id": TextPair.lot_id.col,
            "found": found,
            "text_similarity": similarity,
            "shared_typos": typos,
            "shared_images": TextPair.shared_images.col,
            "max_common_passage_chars": TextPair.max_common_passage_chars.col,
        },
    )


@indicator("SI-016", reads=MixedPair)
def mixed_documents() -> Measure:
    """Whether a file of one bid carries the name of the other bidder where its own belongs.

    Headers, seals, signatures and commitments count; the body does not, for reference lists may name a rival lawfully.
    Either direction is enough.

    Grain: one row per pair of bids of a lot. Unit: 0 or 1.
    Source: 招标投标法实施条例 第40条; OCP red flag R041.
    """
    return _yes_no(CommonValuePair.same.col, CommonValuePair.known.col)


@indicator("SI-017", reads=PeoplePair)
def same_people() -> Measure:
    """Whether two bids name one person or contact, or one's agent or manager is insured by the other bidder.

    A clerk may mistype a phone number: the officer checks at least two items.

    Grain: one row per pair of bids of a lot. Unit: 0 or 1.
    Source: 招标投标法实施条例 第40条; OCP red flag R044.
    """
    facts = {
        "person_same": PeoplePair.person_same.col,
        "phone_same": PeoplePair.phone_same.col,
        "email_same": PeoplePair.email_same.col,
        "insured_by_rival": PeoplePair.insured_by_rival.col,
    }
    return _yes_no(pl.any_horizontal(*facts.values()), PeoplePair.known.col, extras=facts)


@indicator("SI-018", reads=BondPair)
def bond_same_source() -> Measure:
    """Whether the bonds of two bids came from, or went back to, one purse, or one bidder paid for the other.

    Collection accounts, banks and insurers stand in between and are left out.

    Grain: one row per pair of bids of a lot. Unit: 0 or 1.
    Source: 招标投标法实施条例 第40条; OCP red flag R044.
    """
    return _yes_no(CommonValuePair.same.col, CommonValuePair.known.col)


@indicator("SI-019", reads=TimingCluster)
def timing_cluster(*, g_min: int, raw_min: float) -> Measure:
    """How large a share of a lot's bidders paid bonds or uploaded together, and how often in the same order before.

    Bonds: within minutes at one bank branch, or guarantees of one issuer with consecutive numbers. Uploads: within
    minutes, before the last hours when everybody uploads. One guarantee company often issues batches.

    Grain: one row per lot. Unit: share of the bids, plus 0.1 for each earlier lot, at most 0.5.
    Source: 招标投标法实施条例 第39条; OCP red flag R034.
    """
    n, n_together = (
        TimingCluster.n_submitted.col,
        pl.max_horizontal(TimingCluster.g_bonds.col, TimingCluster.g_uploads.col),
    )
    return Measure(
        raw_value=n_together / n + 0.1 * TimingCluster.n_repeats.col.clip(upper_bound=5),
        support_n=n,
        null_when={
            NullReason.MISSING_SOURCE: ~TimingCluster.bids_complete.col
            | (TimingCluster.n_timed.col < pl.min_horizontal(pl.lit(g_min), n)),
            NullReason.TOO_FEW_OBSERVATIONS: TimingCluster.short_history.col | (n < N_SUBMITTED_MIN),
        },
        triggered=(pl.col("n_together") >= g_min) & at_least(RAW, raw_min),
        intensity=ramp(RAW, 0.4, 1.0),
        evidence=TimingCluster.evidence.col,
        extras={
            "n_together": n_together,
            "g_bonds": TimingCluster.g_bonds.col,
            "g_uploads": TimingCluster.g_uploads.col,
            "n_repeats": TimingCluster.n_repeats.col,
        },
    )
