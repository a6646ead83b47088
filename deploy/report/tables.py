"""Tables of the report."""

from collections.abc import Sequence

from deploy.report.markup import Html, tag


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: set[int], caption: str = "") -> Html:
    """Return a table; a cell that is a `th` element already stays one, columns in `numeric` are aligned to the right."""

    def cell(at: int, value: str) -> Html:
        if isinstance(value, Html) and value.startswith("<th"):
            return value
        return tag("td", value, class_="num" if at in numeric else None)

    heads = [
        tag("th", one, scope="col", class_="num" if at in numeric else None) if one else tag("td", "")
        for at, one in enumerate(head)
    ]
    body = [tag("tr", [cell(at, value) for at, value in enumerate(row)]) for row in rows]
    own = tag(
        "table",
        tag("caption", caption) if caption else (),
        tag("thead", tag("tr", heads)),
        tag("tbody", body),
    )
    return tag("div", own, class_="scroll")
