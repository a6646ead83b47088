"""Whether a text threatens with the law: a lexicon and negation, French and English, on the CPU, without a model.

A threat announces, makes conditional or reports as begun, by the writer or by the customer that a note is about, a
step at law against us: formal notice, lawyer, bailiff, court, complaint to the police, report to a consumer authority.
Mediators, chargebacks, bad reviews, steps against others and what is denied, settled or merely asked about are none.

Measured by tests/producers/test_legal_threats.py on 128 sentences written after the rules, which they did not shape;
half are threats, the others hard to tell from threats (fruit, sports, trades, denials, questions): precision 0.92,
recall 0.89 (French 0.94 and 0.91, English 0.90 and 0.88). On the 980 that shaped the rules: 0.99 and 0.97. One hand
wrote rules and sentences, so read these as what to expect at best; label a sample of your own texts.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import chain

from producers.legal_contexts import ASIDE, CLAUSE, DENIED, OTHERS, RESOLVE, SELF, SETTLED, STANCE, VEILED, YOU
from producers.legal_words import AS_WRITTEN, BY_WORD, NAMED, PLAINLY

VERSION = "legal-threats/1"
ATTRIBUTE = "legal_threat"
"""The attribute that marks an event: "true" raises the immediate alarm."""
MAX_CHARACTERS = 10_000
"""What is read of a text, so that none holds the gateway up."""
_CLAUSE_CHARACTERS, _STANCE_CHARACTERS = 300, 90
_ACCENTS = re.compile(r"[\u0300-\u036f]+")
_SENTENCE = re.compile(r"[^.!?;\n]+[.!?;\n]*")


def marks(text: str) -> dict[str, str]:
    """Return the attributes that a text earns its event: the mark and who made it, or none."""
    return {ATTRIBUTE: "true", f"{ATTRIBUTE}_by": VERSION} if threatens(text) else {}


def threatens(text: str) -> bool:
    """Return whether a text threatens us with a step at law; False for what is neither French nor English.

    The language is not asked for: people write in another one than the form's, and the rules do not collide.
    """
    lowered = text[:MAX_CHARACTERS].lower()
    for word in AS_WRITTEN:
        if word in lowered:
            return any(_sentence_threatens(found[0].strip()) for found in _SENTENCE.finditer(_folded(lowered)))
    return False


def _folded(lowered: str) -> str:
    """Return the text without accents, with plain apostrophes and blanks; only a blank line still ends a line."""
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", lowered)).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return re.sub(r"[^\S\n]+", " ", re.sub(r"(?<!\n)\n(?!\s*\n)", " ", plain))


def _sentence_threatens(sentence: str) -> bool:
    threats = {threat: None for word, some in BY_WORD.items() if word in sentence for threat in some}
    if not threats:
        return False
    if not any(threat.search(sentence) for threat in threats) and not any(_named(sentence)):
        return False
    if VEILED.search(sentence):
        return True
    if SETTLED.search(sentence) or OTHERS.search(sentence):
        return False
    plain = RESOLVE.sub(" will ", sentence)
    found = (one.span() for threat in threats for one in threat.finditer(plain))
    return any(_meant(plain, *span) for span in chain(found, _named(plain)))


def _named(sentence: str) -> Iterator[tuple[int, int]]:
    """Yield where a word of the law stands, unless it means something else: the vaguer ones only near a stance."""
    if ASIDE.search(sentence):
        return
    if not sentence.endswith("?") or STANCE.search(sentence) or YOU.search(sentence):
        yield from (found.span() for found in PLAINLY.finditer(sentence))
    for found in NAMED.finditer(sentence):
        first, last = found.span()
        if STANCE.search(sentence, max(0, first - _STANCE_CHARACTERS), last + _STANCE_CHARACTERS):
            yield first, last


def _meant(sentence: str, first: int, last: int) -> bool:
    """Return whether the clause of what was found neither denies it nor, in a question, leaves the writer out."""
    earliest = max(0, first - _CLAUSE_CHARACTERS)
    begins = max((one.start() for one in CLAUSE.finditer(sentence, earliest, first)), default=earliest)
    clause = sentence[begins:last]
    return DENIED.search(clause) is None and (not sentence.endswith("?") or SELF.search(clause) is not None)
