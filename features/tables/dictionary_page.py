"""The data dictionary as one page that stands alone: no request to anywhere, the same bytes from the same contract."""

from html import escape
from importlib.resources import files
from itertools import groupby
from string import Template

from features.tables.columns import Table
from features.tables.contract import ALL_TABLES, carried
from features.tables.listing import Row, column_rows, table_rows, words

GROUPS_ZH = {
    "reference and administration": "基础与管理",
    "project and approvals": "项目与审批",
    "tendering and procurement": "招标采购",
    "organisations and people": "单位与人员",
    "contract and construction": "合同与施工",
    "money": "资金",
    "site": "施工现场",
    "procurement and emergency": "政府采购与抢险救灾",
    "completion": "竣工验收与结算",
    "complaints and credit": "投诉与信用",
    "supervision results and index": "监管结果与冒烟指数",
    "warning and disposition": "预警与处置",
}
CLASSES_ZH = {"personal": "个人信息", "sensitive": "敏感"}
COLUMNS = (
    *("字段 Column", "类型 Type", "必填 Required", "键与引用 Key", "来源 Source", "取值与说明 Values, notes"),
    "字段可知 Known from",
)


def dictionary_page() -> str:
    """Return the page: an index by subject group, the sources, and every table with all its columns."""
    rows = table_rows()
    groups = [(group, list(members)) for group, members in groupby(rows, key=lambda row: str(row["group"]))]
    template = Template((files("features.tables") / "model" / "dictionary.html").read_text(encoding="utf-8"))
    return template.substitute(
        index="\n".join(_index(group, members) for group, members in groups),
        n_tables=len(rows),
        n_columns=sum(int(row["columns"]) for row in rows),
        sources="\n".join(
            f"<li><code>{row['code']}</code> {escape(row['label_zh'])} "
            f'<span class="soft">{escape(row["description_en"])}</span></li>'
            for row in carried("sources.csv")
        ),
        tables="\n".join(_group(group, members) for group, members in groups),
    )


def _index(group: str, members: list[Row]) -> str:
    items = "\n".join(
        f'<li data-table="{row["table"]}"><a href="#{row["table"]}">{escape(str(row["label_zh"]))}</a>'
        f'<span class="code">{row["table"]}</span></li>'
        for row in members
    )
    return f"<h2>{GROUPS_ZH[group]} {escape(group)}</h2>\n<ul>\n{items}\n</ul>"


def _group(group: str, members: list[Row]) -> str:
    heading = f'<h2 class="group">{GROUPS_ZH[group]} <small>{escape(group)}</small></h2>'
    return "\n".join([heading, *(_table(row) for row in members)])


def _table(row: Row) -> str:
    table = ALL_TABLES[str(row["table"])]
    facts = [f"来源 {row['sources']}", f"存储 {row['store']}", f"{row['columns']} 个字段"]
    if row["event"]:
        facts.append(f"事件 <code>{escape(str(row['event']))}</code>")
        if row["known_from"] != row["event"]:
            facts.append(f"行可知 <code>{escape(str(row['known_from']))}</code>")
        facts += ["无日期的行视为已知 undated rows count"] if table.UNDATED_IS_PAST else []
    heads = "".join(f"<th>{head}</th>" for head in COLUMNS)
    lines = "\n".join(_column(table, one) for one in column_rows(table))
    found = escape(f"{table.NAME} {table.LABEL_ZH}".lower())
    return f"""<section class="table" id="{table.NAME}" data-find="{found}">
<h3>{escape(table.LABEL_ZH)} <span class="code">{table.NAME}</span></h3>
<p class="facts">{escape(table.DESCRIPTION)}</p>
<p class="facts">{"".join(f"<span>{fact}</span>" for fact in facts)}</p>
<div class="scroll"><table>
<thead><tr>{heads}</tr></thead>
<tbody>
{lines}
</tbody>
</table></div>
</section>"""


def _column(table: type[Table], row: Row) -> str:
    name = str(row["column"])
    said = {key: escape(str(value)) for key, value in row.items()}
    key = f"<b>{said['key']}</b> " if said["key"] in ("PK", "UK") else ""
    parent = said["references"].split(".")[0]
    if said["references"]:
        key += f'→ <a class="code" href="#{parent}">{said["references"]}</a>'
    personal = said["personal_data_class"]
    tag = f' <span class="tag {personal}">{CLASSES_ZH[personal]}</span>' if personal in CLASSES_ZH else ""
    chips = "".join(
        f'<span class="word">{escape(word)} <span class="code">{value}</span></span>'
        for value, word in words(table, name).items()
    )
    bounds = f'<span class="soft">{said["bounds"]}</span>' if said["bounds"] else ""
    notes = "<br>".join(part for part in (chips, said["description"], bounds) if part)
    known = f'<span class="code">{said["known_from"].replace(" | ", " |<br>")}</span>' if said["known_from"] else ""
    unit = f' <span class="unit">{said["unit"]}</span>' if said["unit"] else ""
    label = f'<span class="zh">{said["label_zh"]}{tag}</span>'
    cells = (
        f'<td class="name">{label}<span class="code">{name}</span></td>',
        f'<td class="kind">{said["type"]}{unit}</td>',
        f'<td class="null">{"是" if said["nullable"] == "no" else ""}</td>',
        f"<td>{key}</td>",
        f'<td class="source">{said["source_system"]}</td>',
        f"<td>{notes}</td>",
        f"<td>{known}</td>",
    )
    found = escape(f"{name} {row['label_zh']}".lower())
    return f'<tr id="{table.NAME}.{name}" data-find="{found}">{"".join(cells)}</tr>'
