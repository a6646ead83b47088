"""Who may decide about alarms over HTTP: a token, or this machine alone; and that a browser was not made to by another site."""

import base64
import hashlib
import hmac
import secrets
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.requests import Request

from producers.refusals import Refusal
from schemas.settings import Settings, is_loopback

COOKIE = "barometer_console"
FIELD = "form_token"
ACTOR = "console"
_SAME = frozenset({"same-origin", "none"})


class Identity(NamedTuple):
    """Who asks; `named` if the client said so itself."""

    name: str
    named: bool


class Access:
    """Checks of one console; the secret of its forms lives as long as the process."""

    def __init__(self, settings: Settings, secret: bytes | None = None) -> None:
        self._token = settings.console_token.encode()
        self._host = settings.console_host
        self._secret = secret or secrets.token_bytes(32)

    def who(self, request: Request) -> Identity:
        """Return who asks: the user name of Basic, else `console`. Raises Refusal 401, or 403 for a foreign host name.

        The token is the password of Basic (or its user name, without a password), or the Bearer token.
        """
        if not self._token:
            name = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
            if not (is_loopback(name) or name == self._host):
                # a name that somebody else's DNS points here would make their page ours
                raise Refusal(
                    403, "foreign_host", f"{name} is not this console's name", "ask 127.0.0.1, or set a token"
                )
            return Identity(ACTOR, named=False)
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        user, token = "", given.strip()
        if kind.lower() == "basic":
            user, token = _basic(token)
        elif kind.lower() != "bearer":
            token = ""
        if not hmac.compare_digest(token.encode(), self._token):
            refusal = Refusal(
                401, "unauthorised", "the token is missing or wrong",
                "send Authorization: Bearer TOKEN, or Basic with your name and the token as password",
            )  # fmt: skip
            refusal.headers["WWW-Authenticate"] = 'Basic realm="barometer", charset="UTF-8"'
            raise refusal
        return Identity(user or ACTOR, named=bool(user))

    def own_page(self, request: Request) -> None:
        """Check that a browser asks from our own page, where it says from which. Raises Refusal 403."""
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        foreign = site is not None and site not in _SAME
        if origin is not None:
            foreign = foreign or urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()
        if foreign:
            raise Refusal(403, "foreign_page", "another site sent this", "use the console's own page")

    def session(self, request: Request) -> str:
        """Return the browser's session, a new one if it has none."""
        return request.cookies.get(COOKIE) or secrets.token_urlsafe(24)

    def form_token(self, session: str) -> str:
        """Return what the forms of a session carry."""
        return hmac.new(self._secret, session.encode(), hashlib.sha256).hexdigest()

    def own_form(self, request: Request, given: str) -> None:
        """Check that a form is ours: of our page, with the token of the browser's session. Raises Refusal 403."""
        self.own_page(request)
        session = request.cookies.get(COOKIE, "")
        if not session or not hmac.compare_digest(given.encode(), self.form_token(session).encode()):
            raise Refusal(
                403, "stale_form", "the form is not of this page as it stands now", "load the page again and repeat"
            )


def _basic(given: str) -> tuple[str, str]:
    """Return user name and token of Basic credentials; a user name alone is the token."""
    try:
        user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return (user, password) if password else ("", user)
