"""The words that a customer wrote in a mail: from text or HTML, without quoted mail and signature.

Losing a customer's words is worse than keeping a line too many: where the two conflict, text is kept.
"""

import re
from email.message import EmailMessage, MIMEPart

from mailparser_reply import EmailMessage as ParsedText  # type: ignore[import-untyped]
from selectolax.lexbor import LexborHTMLParser

from schemas.errors import InvalidEventError

MAX_CHARS = 100_000
PARSED_CHARS = 6_000
"""What stands further below is kept as it is: the parser's expressions take quadratic time."""
SIGNATURE_LINE_MAX_CHARS = 40
_QUOTES = (
    "blockquote, .gmail_quote, .gmail_quote_container, #divRplyFwdMsg, #appendonsend, .yahoo_quoted, .moz-cite-prefix"
)
_INVISIBLE = "script, style, head, title, template"
_BLOCKS = "p, div, br, tr, li, h1, h2, h3, h4, h5, h6, table, ul, ol"
_C1 = {code: bytes([code]).decode("cp1252", "replace") for code in range(0x80, 0xA0)}
_INDENT = re.compile(r"[ \t\u00a0]+")
_BLANKS = re.compile(r"\n{3,}")
# An attribution that the mail client wrapped: the parser knows it on one line only.
_WRAPPED = re.compile(r"^((?:Le|On)\s[^\n]{4,200})\n([^\n]{0,200}?(?:a\s[ée]crit|wrote)\s?:)[ \t]*$", re.MULTILINE)
_SEPARATOR = re.compile(
    r"^[ \t]*(?:-{2,}[ \t]*(?:Message d['\u2019]origine|Message original|Original Message|Forwarded message|Message transf[ée]r[ée])"
    r"[ \t]*-{2,}|_{20,})[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_ATTRIBUTION = re.compile(r"^(?:> ?)*(?:Le|On)\s[^\n]*(?:a\s[ée]crit|wrote)\s?:[ \t]*$", re.MULTILINE)
_PHONE_LINE = re.compile(
    r"^(?:Envoy[ée] (?:de|depuis|\u00e0 partir de) [^\n]{1,60}|Sent from [^\n]{1,60}|T[ée]l[ée]charg[^\n]{0,20} Outlook[^\n]{0,40}"
    r"|Obtenir Outlook pour [^\n]{1,40}|Get Outlook for [^\n]{1,40})$",
    re.MULTILINE | re.IGNORECASE,
)


def reply_text(message: EmailMessage) -> str:
    """Return what the sender wrote, perhaps "". Raises InvalidEventError for what cannot be read."""
    part = message.get_body(("plain",))
    text = _decoded(part) if part is not None else ""
    if not text.strip():
        part = message.get_body(("html",))
        text = html_text(_decoded(part)) if part is not None else text
    if len(text) > MAX_CHARS:
        raise InvalidEventError("too_large", "text", f"the mail's text has {len(text)} characters; at most {MAX_CHARS}")
    return without_quotes(text)


def _decoded(part: MIMEPart) -> str:
    """Return the text of a part, whatever its charset claims."""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    for charset in (part.get_content_charset(), "utf-8", "cp1252"):
        try:
            return mended(payload.decode(charset or "utf-8"))
        except (LookupError, UnicodeDecodeError):
            continue
    return mended(payload.decode("latin-1"))


def mended(text: str) -> str:
    """Return text with Windows characters that were labelled as ISO-8859-1 put right, and plain line ends."""
    return text.translate(_C1).replace("\r\n", "\n").replace("\r", "\n")


def html_text(html: str) -> str:
    """Return the visible text of HTML without what it quotes."""
    tree = LexborHTMLParser(html)
    for node in tree.css(f"{_INVISIBLE}, {_QUOTES}"):
        node.decompose()
    for node in tree.css(_BLOCKS):
        node.insert_before("\n")
        node.insert_after("\n")
    text = tree.body.text() if tree.body is not None else ""
    lines = (_INDENT.sub(" ", line).strip() for line in text.split("\n"))
    return _BLANKS.sub("\n\n", "\n".join(lines)).strip()


def without_quotes(text: str) -> str:
    """Return a mail's text without quoted mail and signature."""
    text = _BLANKS.sub("\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip()
    head, tail = text[:PARSED_CHARS], text[PARSED_CHARS:]
    head = _WRAPPED.sub(r"\1 \2", head)
    separator = _SEPARATOR.search(head)
    if separator:
        head, tail = head[: separator.start()], ""
    if _ATTRIBUTION.match(head):
        # nothing stands above the quoted mail: the answers stand between its lines
        return _PHONE_LINE.sub("", _unquoted(_ATTRIBUTION.sub("", head)) + tail).strip()
    replies = ParsedText(text=head, languages=["fr", "en"], keep_hyphen_lists=True).read().replies
    first = replies[0]
    body = first.body if len(_first_line(first.signatures)) <= SIGNATURE_LINE_MAX_CHARS else first.full_body
    if len(replies) > 1:
        tail = ""
    return _BLANKS.sub("\n\n", _PHONE_LINE.sub("", _unquoted(body)) + tail).strip()


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _unquoted(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if not line.lstrip().startswith(">")).strip()
