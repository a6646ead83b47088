"""The words of the law, French and English: patterns on one folded sentence.

Folded: in lower case, without accents, with plain apostrophes.
"""

import re


def within(words: int) -> str:
    """Return the pattern of what stands between two words that have at most so many words between them."""
    return rf"(?:\W+\w++){{0,{words}}}?\W+"


NEAR, FAR = within(4), within(9)
_COUNSEL = (
    r"(?:avocate?s?(?! du diable)|huissiers?|commissaires? de justice|juristes?"
    r"|(?:conseil|protection|assurance) juridique)\b"
)
_BENCH = r"(?:tribun(?:al|aux)|justice|juges?|procureur)\b"
_BODY = (
    r"(?:dgccrf|repression des fraudes|(?:ufc\W+)?que choisir|signal ?conso|millions de conso\w+"
    r"|associations? de (?:defense des )?conso\w+)"
)
_LEGAL = r"(?:judiciaires?|juridiques?|legales?|penales?)\b"
_LAWYER = r"(?:lawyers?|solicitors?|attorneys?(?! general)|barristers?)\b"
_OFFICE = r"(?:trading standards|consumer (?:protection|affairs)|attorney general)\b"
_COURT = r"(?:courts?|tribunal)\b(?! (?:house|shoes))"

_ADVOCATES = "avocat|huissier|justice|juri"
_BENCHES = "tribuna|justice|juge|proc"
_BODIES = "dgccrf|fraudes|que choisir|conso"
_STEPS = "poursui|proc|justice|jud|juri|legal"
_LAWYERS = "law|solicitor|attorney|barrister"
_OFFICES = "trading s|consumer|attorney"
_COURTS = "court|tribuna"

