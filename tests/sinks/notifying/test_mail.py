"""E-mail over a real SMTP connection: one mail a notice, one conversation an alarm, and every answer understood."""

import asyncio
import email
import email.policy
from email.message import EmailMessage

import pytest

from schemas.settings import Settings
from sinks.notifying.deliveries import Notice
from sinks.notifying.mail import Mail, addresses, connector
from sinks.notifying.outcomes import ACCEPTED, Failed, Outcome, Refused
from tests.sinks.notifying.conftest import T0, SmtpReceiver, step

FROM, TO = "Baromètre <barometer@shop.example>", "duty@shop.example, Léa <lea@shop.example>"


def notice(**more: object) -> Notice:
    one = step(change_pane=T0 - 600_000, occurred_first=T0 - 900_000, occurred_last=T0)
    fields = {
        "id": one.transition_id,
        "digest": False,
        "level": "page",
        "transitions": (one,),
        "changes": (),
        "reply_to": None,
    }
    return Notice(**{**fields, **more})


def tell(port: int, *notices: Notice, lang: str = "en", url: str = "") -> list[Outcome]:
    settings = Settings(
        notify_smtp_url=url or f"smtp://127.0.0.1:{port}", notify_mail_from=FROM, notify_mail_to=TO, notify_lang=lang,
        notify_public_url="https://b.example",
    )  # fmt: skip

    async def all_of_them() -> list[Outcome]:
        receiver = Mail(settings, lambda: T0)
        return [await receiver.tell(one) for one in notices]

    return asyncio.run(all_of_them())


def parsed(content: bytes) -> EmailMessage:
    return email.message_from_bytes(content, _class=EmailMessage, policy=email.policy.default)


def test_a_mail_names_its_transition_and_a_later_one_replies_to_the_first(smtp_receiver: SmtpReceiver) -> None:
    first, second = step(), step(sequence=2, state="resolved")
    outcomes = tell(
        smtp_receiver.port,
        notice(),
        notice(id=second.transition_id, level="info", transitions=(second,), reply_to=first.transition_id),
    )
    assert outcomes == [ACCEPTED, ACCEPTED]
    (sender, to, opened), (_, _, over) = smtp_receiver.mails
    assert (sender, to) == ("barometer@shop.example", ["duty@shop.example", "lea@shop.example"])
    one, reply = parsed(opened), parsed(over)
    assert one["Message-ID"] == f"<{first.transition_id}@shop.example>"
    assert one["In-Reply-To"] is None
    assert reply["In-Reply-To"] == reply["References"] == one["Message-ID"]
    assert one["Subject"] == "[page] Alarm open: satisfaction_drop, csat, paris"
    assert reply["Subject"] == "[info] Alarm resolved: satisfaction_drop, csat, paris"
    assert one["Auto-Submitted"] == "auto-generated"
    assert one["To"].addresses[1].display_name == "Léa"
    assert one["From"].addresses[0].display_name == "Baromètre"


def test_a_mail_says_counts_shares_and_times_in_english(smtp_receiver: SmtpReceiver) -> None:
    tell(smtp_receiver.port, notice())
    text = parsed(smtp_receiver.mails[0][2]).get_content()
    assert text.splitlines() == [
        "Metric: csat",
        "Where: touchpoint paris",
        "Direction: down",
        "Counted: 120, of which bad: 54 (45.0 %)",
        "Usual share of bad ones, at most: 18.0 %",
        "Share worth an alarm: 25.0 %",
        "Began about: 2026-09-21 14:03 UTC",
        "Occurred from 2026-09-21 13:58 UTC to 2026-09-21 14:13 UTC",
        "Decided: 2026-09-21 14:13 UTC",
        f"Alarm: {'a' * 32}",
        f"More: https://b.example/alarms/{'a' * 32}",
    ]


def test_a_mail_says_the_same_in_french(smtp_receiver: SmtpReceiver) -> None:
    tell(smtp_receiver.port, notice(), lang="fr")
    mail = parsed(smtp_receiver.mails[0][2])
    assert mail["Subject"] == "[page] Alarme ouverte : satisfaction_drop, csat, paris"
    lines = mail.get_content().splitlines()
    assert "Comptées : 120, dont mauvaises : 54 (45,0 %)" in lines
    assert "Décidée : 21/09/2026 14:13 UTC" in lines


def test_a_digest_lists_fifty_and_counts_the_rest(smtp_receiver: SmtpReceiver) -> None:
    many = tuple(step(f"{i:032x}", key=f"shop{i}") for i in range(60))
    tell(smtp_receiver.port, notice(id="d", digest=True, level="info", transitions=many))
    mail = parsed(smtp_receiver.mails[0][2])
    assert mail["Subject"] == "[info] Alarms told late: 60"
    text = mail.get_content()
    assert ("shop49" in text, "shop50" in text, "and 10 more" in text) == (True, False, True)


def test_a_key_with_line_breaks_cannot_add_a_header(smtp_receiver: SmtpReceiver) -> None:
    bad = step(key="paris\r\nBcc: all@shop.example\x00", state="open\nX: y")
    assert tell(smtp_receiver.port, notice(transitions=(bad,))) == [ACCEPTED]
    mail = parsed(smtp_receiver.mails[0][2])
    assert (mail["Bcc"], mail["X"]) == (None, None)
    assert "paris Bcc: all@shop.example" in mail["Subject"]


def test_a_mail_that_one_recipient_is_refused_goes_to_the_other(smtp_receiver: SmtpReceiver) -> None:
    smtp_receiver.recipients = ["550 nobody"]
    assert tell(smtp_receiver.port, notice()) == [ACCEPTED]
    assert smtp_receiver.mails[0][1] == ["lea@shop.example"]


@pytest.mark.parametrize(
    ("recipients", "ends", "kind", "doubt"),
    [
        (("550 a", "550 b"), (), Refused, None),
        (("450 a", "550 b"), (), Failed, False),
        ((), ("451 later",), Failed, False),
        ((), ("554 never",), Refused, None),
        ((), ("drop",), Failed, True),
    ],
    ids=["all_refused", "one_later", "data_later", "data_never", "lost"],
)
def test_answers_of_a_mail_server(
    smtp_receiver: SmtpReceiver, recipients: tuple[str, ...], ends: tuple[str, ...], kind: type, doubt: bool | None
) -> None:
    smtp_receiver.recipients, smtp_receiver.ends = list(recipients), list(ends)
    (outcome,) = tell(smtp_receiver.port, notice())
    assert isinstance(outcome, kind)
    assert getattr(outcome, "doubt", None) == doubt
    assert "shop.example" not in outcome.detail
    assert smtp_receiver.mails == []


def test_a_closed_port_is_tried_again_without_doubt() -> None:
    gone = SmtpReceiver()
    gone.close()
    (outcome,) = tell(gone.port, notice())
    assert isinstance(outcome, Failed)
    assert not outcome.doubt


def test_a_password_never_goes_out_in_the_clear_over_a_network(
    smtp_receiver: SmtpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.notifying.mail._loopback", lambda _host: False)
    (outcome,) = tell(0, notice(), url=f"smtp://user:s3cret@127.0.0.1:{smtp_receiver.port}")
    assert isinstance(outcome, Refused)
    assert "STARTTLS" in outcome.detail
    assert "s3cret" not in repr(outcome)


def test_addresses_keep_their_names() -> None:
    assert addresses(TO) == ["duty@shop.example", "Léa <lea@shop.example>"]
    assert callable(connector("smtps://user:p%40ss@mail.example"))
