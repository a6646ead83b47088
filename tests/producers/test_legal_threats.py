"""Legal threats: precision and recall on labelled sentences, and what writing habits do not change."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.channels import email_reply, native
from producers.channels.table import load_mapping, to_native
from producers.legal_threats import ATTRIBUTE, MAX_CHARACTERS, VERSION, marks, threatens
from streams.core.tally import LEGAL_THREAT, MARKED

LABELLED = list(csv.DictReader((Path(__file__).parent / "data" / "legal_threats.csv").open(encoding="utf-8")))
NOW = 1_790_000_000_000
THREATS = [one["text"] for one in LABELLED if one["threat"] == "true" and threatens(one["text"])]


def figures(part, lang=None):
    """Return precision and recall on a part of the labelled sentences; `held_out` has shaped no rule."""
    found = Counter(
        (one["threat"] == "true", threatens(one["text"]))
        for one in LABELLED
        if one["part"] == part and lang in {None, one["lang"]}
    )
    right = found[True, True]
    return right / (right + found[False, True]), right / (right + found[True, False])


def test_the_labelled_set_is_balanced_and_says_nothing_twice():
    assert len({one["text"] for one in LABELLED}) == len(LABELLED)
    sizes = Counter((one["part"], one["lang"], one["threat"]) for one in LABELLED)
    assert set(sizes) == {
        (part, lang, threat) for part in ("rules", "held_out") for lang in ("fr", "en") for threat in ("true", "false")
    }
    assert {sizes[key] for key in sizes if key[0] == "held_out"} == {32}


@pytest.mark.parametrize(
    ("part", "lang", "precision", "recall"),
    [
        ("held_out", None, 0.91, 0.89),
        ("held_out", "fr", 0.93, 0.90),
        ("held_out", "en", 0.90, 0.87),
        ("rules", None, 0.98, 0.96),
    ],
)
def test_precision_and_recall_are_those_that_the_module_states(part, lang, precision, recall):
    found = figures(part, lang)
    assert found[0] >= precision and found[1] >= recall, found


@pytest.mark.parametrize(
    "text",
    [
        "Je vous mets en demeure de me rembourser.",
        "Sans re\u0301ponse, j\N{RIGHT SINGLE QUOTATION MARK}irai au tribunal.",
        "Bonjour,\n\nje vais porter\nplainte contre vous.\n\nCordialement",
        "Tout \u00e9tait parfait. Mais je vais prendre un avocat !",
        "The staff was lovely. I will sue you anyway.",
        "If I don't get a refund I will sue",
        "Le client menace de nous tra\u00eener en justice",
    ],
)
def test_negations_praise_and_line_ends_elsewhere_do_not_hide_a_threat(text):
    assert threatens(text)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "?", "Tr\u00e8s bon accueil.", "Le sandwich \u00e0 l'avocat est bon.", "Le pantalon est trop court.",
        "I will not sue you.", "Je ne porterai pas plainte.", "Sue was wonderful.",
        "My lawyer friend loved your shop.",
        "O\u00f9 sont les mentions l\u00e9gales ?", "Is it legal?",
    ],
)  # fmt: skip
def test_denials_namesakes_and_questions_are_no_threats(text):
    assert not threatens(text)


@given(st.sampled_from(THREATS), st.sampled_from(["", "Bonjour. ", "Hello, all fine here!\n\n"]))
def test_capitals_and_a_greeting_change_nothing(text, before):
    assert threatens(before + text.upper())


def test_only_the_beginning_of_a_very_long_text_is_read():
    threat = "I will sue you."
    assert threatens("x " * ((MAX_CHARACTERS - len(threat)) // 2) + threat)
    assert not threatens("x" * MAX_CHARACTERS + ". " + threat)


@given(st.text())
def test_any_text_is_judged(text):
    assert threatens(text) in {True, False}


def test_the_mark_is_what_the_alarm_engine_looks_for():
    assert marks("I will sue you.") == {LEGAL_THREAT: MARKED, "legal_threat_by": VERSION}
    assert ATTRIBUTE == LEGAL_THREAT
    assert marks("I will not sue you.") == {}


MARK = {"legal_threat": "true", "legal_threat_by": VERSION}
SUE = "I will sue you."


@pytest.fixture
def capture(pseudonyms, catalogue):
    """Return the attributes of a native event of the card channel."""

    def captured(**fields):
        given = {"channel": "card", "text": SUE, **fields}
        return native.parse(
            given, source="shop", received_at=NOW, pseudonyms=pseudonyms, catalogue=catalogue
        ).attributes

    return captured


def test_words_of_a_customer_are_marked_beside_their_own_attributes(capture):
    assert capture() == MARK
    assert capture(attributes={"till": 3}, traits={"second_hand": True}) == {"till": "3", **MARK}
    assert capture(corrects="a", id="b") == MARK
    assert capture(text="Lovely shop.") == capture(text="") == capture(text=None) == {}


@pytest.mark.parametrize("said", ["true", "false", True, False, ""])
def test_what_a_client_says_of_a_legal_threat_stands(capture, said):
    for text in (SUE, "Lovely shop."):
        attributes = capture(text=text, attributes={"legal_threat": said})
        assert attributes == {"legal_threat": said if isinstance(said, str) else str(said).lower()}


@pytest.mark.parametrize(
    "fields",
    [
        {"direction": "out"},
        {"kind": "probe"},
        {"traits": {"probe": True}},
        {"kind": "auto_reply"},
        {"traits": {"non_human": True}},
    ],
)
def test_probes_machines_and_what_we_send_are_never_marked(capture, fields):
    assert capture(**fields) == {}


def test_mails_are_marked_for_the_words_of_their_sender_alone(pseudonyms, catalogue):
    def read(body, header=""):
        raw = f"From: a@example.org\r\nDate: Mon, 02 Mar 2026 10:00:00 +0000\r\n{header}\r\n{body}\r\n".encode()
        return email_reply.parse(raw, received_at=NOW, pseudonyms=pseudonyms, catalogue=catalogue).attributes

    assert read(SUE) == MARK
    assert read(SUE, "Auto-Submitted: auto-replied\r\n") == {}
    assert (
        read(f"Thank you, all is well.\r\n\r\nOn Sun, 1 Mar 2026 at 10:00, B <b@example.org> wrote:\r\n> {SUE}") == {}
    )


def test_notes_of_a_call_are_marked(capture):
    mapping = load_mapping(
        """
        source = "calls"
        channel = "call"
        [time]
        columns = ["at"]
        format = "%Y-%m-%d"
        zone = "Europe/Paris"
        [columns]
        text = "note"
        """,
        "calls",
    )
    row = to_native({"at": "2026-03-02", "note": "Le client menace de porter plainte."}, mapping, "1")
    assert capture(**row) == MARK
