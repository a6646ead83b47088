"""HTML in which a plain string is always text: only what this module made passes as markup."""

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"meta", "br", "line", "circle", "rect"})


class Html(str):
    """Finished markup."""

    __slots__ = ()


Child = str | Iterable[str]


def tag(name: str, /, *children: Child, **attributes: object) -> Html:
    """Return an element; strings that are no Html are escaped, attributes too (`class_` is class, `aria_label` aria-label)."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{given}>" if name in {"meta", "br"} else f"<{name}{given}/>")
    return Html(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*children: Child) -> Html:
    """Return children one after the other, text escaped."""
    return Html("".join(_markup(one) for one in children))


def _markup(child: Child) -> str:
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return escape(child, quote=True)
    return joined(*child)
