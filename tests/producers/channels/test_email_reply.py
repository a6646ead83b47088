"""Mails: the customer's words and nothing else, one event each, and a reason for every mail that is none."""

from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.channels.email_reply import parse
from producers.channels.email_text import html_text, without_quotes
from producers.pseudonyms import pseudonyms_of
from schemas.catalogue import load
from schemas.errors import InvalidEventError
from schemas.event import FeedbackEvent, natural_id

NOW = 1_790_000_000_000
PSEUDONYMS = pseudonyms_of("only for tests, 0123456789", "FR")
CATALOGUE = load()


def read(raw: bytes | EmailMessage) -> FeedbackEvent:
    content = raw if isinstance(raw, bytes) else raw.as_bytes()
    return parse(content, received_at=NOW, pseudonyms=PSEUDONYMS, catalogue=CATALOGUE)


def mail(text: str = "Très bien reçu.", **headers: str) -> EmailMessage:
    message = EmailMessage()
    defaults = {"From": "Anne Dupont <Anne@Example.fr>", "To": "avis@boutique.example", "Date": "Mon, 21 Sep 2026 10:00:00 +0200",
                "Message-ID": "<m1@example.fr>", "Subject": "Re: votre avis"}  # fmt: skip
    for name, value in (defaults | {name.replace("_", "-"): value for name, value in headers.items()}).items():
        if value:
            message[name] = value
    message.set_content(text)
    return message


LABELLED = [
    ("Bonjour,\nTrès content.\n\nLe lun. 2 nov. 2026 à 10:12, Boutique <a@b.fr> a écrit :\n> Votre avis ?\n", "Bonjour,\nTrès content."),
    ("Déçu.\n\nLe lun. 2 nov. 2026 à 10:12, La Boutique de Paris Rivoli\n<avis@b.example> a écrit :\n\n> Votre avis ?\n", "Déçu."),
    ("Tout va bien.\n\nDe : B <a@b.fr>\nEnvoyé : lundi 2 novembre 2026 10:12\nÀ : Jean\nObjet : Avis\n\nBonjour", "Tout va bien."),
    ("Tout va bien.\n\nCordialement,\nJean Dupont\n", "Tout va bien."),
    ("Merci pour l'accueil.\n-- \nJean Dupont\n06 12 34 56 78\n", "Merci pour l'accueil."),
    ("Le 2 nov. 2026 à 10:12, B a écrit :\n> L'accueil ?\nTrès bien.\n> L'attente ?\nLongue.\n\nEnvoyé de mon iPhone", "Très bien.\nLongue."),
    ("En retard.\n\n-----Message d'origine-----\nDe : Boutique\nBonjour\n", "En retard."),
    ("Je suis venu avec ma valise.\nDe : la gare\nc'est loin.\n", "Je suis venu avec ma valise.\nDe : la gare\nc'est loin."),
    ("Trois remarques :\n- accueil froid\n- prix\n- parking", "Trois remarques :\n- accueil froid\n- prix\n- parking"),
    ("Bonjour\nBonne journée gâchée par votre service qui ne répond jamais.\nAdieu.", "Bonjour\nBonne journée gâchée par votre service qui ne répond jamais.\nAdieu."),
    ("OK merci\n\nEnvoyé depuis mon téléphone Orange\n", "OK merci"),
    ("Great service!\n\nOn Mon, Nov 2, 2026 at 10:12 AM Shop <a@b.fr> wrote:\n> How was it?\n", "Great service!"),
    ("Hello,\nthe queue was long.\n\nBest regards,\nJohn\n", "Hello,\nthe queue was long."),
    ("Thanks.\n\nSent from my iPhone\n\n> On 2 Nov 2026, at 10:12, Shop <a@b.fr> wrote:\n> \n> How was it?\n", "Thanks."),
    ("I like it.\n\n________________________________\nFrom: Shop\nSent: Monday\nTo: me\nSubject: x\n\nhow\n", "I like it."),
    ("Fine.\n\n-----Original Message-----\nFrom: Shop\n\nhow was it", "Fine."),
    ("5 < 6 and 7 > 2, so it was fine", "5 < 6 and 7 > 2, so it was fine"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kept"), LABELLED)
def test_quotes_and_signatures_go_and_the_customers_words_stay(text: str, kept: str) -> None:
    assert kept == without_quotes(text)
    assert kept == read(mail(text)).text


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["Le ", "On ", "a écrit :", "wrote:", "> ", "\n", "- ", "-- \n", "De : ", "x", "Cordialement", "_" * 20]
        ),
        max_size=60,
    )
)
def test_any_text_is_cut_without_an_error(parts: list[str]) -> None:
    """What was quoted or signed may go, but no text appears that was not there."""
    text = "".join(parts)
    kept = without_quotes(text)
    assert set(kept) <= set(text) | {" ", "\n"}


