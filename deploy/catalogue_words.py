"""The words of the catalogue page in English and French: what each kind means, who counts, how sure it is."""

from collections.abc import Mapping
from typing import NamedTuple

from schemas.metrics import MetricKind
from schemas.rules import RuleKind


class Words(NamedTuple):
    """One language. Braces are filled with fields of the metric or rule."""

    lang: str
    page: str
    intro: str
    labels: Mapping[str, str]
    formula: Mapping[MetricKind, str]
    counts: Mapping[MetricKind, str]
    interval: Mapping[str, str]
    promise: Mapping[RuleKind, str]
    learned: str
    fixed: str
    unarmed: str
    not_pooled: str
    contacts: str
    day: str
    """Sign of a day."""


_ANSWERS_EN = "The first answer of an event to the question <code>{question}</code> on {scale}, if it is a whole number on the scale"
_DIRECT_EN = "; second-hand notes, machines and {probes} do not count."
_ANSWERS_FR = "La première réponse d’un événement à la question <code>{question}</code> sur {scale}, si c’est un nombre entier de l’échelle"
_DIRECT_FR = " ; les avis rapportés, les machines et {probes} ne comptent pas."
_BOTH_EN = "Customers who answered both <code>{question}</code> and <code>{second}</code>" + _DIRECT_EN
_BOTH_FR = "Les clients qui ont répondu à <code>{question}</code> et à <code>{second}</code>" + _DIRECT_FR
_TWO_EN = "Events of the kinds {events}, and of {among}; a kind that customers bring must come in" + _DIRECT_EN
_TWO_FR = "Les événements {events}, et {among} ; ce que les clients apportent doit être entrant" + _DIRECT_FR

_ASKED_EN = (
    "Incoming messages {events} of known customers, with a conversation; an answer is a reply of a person in the same conversation, at most {memory} apart"
    + _DIRECT_EN
)
_ASKED_FR = (
    "Les messages entrants {events} de clients connus, dans une conversation ; une réponse est celle d’une personne dans la même conversation, "
    "à {memory} d’écart au plus" + _DIRECT_FR
)

