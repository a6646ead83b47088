"""What of a customer's text may stand in a report: shortened, on one line, without addresses and long numbers."""

import re
import unicodedata

LONGEST = 400
_READ = 4_000
_ADDRESS = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_NUMBER = re.compile(r"\+?\d(?:[\s./()-]?\d){6,}")


def shown_text(text: str) -> str:
    """Return the text for readers: control and direction characters gone, e-mail addresses and numbers of 7 digits on hidden."""
    kept = "".join(
        " " if unicodedata.category(one) in {"Cc", "Zl", "Zp"} else one
        for one in text[:_READ]
        if unicodedata.category(one) != "Cf"
    )
    plain = _NUMBER.sub("[…]", _ADDRESS.sub("[@]", " ".join(kept.split())))
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1].rstrip() + "…"