def test_html_gives_its_visible_text_without_quotes() -> None:
    html = (
        "<html><head><style>p{color:red}</style></head><body><p>Très&nbsp;bien,</p><div>merci &amp; à<br>bientôt</div>"
        "<blockquote>ancien</blockquote><div class='gmail_quote'>vieux</div></body></html>"
    )
    assert ["Très bien,", "merci & à", "bientôt"] == [line for line in html_text(html).split("\n") if line]
    message = mail()
    message.set_content(html, subtype="html")
    assert "ancien" not in (read(message).text or "")


def test_plain_text_wins_over_html_and_attachments_are_left_out() -> None:
    message = mail("Le texte")
    message.add_alternative("<p>Le HTML</p>", subtype="html")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="facture.pdf")
    assert "Le texte" == read(message).text


def test_windows_characters_labelled_as_latin_1_are_put_right() -> None:
    raw = mail("x").as_bytes().replace(b"\n\nx", b"\n\n")
    raw = raw.replace(b'charset="utf-8"', b'charset="iso-8859-1"').replace(b"7bit", b"8bit")
    assert (
        "L\u2019accueil\u2026 5 \u20ac, tr\u00e8s bien" == read(raw + b"L\x92accueil\x85 5 \x80, tr\xe8s bien\n").text
    )


def test_an_unknown_charset_is_read_as_well_as_can_be() -> None:
    raw = mail("x").as_bytes().replace(b'charset="utf-8"', b'charset="x-klingon"').replace(b"7bit", b"8bit")
    assert "é" == read(raw.replace(b"\n\nx", "\n\né".encode())).text


def test_the_same_message_id_is_the_same_event() -> None:
    first, second = read(mail("A")), read(mail("B", X_Other="y"))
    assert first.event_id == second.event_id == natural_id("email", "m1@example.fr")
    assert read(mail(Message_ID="")).event_id == read(mail(Message_ID="")).event_id != first.event_id


def test_threads_hang_together_by_their_first_message() -> None:
    first = read(mail(Message_ID="<a@x>"))
    second = read(mail(Message_ID="<b@x>", In_Reply_To="<a@x>", References="<a@x>"))
    third = read(mail(Message_ID="<c@x>", In_Reply_To="<b@x>", References="<a@x> <b@x>"))
    assert first.conversation_ref == second.conversation_ref == third.conversation_ref
    assert (None, first.event_id, second.event_id) == (first.in_reply_to, second.in_reply_to, third.in_reply_to)
    assert ("comment", "reply") == (first.kind, second.kind)


def test_the_sender_is_a_pseudonym_and_the_time_is_the_mails() -> None:
    event = read(mail())
    assert PSEUDONYMS.of("email", "anne@example.fr") == event.subject
    assert 1_789_977_600_000 == event.occurred_at
    assert b"example.fr" not in repr(event).encode()