_RULES = (
    # French
    ("demeure", r"\b(?:mise|mises|mets?|met(?:tre|trai|tra|tons|trons)|mis)\b(?:\W+\w++){0,2}?\W+en demeure\b"),
    ("plainte", rf"\b(?:port|depos)(?:er|e|es|erai|era|ons|erons|ent)?\b{within(2)}plainte\b|\bdepots? de plainte\b"),
    (
        "plainte",
        (
            rf"\bplainte\b(?:{NEAR}(?:deposee|portee|prete|partie|enregistree)\b| (?:au penal|penale"
            rf"|collective))"
        ),
    ),
    (
        f"{_BENCHES}|{_ADVOCATES}|{_BODIES}",
        rf"\bsais(?:ir|is|irai|ira|issons|irons|it|isse|i|ie)\b{NEAR}(?:{_BENCH}|{_COUNSEL}|{_BODY})",
    ),
    (
        _ADVOCATES,
        (
            r"\b(?:prend\w*|prenne|pris|mandat\w*|consult\w*|contact\w*|engag\w*|appel\w*|pass\w* par|confi\w+"
            r"|transm\w+|remet\w*|parl\w+|evoqu\w+|menac\w+|mentionn\w+|vo(?:is|ir)|rendez-vous|rdv|nouvelles|lettre"
            r"|courrier|envoy\w+"
            rf"|recours|adress\w+|affaire|voie|aurez)\b{NEAR}(?:(?:une?|mon|ma|mes|notre|nos|son|sa|ses|leurs?|d)\W)"
            rf"(?:bon(?:ne)? )?{_COUNSEL}"
        ),
    ),
    (
        _ADVOCATES,
        (
            rf"\b(?:lettre|courrier|nouvelles|voie|parl\w+|viendra"
            rf"|vient)\b(?:\W+\w++)?\W+d\W+(?:un cabinet d\W)?{_COUNSEL}"
        ),
    ),
    (
        _ADVOCATES,
        (
            rf"\b(?:mon|ma|mes|notre|nos|son|sa|ses)\W+{_COUNSEL}\W+(?:\w+\W+)?(?:\w\W)?"
            r"(?:dit|di[st]ent|conseil\w*|pens\w+|estim\w+|etudi\w+|examin\w+|vous|est saisie?|confirm\w+|ecri\w+)\b"
        ),
    ),
    (_ADVOCATES, r"\bavec mon (?:avocate?|juriste|conseil)\b"),
    ("avocat|juri", r"\best (?:avocate?|juriste)\b\W+(?:et\W+)?(?:il|elle|vous)\W+(?:va|vous|s|prend|ecri|all)\w*"),
    (
        _STEPS,
        (
            r"\b(?:engag|entam|intent|lanc|initi|enclench|envisag|demarr|prepar)\w+"
            rf"{NEAR}(?:poursuites|proces\b|procedures?\b(?! d[e'] ?(?:retour|echange|remboursement))"
            rf"|actions? (?:en|{_LEGAL})|demarches? {_LEGAL}|recours\b)"
        ),
    ),
    (_STEPS, rf"\b(?:poursuites|actions?|demarches?|procedures?|recours|voies?|suites) (?:en justice\b|{_LEGAL})"),
    (
        "poursui",
        (
            r"\bvous (?:\w+ )?poursuiv(?:re|rai|rons|is|ons|ra)\b|\b(?:sera|seront|serez|etre) poursuivi\w*"
            r"|\bpoursuites\b(?! de\b)"
        ),
    ),
    ("proc", rf"\bprocedure\b{within(2)}(?:lancee|engagee|entamee|ouverte)\b"),
    (_BENCHES, rf"\b(?:preuves?|dossier)\b{NEAR}(?:pour|a|au|devant) (?:le |un )?(?:tribunal|juge)\b"),
    ("justice", r"\ben justice\b|\b(?:a|vers) la justice\b|\bla justice (?:s|v|tranch|decid|fera)\w*"),
    (
        _BENCHES,
        (
            r"\b(?:all\w+|ira\w*|irons|iront|vais|va|ve?rr(?:a|ons|ez)|rever\w+|retrouv\w+|direction|etape|rendez-vous"
            r"|convoqu\w+|assign\w+|port\w+|agir\w*|attaqu\w+|valoir|defendr\w*|demand\w+|fini\w+|train\w+|expliqu\w+"
            rf"|rend\w+)\b{FAR}(?:au|aux|devant|est|c'est)\W+(?:l[ea]s?\W+|un\W+)?{_BENCH}"
        ),
    ),
    ("assign", rf"\bvous assign\w+|\bassign\w+{NEAR}{_BENCH}"),
    (
        "proc",
        (
            r"\b(?:attend\w+|jusqu|intent\w+|aurez|risqu\w+|gagner\w*|(?:vous|leur) (?:fai[st]|fer)\w*)\b"
            rf"{NEAR}proces\b"
        ),
    ),
    (
        _BODIES,
        (
            r"\b(?:saisi|contact|aide|soutien|dossier|alert|signal|avert|inform|preven|previen|transm|ecri|denonc"
            r"|plainte|dossier|envoi|envoy"
            rf"|recours|tourn|remont|all|vais|appel)\w*{NEAR}{_BODY}"
        ),
    ),
    (_BODIES, rf"\b{_BODY}{NEAR}(?:accompagn|soutien|defend|preven|inform|alert|averti|saisi)\w*"),
    ("dommages", rf"\b(?:demand|reclam|exig|obten)\w*{NEAR}dommages\b"),
    # English
    (
        "formal notice|letter before",
        (
            r"\b(?:formal notice\b(?! (?:to cancel|period))|letter before (?:action"
            r"|claim)\b)"
        ),
    ),
    ("law|summons", r"\b(?:lawsuits?|summons)\b|\bfil(?:e|ing) suit\b"),
    (
        "legal",
        (
            r"\blegal (?:action|proceedings?|steps?|advice|recourse|redress|remed\w+|measures|route|claim"
            r"|consequences)\b|\blegally (?:responsible|liable)\b"
            r"|\b(?:my|our|his|her|their) (?:\w+ |\w+'s )?legal (?:team|advis[eo]rs?|counsel|representatives?)\b"
        ),
    ),
    (
        "court|claims",
        r"\b(?:county court|small claims|court (?:papers|proceedings|action|case|order|claim|summons|date))\b",
    ),
    (_COURTS, rf"\b(?:tak\w+|drag\w*){NEAR}(?:to|through) (?:\w+ ){{0,3}}{_COURT}"),
    (_COURTS, rf"\b(?:go|going|off|straight|way) to (?:\w+ ){{0,3}}?{_COURT}"),
    (
        "court",
        (
            rf"\b(?:see|meet|fight|enforce|rights|finish|end up|explain\w*){NEAR}in court\b"
            r"|\b(?:through|to|before) the courts\b|\bout of court\b"
        ),
    ),
    ("court", rf"\b(?:next|then|step)\b{within(3)}(?:\w+ )?{_COURT}"),
    ("jud", rf"\b(?:see|explain|tell|stand|take|taking){NEAR}(?:the|a) judge\b"),
    ("proc", r"\b(?:bring\w*|start\w*|issu\w+|commenc\w+|begin\w*|initiat\w+|instigat\w+) (?:\w+ )?proceedings\b"),
    ("charges|prosecut", r"\bpress\w* charges\b|\bprosecut(?:e|ing)\b"),
    (
        "sue|suing",
        (
            r"\b(?:will|won't|going to|gonna|can|could|may|might|shall|would|should|must|be|am|we are|have|(?:have"
            r"|want|forced|ready"
            r"|prepared|plan\w*|intend\w*|threat\w*|decided|rights?|need|happy|hesitate) to)\W+(?:\w+ ){0,2}su(?:e|ed"
            r"|ing)\b"
            r"|(?:'ll|'m) su(?:e|ing)\b|\b(?:will|shall|'ll|going to|gonna) (?:be|get) sued\b|\bgetting sued\b"
        ),
    ),
    (
        _LAWYERS,
        rf"\b(?:my|our|his|her|their)\W+(?:\w+\W+)?{_LAWYER}\W+(?:(?!friend|husband|wife|brother"
        rf"|sister)\w+\W+)?(?:say\w*|said|told|advis\w+|think\w*|writ\w+"
        r"|look\w*|gets?|draft\w*|deal\w*|handl\w+)\b|\b(?:to|with|answer|from) (?:my"
        r"|our) (?:\w+ )?" + _LAWYER + r"(?!\W+(?:she|he)\b)",
    ),
    (_LAWYERS, r"\bmy (?:\w+ )?(?:lawyer|solicitor|attorney|barrister) \w+\W+(?:will|is|has)\b"),
    (
        _LAWYERS,
        (
            r"\b(?:call(?:s|ed|ing)?|contact(?:s|ed|ing)?|consult(?:ed|ing)?|get(?:s|ting)?|got|hir(?:e|ed|ing)"
            r"|involv(?:e|ed|ing)"
            r"|instruct(?:ed|ing)?|see(?:ing)?|speak(?:ing)?|spoken?|retain(?:ed|ing)?|engag(?:e|ed|ing)|appoint(?:ed"
            r"|ing)?"
            rf"|us(?:e|ing)|through|hear(?:ing)?|talk(?:ed|ing)?|hand(?:ed|ing)?|find(?:ing)?"
            rf"|otherwise)\b{NEAR}(?:(?:an?|my|our|the)\W+)?{_LAWYER}"
        ),
    ),
    (
        _LAWYERS,
        (
            rf"\b{_LAWYER} (?:is|are|will|have|has)\b{within(2)}"
            r"(?:involved|informed|instructed|in touch|contact\w*|writ\w*|dealing)\b"
        ),
    ),
    (_LAWYERS, r"\bis an? (?:lawyer|solicitor|attorney|barrister)\b\W+(?:and )?(?:he|she)\W+(?:is|will|has|'ll)\b"),
    (
        _OFFICES,
        (
            r"\b(?:report(?:ed|ing)?|complain\w*|contact(?:ed|ing)?|call(?:ed|ing)?|inform(?:ed|ing)?|alert(?:ed|ing)?"
            r"|notif\w+"
            r"|tell(?:ing)?|told|escalat\w+|lodg\w+|fil(?:e|ed|ing)|go|going|refer\w*|writ(?:e|ing)|rais(?:e|ed|ing)"
            r"|touch"
            rf"|speak(?:ing)?|spoken?|tak(?:e|ing)|phone)\b{within(7)}{_OFFICE}|\b{_OFFICE} (?:have|has|will|gets?)\b"
        ),
    ),
    (
        "police",
        (
            r"\breport\w*\W+(?:\w+\W+){0,2}?(?:you|this|it|store|shop|company|staff"
            r"|driver)\W+(?:\w+\W+){0,2}?to the police\b"
        ),
    ),
    ("police", r"\bpolice report\b[^.]*\b(?:against|you|your)\b"),
    ("bailiff", rf"\bbailiffs?{within(2)}(?:will|at|are)\b|\bsend\w*{within(3)}bailiffs?\b"),
    ("damages", rf"\b(?:claim|su(?:e|ing)|seek\w*){within(3)}damages\b"),
    (
        f"court|legal|sue|{_LAWYERS}",
        (
            r"\b(?:client|customer|caller|guest|he|she|mrs?|ms)\b"
            rf"{FAR}(?:threat|mention|talk|spoke|speak|say)\w*{FAR}(?:court|{_LAWYER}|legal|sue)\b"
        ),
    ),
)
"""Words, without accents, and a pattern that cannot fit where none of them stands."""
BY_WORD: dict[str, list[re.Pattern[str]]] = {}
for _words, _pattern in _RULES:
    _compiled = re.compile(_pattern)
    for _word in _words.split("|"):
        BY_WORD.setdefault(_word, []).append(_compiled)
AS_WRITTEN = (*BY_WORD, "l\N{LATIN SMALL LETTER E WITH ACUTE}gal")

PLAINLY = re.compile(
    r"\b(?:(?:un|une|mon|notre|son|sa|mes|nos|ses|c'est l') ?avocate?s?|(?:les|des) avocate?s? de|huissiers?"
    r"|tribun(?:al|aux)|lawyers?"
    r"|solicitors?|attorneys?(?! general)|barristers?|law firm"
    r"|(?:in|to|for|before|the|a) courts?(?! (?:house|drama|box|is|was|of)))\b"
)
"""Words that customers seldom write to a shop for another reason."""
NAMED = re.compile(
    r"\b(?:avocate?s?|juges?|courts?|poursuivre (?:votre|la) (?:societe|entreprise|enseigne)|procedure|proces"
    r"|plainte|justice|(?:protection|assurance) juridique|judge|trading standards)\b"
)
"""Words that need a stance beside them."""
