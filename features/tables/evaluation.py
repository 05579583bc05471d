"""Tendering and procurement: experts, committees and their scores."""

from features.tables.columns import Table, day, enum, flag, integer, json, moment, number, text


class Expert(Table):
    """One evaluation expert of the provincial pool."""

    NAME = "expert"
    EVENT = "entered_at"
    UNDATED_IS_PAST = True

    expert_id = text("专家编号", "S01+S06", key=True)
    person_id = text("人员", "S01+S06", references="person.person_id", personal="personal")
    specialty_codes = json("专业类别", "S01+S06", nullable=True)
    employer_org_id = text("工作单位", "S01+S06", references="organisation.org_id", personal="personal", nullable=True)
    entered_at = day("入库日期", "S01+S06", nullable=True)
    status = enum("状态", "S01+S06", ["active", "suspended", "removed"])


class CommitteeDraw(Table):
    """One seat of one evaluation committee: how it was filled and who sat."""

    NAME = "committee_draw"
    EVENT = "drawn_at"

    draw_id = text("抽取编号", "S01+S06", key=True)
    tender_id = text("招标活动", "S01+S06", references="tender.tender_id")
    person_id = text("成员", "S01+S06", references="person.person_id", personal="personal")
    expert_id = text("专家", "S01+S06", references="expert.expert_id", nullable=True)
    member_role = enum("成员身份", "S01+S06", ["expert", "owner_rep"])
    draw_method = enum("产生方式", "S01+S06", ["random", "direct_designation", "owner_appointed"])
    drawn_at = moment("抽取时间", "S01+S06", nullable=True)
    pool_size = integer("符合条件人数", "S01+S06", unit="person", high=1_000_000, nullable=True)
    avoided_org_ids = json("回避单位", "S01+S06", nullable=True)
    response = enum("应答", "S01+S06", ["accepted", "declined", "no_answer"], nullable=True)
    attended = flag(
        "是否到场",
        "S01+S06",
        known_from="tender_id.evaluation_start_at | tender_id.opening_at | drawn_at",
        nullable=True,
    )
    is_chair = flag(
        "是否主任",
        "S01+S06",
        known_from="tender_id.evaluation_start_at | tender_id.opening_at | drawn_at",
        nullable=True,
    )
    replaced_by_draw_id = text(
        "替换为",
        "S01+S06",
        references="committee_draw.draw_id",
        known_from="replaced_by_draw_id.drawn_at",
        nullable=True,
    )
    replace_reason = text("替换原因", "S01+S06", known_from="replaced_by_draw_id.drawn_at", nullable=True)


class EvaluationScore(Table):
    """One score by one member for one bid and one factor."""

    NAME = "evaluation_score"
    EVENT = "scored_at | tender_id.evaluation_end_at | tender_id.opening_at"

    score_id = text("打分编号", "S01+S06", key=True)
    tender_id = text("招标活动", "S01+S06", references="tender.tender_id")
    lot_id = text("标段", "S01+S06", references="lot.lot_id")
    bid_id = text("投标", "S01+S06", references="bid.bid_id")
    draw_id = text("成员席位", "S01+S06", references="committee_draw.draw_id")
    factor_code = text("评分因素", "S01+S06")
    is_subjective = flag("是否主观分", "S01+S06")
    max_score = number("满分", "S01+S06", unit="point", low=0, high=1000)
    score = number("得分", "S01+S06", unit="point", low=0, high=1000)
    revised_from = number(
        "修改前得分",
        "S01+S06",
        unit="point",
        low=0,
        high=1000,
        known_from="tender_id.evaluation_end_at | scored_at",
        nullable=True,
    )
    scored_at = moment("打分时间", "S01+S06", nullable=True)