ENGLISH = Words(
    lang="en",
    page="Metrics and alarms",
    intro="What Barometer measures, who counts, how sure a value is, and when an alarm rings. Made from the catalogue {hash}; "
    "the stream, the SQL views and this page have that one source.",
    labels={
        "formula": "Formula",
        "counts": "Who counts",
        "interval": "Interval",
        "windows": "Windows",
        "dimensions": "Dimensions",
        "target": "Target",
        "owner": "Owner",
        "series": "Series",
        "n_min": "Low n",
        "sql": "SQL",
        "alarms": "Alarms",
        "metrics": "Metrics",
        "touchpoints": "Touchpoints",
        "exceptions": "Exceptional days",
        "name": "Name",
        "title": "Title",
        "parent": "Parent",
        "time_zone": "Time zone",
        "hours": "Hours",
        "none": "none",
        "all": "all",
        "watches": "Watches",
        "severity": "Severity",
        "promise": "Promise",
        "life": "Life",
        "version": "version {version}",
        "from": "From",
        "to": "To",
        "below": "below {n_min} answers the value is marked low_n",
        "kind": "Kind",
        "box": "the points {box}",
        "every": "{name}: every {step}, final {lateness} after its end",
        "probes": "probes",
        "customers": "customers’ answers",
        "all_events": "all kinds",
        "channels": "Channels",
        "one_per": "Repeated answers",
        "first": "the first of each {one_per} in {period} counts, the others are kept and marked",
        "withheld": "Withheld",
        "withheld_text": "below a response rate of {rate} ({metric}) the value is withheld",
        "life_text": "resolves by itself after at least {resolve} answers; the same key within {cooldown} reopens the episode",
        "life_by_hand": "ends by command",
        "catalogue": "Catalogue",
        "not_here": "computed by the judge; SQL shows NULL, the readings have it",
    },
    formula={
        MetricKind.SHARE: "answers in the box ({box}) / all answers, 0 to 1",
        MetricKind.NPS: "100 × (answers 9 and 10 − answers 0 to 6) / all answers, −100 to 100",
        MetricKind.MEAN: "sum of answers / number of answers, on {scale}",
        MetricKind.GAP: "mean of (perceived − expected) of the same answer sheet",
        MetricKind.GAP_SHARE: "answer sheets whose (perceived − expected) is at least {at_least} / all sheets, 0 to 1",
        MetricKind.DRIVER: "Spearman’s rank correlation of the question with the overall one, −1 to 1; what moves together, not what causes what",
        MetricKind.GRID: "mean of the visits’ scores; a score is the weighted mean of what was observed, 0 to 100 (weights: {grid})",
        MetricKind.EVENT_SHARE: "events of the kinds {events} / {among}, 0 to 1",
        MetricKind.PART: "events {events} / events {among} of which they are a part, 0 to 1",
        MetricKind.RATE: "events {events} per event {among}; one may bring several",
        MetricKind.COUNT: "number of events: {events}",
        MetricKind.AMOUNT: "sum of amounts in {currency}, in minor units, of events {events}",
        MetricKind.RESPONSE: "messages answered within {within} / messages answered or open for longer than that, 0 to 1",
        MetricKind.RESPONSE_QUANTILE: "time to the first answer within which a share of {quantile} of the messages is answered, in ms; "
        "not known where messages that are still open after {within} decide it",
        MetricKind.REPEAT: "contacts of a customer who had one on the same topic within {within} before / all contacts, 0 to 1; "
        "solved at the first contact = 1 − it",
    },
    counts={
        **dict.fromkeys((MetricKind.SHARE, MetricKind.NPS, MetricKind.MEAN), _ANSWERS_EN + _DIRECT_EN),
        **dict.fromkeys((MetricKind.GAP, MetricKind.GAP_SHARE, MetricKind.DRIVER), _BOTH_EN),
        MetricKind.GRID: "Visits on which at least one question of the grid was answered on {scale}" + _DIRECT_EN,
        **dict.fromkeys((MetricKind.EVENT_SHARE, MetricKind.PART, MetricKind.RATE), _TWO_EN),
        MetricKind.COUNT: "Every event but {probes}, told at second hand or by machines too.",
        **dict.fromkeys((MetricKind.RESPONSE, MetricKind.RESPONSE_QUANTILE), _ASKED_EN),
        MetricKind.REPEAT: "Incoming contacts {events} of known customers, within one channel" + _DIRECT_EN,
        MetricKind.AMOUNT: "Events with an amount of at least 0 in {currency}; {probes} do not count.",
    },
    interval={
        "wilson": "Wilson",
        "adjusted_wald": "adjusted Wald",
        "t": "t on the exact sums",
        "poisson_exact": "exact Poisson",
        "spearman_fisher": "Fisher’s z (Bonett and Wright)",
        "compound_poisson": "gamma interval of a compound Poisson sum",
        "order_statistic": "order statistics, for any distribution",
        "anytime": "holds at all looks together (anytime-valid)",
    },
    promise={
        RuleKind.DROP: "Rings when the bad share of {metric} rose in a {dimension}; worth detecting: {p1}.",
        RuleKind.RECOVERY: "Tells when the bad share of {metric} fell below its baseline in a {dimension}; worth telling: {p1}.",
        RuleKind.RISE: "Rings when {metric} rose in a {dimension}; worth detecting: {p1}.",
        RuleKind.SCORE: "Rings when the scores of {metric} moved to the bad end in a {dimension}.",
        RuleKind.COUNT_DROP: "Rings when {metric} brings fewer events than expected in a {dimension}; worth detecting: × {factors}.",
        RuleKind.COUNT_RISE: "Rings when {metric} brings more events than expected in a {dimension}; worth detecting: × {factors}.",
        RuleKind.SILENCE: "Rings when hardly anything comes in a {dimension} where much is expected of {metric}.",
        RuleKind.BURN: "Rings when {metric} burns the error budget of its objective of {objective} over a long and a short window.",
        RuleKind.DISPUTE: "Rings at once for each dispute that comes live, without statistics.",
        RuleKind.LEGAL_THREAT: "Rings at once for each event that was marked as a legal threat, without statistics.",
    },
    learned="False alarms a week: at most {budget} on average over all keys together, whatever the traffic and the number of keys, "
    "as long as answers are independent and nothing has changed against the baseline, which is learned from at least {learn_min} "
    "answers older than {lag}.",
    fixed="False alarms a week: at most {budget} on average over all keys together, whatever the traffic and the number of keys, "
    "as long as answers are independent and the stated baseline holds.",
    unarmed="A key whose baseline has too little data is not watched; `barometer backtest --report` and `barometer alarms arm` name it with the reason.",
    not_pooled="A change of question, scale, box or version makes a new series; the scores of two series are never pooled.",
    contacts="all contacts of customers",
    day="d",
)