@pytest.mark.parametrize(
    "headers",
    [{"Auto_Submitted": "auto-replied"}, {"X_Autoreply": "yes"}, {"Precedence": "auto_reply"}, {"Precedence": "bulk"}, {"Return_Path": "<>"}],
)  # fmt: skip
def test_automatic_replies_are_marked(headers: dict[str, str]) -> None:
    event = read(mail("Je suis absent.", **headers))
    assert ("auto_reply", True, None) == (event.kind, event.traits.non_human, event.subject)
    assert event.traits.reason


def test_auto_submitted_no_is_a_human() -> None:
    assert not read(mail(Auto_Submitted="no")).traits.non_human


def test_scores_are_taken_where_they_are_explicit() -> None:
    stated = read(mail("Merci", X_Barometer_Answer="csat=4/5", X_Barometer_Touchpoint="paris"))
    assert [("csat", 4.0)] == [(one.question, one.score) for one in stated.answers]
    assert ("rating", "paris") == (stated.kind, stated.touchpoint)
    written = read(mail("Note : 2/5\nTrop d'attente."))
    assert [("csat", 2.0)] == [(one.question, one.score) for one in written.answers]
    assert [] == read(mail("J'ai attendu 4/5 minutes, note à améliorer.")).answers
    assert [] == read(mail("Note : 4/10")).answers


def test_a_plus_address_names_the_touchpoint() -> None:
    assert "lyon" == read(mail(To="Avis <avis+lyon@boutique.example>")).touchpoint
    assert read(mail(To="avis+mars@boutique.example")).touchpoint is None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty_mail"),
        (b"\r\n \r\n", "empty_mail"),
        (b"hello", "missing_field"),
        (b"\x00\xff\xfe\n\n", "missing_field"),
        (mail("").as_bytes(), "empty_mail"),
        (mail("> only a quote\n").as_bytes(), "empty_mail"),
        (mail(From="").as_bytes(), "missing_field"),
        (mail(Date="").as_bytes(), "missing_field"),
        (mail(Date="someday").as_bytes(), "bad_time"),
        (mail(Date="Mon, 21 Sep 2099 10:00:00 +0200").as_bytes(), "future_time"),
        (mail(Date="Mon, 21 Sep 1998 10:00:00 +0200").as_bytes(), "too_old"),
        (mail().as_bytes().partition(b"\n\n")[0], "truncated_mail"),
        (mail("a\x00b").as_bytes(), "bad_text"),
        (mail("x\n" * 100_000).as_bytes(), "too_large"),
        (mail(X_Barometer_Answer="csat=9/5").as_bytes(), "score_off_scale"),
        (mail(X_Barometer_Answer="csat=4/7").as_bytes(), "unknown_scale"),
        (mail(X_Barometer_Answer="great").as_bytes(), "bad_type"),
        (mail(X_Barometer_Kind="gossip").as_bytes(), "unknown_kind"),
    ],
)
def test_what_is_no_feedback_mail_has_a_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidEventError) as refused:
        read(raw)
    assert reason == refused.value.reason


def test_a_multipart_mail_cut_before_its_end_is_refused() -> None:
    message = mail("Le texte")
    message.add_attachment(b"0" * 3000, maintype="image", subtype="png", filename="photo.png")
    whole = message.as_bytes()
    assert "Le texte" == read(whole).text
    with pytest.raises(InvalidEventError) as refused:
        read(whole[: len(whole) // 2])
    assert "truncated_mail" == refused.value.reason


@settings(max_examples=80, deadline=None)
@given(cut=st.integers(0, 2000), noise=st.binary(max_size=40))
def test_any_damage_gives_an_event_or_an_invalid_event(cut: int, noise: bytes) -> None:
    message = mail("Très bien, merci à vous", References="<a@x> <b@x>")
    message.add_alternative("<p>Très bien</p>", subtype="html")
    whole = message.as_bytes()
    try:
        read(whole[: cut % len(whole)] + noise + whole[cut % len(whole) :])
        read(whole[: cut % len(whole)] + noise)
    except InvalidEventError as error:
        _named(error)


def _named(error: InvalidEventError) -> None:
    assert error.reason
