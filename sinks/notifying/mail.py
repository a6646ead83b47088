"""Alarms by e-mail: one conversation an alarm, each mail named by its transition, so that a repeat is the same mail."""

import asyncio
import ipaddress
import logging
import smtplib
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses, parseaddr
from urllib.parse import unquote, urlsplit

from schemas.clock import Clock
from schemas.settings import Settings
from sinks.notifying.deliveries import Alarm, Notice
from sinks.notifying.messages import LANGUAGES, Words, body, subject
from sinks.notifying.outcomes import ACCEPTED, Failed, Outcome, Refused

log = logging.getLogger(__name__)

TIMEOUT_S = 15.0
SMTP_PORT, SUBMISSION_PORT, SMTPS_PORT = 25, 587, 465
REMEDY = (
    "check BAROMETER_NOTIFY_SMTP_URL, BAROMETER_NOTIFY_MAIL_FROM and BAROMETER_NOTIFY_MAIL_TO;"
    " the mail server's log says more; this mail is not sent again"
)
Connect = Callable[[], smtplib.SMTP]


def message_id(notice_id: str, sender: str) -> str:
    """Return the Message-ID of a notice: the same notice, the same mail."""
    return f"<{notice_id}@{sender.rpartition('@')[2]}>"


def compose(
    notice: Notice, *, sender: str, to: Sequence[str], words: Words, public_url: str, now_ms: int
) -> EmailMessage:
    """Return the mail of a notice (RFC 5322); a later step of an alarm replies to the first.

    `Auto-Submitted` keeps robots from answering (RFC 3834).
    """
    mail = EmailMessage()
    mail["From"] = _address(sender)
    mail["To"] = [_address(one) for one in to]
    mail["Subject"] = f"[{notice.level}] {subject(notice, words)}"
    mail["Date"] = format_datetime(datetime.fromtimestamp(now_ms / 1000, UTC))
    address = parseaddr(sender)[1]
    mail["Message-ID"] = message_id(notice.id, address)
    if notice.reply_to is not None:
        mail["In-Reply-To"] = mail["References"] = message_id(notice.reply_to, address)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(body(notice, words, public_url))
    return mail


def _address(text: str) -> Address:
    name, address = parseaddr(text)
    return Address(display_name=name, addr_spec=address)


def addresses(text: str) -> list[str]:
    """Return the addresses of a list separated by commas, each with its display name."""
    return [f"{name} <{address}>" if name else address for name, address in getaddresses([text]) if address]


def connector(url: str) -> Connect:
    """Return what connects and signs in. STARTTLS is used wherever it is offered, except on this machine.

    A password goes out in the clear to this machine only.
    """
    parts = urlsplit(url)
    host, user, password = parts.hostname or "", unquote(parts.username or ""), unquote(parts.password or "")

    def open_plain() -> smtplib.SMTP:
        return smtplib.SMTP(
            host, parts.port or (SUBMISSION_PORT if user else SMTP_PORT), socket.gethostname(), TIMEOUT_S
        )

    def open_secure() -> smtplib.SMTP:
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(
            host, parts.port or SMTPS_PORT, socket.gethostname(), timeout=TIMEOUT_S, context=context
        )

    def sign_in(smtp: smtplib.SMTP) -> None:
        smtp.ehlo_or_helo_if_needed()
        if parts.scheme == "smtp" and not _loopback(host):
            if smtp.has_extn("starttls"):
                smtp.starttls(context=ssl.create_default_context())
            elif user:
                raise smtplib.SMTPNotSupportedError("no STARTTLS: the password does not go out in the clear")
        if user:
            smtp.login(user, password)

    def connect() -> smtplib.SMTP:
        smtp = open_secure() if parts.scheme == "smtps" else open_plain()
        try:
            sign_in(smtp)
        except BaseException:
            smtp.close()
            raise
        return smtp

    return connect


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def send(connect: Connect, mail: EmailMessage, sender: str, to: Sequence[str]) -> Outcome:
    """Send one mail and return the outcome; blocks. 4yz may go better later, 5yz is a refusal (RFC 5321, 4.2.1).

    A mail that some recipients are refused is accepted: the others have it.
    """
    try:
        smtp = connect()
    except (smtplib.SMTPException, OSError) as error:
        return _failed(error, doubt=False)
    try:
        refused = smtp.send_message(mail, sender, list(to))
    except (smtplib.SMTPException, OSError) as error:
        return _failed(error, doubt=True)
    else:
        if refused:
            codes = sorted({code for code, _ in refused.values()})
            log.error("mail: %d of %d recipients refused, SMTP %s -> %s", len(refused), len(to), codes, REMEDY)
        with suppress(smtplib.SMTPException, OSError):  # the mail is accepted, whatever becomes of the farewell
            smtp.quit()
        return ACCEPTED
    finally:
        smtp.close()


def _failed(error: smtplib.SMTPException | OSError, *, doubt: bool) -> Outcome:
    """Return the outcome of an error. The words of a mail server may repeat addresses: only codes are passed on."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = sorted({code for code, _ in error.recipients.values()})
        detail, final = f"all recipients refused, SMTP {codes}", all(code >= 500 for code in codes)
    elif isinstance(error, smtplib.SMTPResponseException):
        detail, final = f"{type(error).__name__}: SMTP {error.smtp_code}", error.smtp_code >= 500
    elif isinstance(error, smtplib.SMTPNotSupportedError):
        detail, final = f"{type(error).__name__}: {error}", True
    else:
        return Failed(detail=f"{type(error).__name__}: {error}", doubt=doubt)
    # a mail that was answered with a code was not taken
    return Refused(detail=detail, remedy=REMEDY) if final else Failed(detail=detail, doubt=False)


class Mail:
    """Sends each notice to all recipients."""

    name = "mail"
    keep_every_s: float | None = None

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._connect = connector(settings.notify_smtp_url)
        self._sender, self._to = settings.notify_mail_from, addresses(settings.notify_mail_to)
        self._words, self._public_url = LANGUAGES[settings.notify_lang], settings.notify_public_url
        self._clock = clock

    async def tell(self, notice: Notice) -> Outcome:
        """Send one mail, in a thread."""
        mail = compose(
            notice, sender=self._sender, to=self._to, words=self._words, public_url=self._public_url,
            now_ms=self._clock(),
        )  # fmt: skip
        to = [parseaddr(one)[1] for one in self._to]
        return await asyncio.to_thread(send, self._connect, mail, parseaddr(self._sender)[1], to)

    async def keep(self, _standing: Sequence[Alarm]) -> Outcome:
        """Do nothing: what was told stays told."""
        return ACCEPTED

    async def close(self) -> None:
        """Do nothing: each mail has its own connection."""