FRENCH = Words(
    lang="fr",
    page="Indicateurs et alarmes",
    intro="Ce que Barometer mesure, qui compte, quelle est la précision d’une valeur et quand une alarme sonne. Fait à partir du catalogue "
    "{hash} ; le flux, les vues SQL et cette page ont cette source unique.",
    labels={
        "formula": "Formule",
        "counts": "Qui compte",
        "interval": "Intervalle",
        "windows": "Fenêtres",
        "dimensions": "Dimensions",
        "target": "Objectif",
        "owner": "Responsable",
        "series": "Série",
        "n_min": "Petit effectif",
        "sql": "SQL",
        "alarms": "Alarmes",
        "metrics": "Indicateurs",
        "touchpoints": "Points de contact",
        "exceptions": "Jours d’exception",
        "name": "Nom",
        "title": "Intitulé",
        "parent": "Parent",
        "time_zone": "Fuseau horaire",
        "hours": "Heures",
        "none": "aucun",
        "all": "tous",
        "watches": "Surveille",
        "severity": "Gravité",
        "promise": "Promesse",
        "life": "Vie",
        "version": "version {version}",
        "from": "Du",
        "to": "Au",
        "below": "au-dessous de {n_min} réponses la valeur est marquée low_n",
        "kind": "Type",
        "box": "les points {box}",
        "every": "{name} : par pas de {step}, définitive {lateness} après sa fin",
        "probes": "les visites mystère",
        "customers": "les réponses des clients",
        "all_events": "tous",
        "channels": "Canaux",
        "one_per": "Réponses répétées",
        "first": "la première par {one_per} en {period} compte, les autres sont gardées et marquées",
        "withheld": "Retenue",
        "withheld_text": "au-dessous d’un taux de réponse de {rate} ({metric}) la valeur n’est pas montrée",
        "life_text": "se termine d’elle-même après au moins {resolve} réponses ; la même clé dans les {cooldown} rouvre l’épisode",
        "life_by_hand": "se termine par commande",
        "catalogue": "Catalogue",
        "not_here": "calculé par le juge ; NULL en SQL, présent dans les relevés",
    },
    formula={
        MetricKind.SHARE: "réponses favorables ({box}) / toutes les réponses, de 0 à 1",
        MetricKind.NPS: "100 × (réponses 9 et 10 − réponses 0 à 6) / toutes les réponses, de −100 à 100",
        MetricKind.MEAN: "somme des réponses / nombre de réponses, sur {scale}",
        MetricKind.GAP: "moyenne de (perçu − attendu) d’une même fiche",
        MetricKind.GAP_SHARE: "fiches dont (perçu − attendu) vaut au moins {at_least} / toutes les fiches, de 0 à 1",
        MetricKind.DRIVER: "corrélation de rangs de Spearman de la question avec la question d’ensemble, de −1 à 1 ; ce qui varie ensemble, "
        "non ce qui cause",
        MetricKind.GRID: "moyenne des notes de visite ; une note est la moyenne pondérée de ce qui a été observé, de 0 à 100 (poids : {grid})",
        MetricKind.EVENT_SHARE: "événements {events} / {among}, de 0 à 1",
        MetricKind.PART: "événements {events} / événements {among} dont ils sont une partie, de 0 à 1",
        MetricKind.RATE: "événements {events} par événement {among} ; un seul peut en apporter plusieurs",
        MetricKind.COUNT: "nombre d’événements : {events}",
        MetricKind.AMOUNT: "somme des montants en {currency}, en unités mineures, des événements {events}",
        MetricKind.RESPONSE: "messages qui ont reçu une réponse en {within} / messages qui en ont reçu une ou attendent depuis plus longtemps, de 0 à 1",
        MetricKind.RESPONSE_QUANTILE: "délai de première réponse en deçà duquel une part de {quantile} des messages a reçu la sienne, en ms ; "
        "inconnu quand il dépend de messages sans réponse après {within}",
        MetricKind.REPEAT: "contacts d’un client qui en avait eu un sur le même sujet dans les {within} précédents / tous les contacts, de 0 à 1 ; "
        "résolution au premier contact = 1 − ce taux",
    },
    counts={
        **dict.fromkeys((MetricKind.SHARE, MetricKind.NPS, MetricKind.MEAN), _ANSWERS_FR + _DIRECT_FR),
        **dict.fromkeys((MetricKind.GAP, MetricKind.GAP_SHARE, MetricKind.DRIVER), _BOTH_FR),
        MetricKind.GRID: "Les visites où au moins une question de la grille a reçu une réponse sur {scale}"
        + _DIRECT_FR,
        **dict.fromkeys((MetricKind.EVENT_SHARE, MetricKind.PART, MetricKind.RATE), _TWO_FR),
        MetricKind.COUNT: "Tout événement sauf {probes}, même rapporté ou envoyé par une machine.",
        **dict.fromkeys((MetricKind.RESPONSE, MetricKind.RESPONSE_QUANTILE), _ASKED_FR),
        MetricKind.REPEAT: "Les contacts entrants {events} de clients connus, au sein d’un canal" + _DIRECT_FR,
        MetricKind.AMOUNT: "Les événements avec un montant d’au moins 0 en {currency} ; {probes} ne comptent pas.",
    },
    interval={
        "wilson": "Wilson",
        "adjusted_wald": "Wald ajusté",
        "t": "t sur les sommes exactes",
        "poisson_exact": "Poisson exact",
        "spearman_fisher": "z de Fisher (Bonett et Wright)",
        "compound_poisson": "intervalle gamma d’une somme de Poisson composée",
        "order_statistic": "statistiques d’ordre, pour toute loi",
        "anytime": "valable à tous les regards ensemble (anytime-valid)",
    },
    promise={
        RuleKind.DROP: "Sonne quand la part défavorable de {metric} a monté dans un {dimension} ; à détecter : {p1}.",
        RuleKind.RECOVERY: "Dit quand la part défavorable de {metric} est descendue sous sa référence dans un {dimension} ; à dire : {p1}.",
        RuleKind.RISE: "Sonne quand {metric} a monté dans un {dimension} ; à détecter : {p1}.",
        RuleKind.SCORE: "Sonne quand les notes de {metric} se sont déplacées vers le bas dans un {dimension}.",
        RuleKind.COUNT_DROP: "Sonne quand {metric} apporte moins d’événements qu’attendu dans un {dimension} ; à détecter : × {factors}.",
        RuleKind.COUNT_RISE: "Sonne quand {metric} apporte plus d’événements qu’attendu dans un {dimension} ; à détecter : × {factors}.",
        RuleKind.SILENCE: "Sonne quand presque rien ne vient dans un {dimension} où l’on attend beaucoup de {metric}.",
        RuleKind.BURN: "Sonne quand {metric} épuise la marge de son objectif de {objective} sur une fenêtre longue et une courte.",
        RuleKind.DISPUTE: "Sonne aussitôt pour chaque litige arrivé en direct, sans statistique.",
        RuleKind.LEGAL_THREAT: "Sonne aussitôt pour chaque événement marqué comme menace juridique, sans statistique.",
    },
    learned="Fausses alarmes par semaine : au plus {budget} en moyenne pour toutes les clés ensemble, quels que soient le trafic et le nombre de "
    "clés, tant que les réponses sont indépendantes et que rien n’a changé par rapport à la référence, apprise sur au moins {learn_min} "
    "réponses vieilles de plus de {lag}.",
    fixed="Fausses alarmes par semaine : au plus {budget} en moyenne pour toutes les clés ensemble, quels que soient le trafic et le nombre de "
    "clés, tant que les réponses sont indépendantes et que la référence déclarée est juste.",
    unarmed="Une clé dont la référence a trop peu de données n’est pas surveillée ; `barometer backtest --report` et "
    "`barometer alarms arm` la nomment avec la raison.",
    not_pooled="Un changement de question, d’échelle, de points favorables ou de version fait une nouvelle série ; les notes de deux séries "
    "ne sont jamais mêlées.",
    contacts="tous les contacts des clients",
    day="j",
)

LANGUAGES: Mapping[str, Words] = {"en": ENGLISH, "fr": FRENCH}
