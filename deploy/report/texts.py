"""What the report says, in French and in English, and how numbers, spans and times are written there."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

from deploy.report.mix import AtMix
from deploy.report.period import moment
from deploy.report.scores import SHARES, Score
from schemas.metrics import MetricKind

LANGUAGES = ("fr", "en")
NARROW = "\u202f"
MINUS = "\u2212"

_PAIRS: dict[str, tuple[str, str]] = {
    "title": ("Customer satisfaction, week {week}", "Satisfaction client, semaine {week}"),
    "subtitle": ("{first} to {last} · times in {zone} · as known on {known}", "du {first} au {last} · heures de {zone} · état connu le {known}"),
    "incomplete": ("This week was not over when the report was made: figures will still change.", "La semaine n’était pas terminée quand ce rapport a été établi : les chiffres vont encore changer."),
    "how": (
        "How to read it: behind each value stands its {level} interval: the values that chance alone leaves possible, given how many answered (n). “Unclear” and “no clear change” mean that chance alone can explain the difference. An interval says nothing about customers who did not answer.",
        "Comment lire : chaque valeur est suivie de son intervalle à {level} : les valeurs que le hasard seul laisse possibles, vu le nombre de réponses (n). « Incertain » et « pas de changement net » veulent dire que le hasard seul peut expliquer l’écart. L’intervalle ne dit rien des clients qui n’ont pas répondu.",
    ),
    "findings": ("What stands out", "Ce qui ressort"),
    "nothing": ("Nothing stands out this week: no alarm, and every difference lies within what chance explains, or too few answered.", "Rien ne ressort cette semaine : aucune alarme, et chaque écart tient dans le hasard ou repose sur trop peu de réponses."),
    "scores": ("Scores", "Scores"),
    "at_mix": ("at the earlier mix of channels: {value} {bounds}", "à répartition des canaux inchangée : {value} {bounds}"),
    "at_mix_part": ("at the earlier mix of channels ({covered} of it answered): {value} {bounds}", "à répartition des canaux inchangée (dont {covered} ont répondu) : {value} {bounds}"),
    "at_mix_how": (
        "“At the earlier mix of channels”: what the score of this week would be if each channel had the share of answers that it had in the four weeks before. Where only the score itself moves, more customers came by other channels; nobody became better or worse.",
        "« À répartition des canaux inchangée » : ce que serait le score de la semaine si chaque canal avait gardé la part des réponses qu’il avait dans les quatre semaines précédentes. Si seul le score lui-même bouge, c’est que davantage de clients sont venus par d’autres canaux ; rien n’est devenu meilleur ni moins bon.",
    ),
    "f_at_mix": ("At the mix of channels of the four weeks before it would be {at_mix} {at_mixes}.", "Avec la répartition des canaux des quatre semaines précédentes, ce serait {at_mix} {at_mixes}."),
    "ranking": ("Touchpoints, best first", "Points de contact, du meilleur au moins bon"),
    "ranking_how": (
        "Ranked by what is sure: the end of the interval on the bad side. A place with few answers cannot win by luck.",
        "Classement par ce qui est sûr : le bord de l’intervalle du mauvais côté. Un lieu avec peu de réponses ne peut pas gagner par chance.",
    ),
    "alarms": ("Alarms", "Alarmes"),
    "no_alarms": ("No alarm was open this week.", "Aucune alarme n’était ouverte cette semaine."),
    "escalation": ("Escalation: remark, complaint, dispute", "Escalade : remarque, réclamation, litige"),
    "no_cases": ("No customer was on the ladder this week.", "Aucun client n’était sur l’échelle cette semaine."),
    "cases_count": ("{n} cases were under way: {disputes} at a dispute, {complaints} at a complaint, {remarks} at a remark.", "{n} dossiers en cours : {disputes} au stade du litige, {complaints} de la réclamation, {remarks} de la remarque."),
    "lead": ("Median time from the first sign to a dispute of this week: {span}.", "Délai médian entre le premier signe et un litige de cette semaine : {span}."),
    "next": ("How likely is the next rung", "Probabilité du stade suivant"),
    "next_how": (
        "From all cases so far, also those that have gone nowhere yet (Aalen-Johansen); n counts the cases.",
        "D’après tous les dossiers, y compris ceux qui n’ont pas encore évolué (Aalen-Johansen) ; n compte les dossiers.",
    ),
    "responses": ("Response times", "Délais de réponse"),
    "responses_how": (
        "Share of messages answered by a person within {span}. An unanswered message that is not yet due counts neither way.",
        "Part des messages ayant reçu la réponse d’une personne sous {span}. Un message sans réponse dont le délai court encore n’est compté ni d’un côté ni de l’autre.",
    ),
    "no_replies": ("Not one reply is stored for this week: either none was sent, or outgoing mail is not connected.", "Aucune réponse n’est enregistrée pour cette semaine : soit aucune n’a été envoyée, soit le courrier sortant n’est pas raccordé."),
    "no_messages": ("No message wanted an answer this week.", "Aucun message n’attendait de réponse cette semaine."),
    "repeats": ("Calls and mails that come back", "Appels et courriels qui se répètent"),
    "repeats_how": (
        "Share of contacts within 7 days of an earlier one by the same customer on the same topic. First-contact resolution is the rest.",
        "Part des contacts survenus moins de 7 jours après un contact du même client sur le même sujet. La résolution au premier contact est le reste.",
    ),
    "no_contacts": ("No call or mail of a known customer this week.", "Aucun appel ni courriel d’un client connu cette semaine."),
    "buyers": ("Customers and mere users", "Clients et simples utilisateurs"),
    "buyers_how": ("Satisfaction of those who had ordered before they answered, and of the others; the two are never pooled.", "Satisfaction de ceux qui avaient commandé avant de répondre, et des autres ; les deux ne sont jamais mêlées."),
    "first_answers": ("Counting each customer once in the week, satisfaction is {value}; {repeats} further answers are kept and marked.", "En comptant chaque client une fois dans la semaine, la satisfaction est de {value} ; {repeats} réponses supplémentaires sont conservées et marquées."),
    "customer": ("customers", "clients"), "user": ("users who have not bought", "utilisateurs sans achat"), "unknown": ("unknown", "inconnus"),
    "metric": ("Metric", "Indicateur"), "value": ("Value", "Valeur"), "interval": ("Interval", "Intervalle"), "n": ("n", "n"),
    "target": ("Target", "Objectif"), "before": ("Week before", "Semaine précédente"), "change": ("Change", "Évolution"), "place": ("Touchpoint", "Point de contact"),
    "rank": ("Rank", "Rang"), "topic": ("Topic", "Sujet"), "channel": ("Channel", "Canal"), "rung": ("Rung reached", "Stade atteint"),
    "first_at": ("First sign", "Premier signe"), "last_at": ("Last sign", "Dernier signe"), "lead_time": ("Time to the dispute", "Délai jusqu’au litige"), "recurrences": ("Came back", "Récidives"),
    "legal": ("Legal threat", "Menace juridique"), "from": ("From", "De"), "to": ("To", "À"), "horizon": ("Within", "Échéance"), "within_days": ("within {n} days", "sous {n} jours"), "group": ("Group", "Groupe"),
    "share_in_time": ("Answered in time", "Répondu à temps"), "overdue": ("Overdue", "En retard"), "waiting": ("Not yet due", "Pas encore dus"), "share_back": ("Came back", "Répétés"),
    "everything": ("everywhere", "ensemble"), "no_place": ("no touchpoint", "sans point de contact"), "other": ("further touchpoints", "autres points de contact"), "no_topic": ("not stated", "non précisé"),
    "yes": ("yes", "oui"), "no_data": ("no data", "aucune donnée"), "low_n": ("too few", "trop peu"), "withheld": ("withheld: too few of those asked answered", "retenu : trop peu de réponses parmi les personnes interrogées"),
    "bounds": ("[{lo}; {hi}]", "[{lo} ; {hi}]"), "nobody": ("No data at any touchpoint this week: {metrics}.", "Aucune donnée cette semaine, dans aucun point de contact : {metrics}."),
    "target_better": ("met", "atteint"), "target_worse": ("missed", "manqué"), "target_unclear": ("unclear", "incertain"),
    "trend_better": ("better", "mieux"), "trend_worse": ("worse", "moins bien"), "trend_unclear": ("no clear change", "pas de changement net"), "trend_higher": ("more", "en hausse"), "trend_lower": ("less", "en baisse"), "trend_none": ("", ""),
    "redefined": ("defined anew: not compared", "redéfini : non comparé"),
    "f_worse_target": ("{metric}, {place}: target missed, {value} {bounds}, target {target}, n\u00a0=\u00a0{n}.", "{metric}, {place} : objectif manqué, {value} {bounds}, objectif {target}, n\u00a0=\u00a0{n}."),
    "f_better_target": ("{metric}, {place}: better than the target, {value} {bounds}, target {target}, n\u00a0=\u00a0{n}.", "{metric}, {place} : meilleur que l’objectif, {value} {bounds}, objectif {target}, n\u00a0=\u00a0{n}."),
    "f_worse": ("{metric}, {place}: worse than the week before, {change} {changes}, now {value}, n\u00a0=\u00a0{n}.", "{metric}, {place} : moins bon que la semaine précédente, {change} {changes}, maintenant {value}, n\u00a0=\u00a0{n}."),
    "f_better": ("{metric}, {place}: better than the week before, {change} {changes}, now {value}, n\u00a0=\u00a0{n}.", "{metric}, {place} : meilleur que la semaine précédente, {change} {changes}, maintenant {value}, n\u00a0=\u00a0{n}."),
    "f_alarm": ("Alarm “{rule}”, {place}: {state}.", "Alarme « {rule} », {place} : {state}."),
    "state_open": ("open since {opened}", "ouverte depuis le {opened}"), "state_acknowledged": ("open since {opened}, acknowledged", "ouverte depuis le {opened}, prise en charge"),
    "state_flapping": ("open since {opened}, going to and fro", "ouverte depuis le {opened}, instable"), "state_resolved": ("opened {opened}, over {ended}", "ouverte le {opened}, terminée le {ended}"), "state_pending": ("about to open since {opened}", "en attente depuis le {opened}"),
    "why_immediate": ("One event raised it at once, without statistics.", "Un seul événement l’a déclenchée aussitôt, sans statistique."),
    "why_counts": ("When it opened, {bad} of {n} answers were bad ({share}).", "À l’ouverture, {bad} réponses sur {n} étaient mauvaises ({share})."),
    "why_usual": ("At most {p0} is usual there.", "Au plus {p0} est habituel à cet endroit."),
    "why_change": ("The change probably began on {at}.", "Le changement a sans doute commencé le {at}."),
    "why_none": ("Its evidence is in v_alarm_history.", "Ses preuves sont dans v_alarm_history."),
    "note": ("Note by {actor}: {note}", "Note de {actor} : {note}"),
    "verbatims": ("What customers wrote", "Ce que les clients ont écrit"), "no_verbatims": ("Nobody wrote a text about it.", "Personne n’a écrit de texte à ce sujet."),
    "remark": ("remark", "remarque"), "complaint": ("complaint", "réclamation"), "letter": ("letter", "lettre"), "dispute": ("dispute", "litige"), "rating": ("rating", "note"), "comment": ("comment", "commentaire"),
    "praise": ("praise", "éloge"), "question": ("question", "question"), "suggestion": ("suggestion", "suggestion"), "idea": ("idea", "idée"), "reply": ("reply", "réponse"),
    "card": ("card", "carte"), "email": ("e-mail", "courriel"), "call": ("call", "appel"), "web": ("web", "web"), "order": ("order", "commande"),
    "days": ("{n} d", "{n} j"), "hours": ("{n} h", "{n} h"), "minutes": ("{n} min", "{n} min"),
    "rule_satisfaction_drop": ("satisfaction drop", "baisse de satisfaction"), "rule_dispute": ("dispute", "litige"), "rule_legal_threat": ("legal threat", "menace juridique"),
    "metric_csat": ("Satisfaction (CSAT)", "Satisfaction (CSAT)"), "metric_nps": ("Recommendation (NPS)", "Recommandation (NPS)"), "metric_ces": ("Ease (CES, 1 to 7)", "Facilité (CES, de 1 à 7)"),
    "metric_complaint_rate": ("Complaints per contact", "Réclamations par contact"), "metric_volume": ("Events received", "Événements reçus"),
    "metric_csat_mean": ("Mean satisfaction (1 to 5)", "Satisfaction moyenne (1 à 5)"), "metric_csat_bottom": ("Dissatisfied (1 or 2 of 5)", "Insatisfaits (1 ou 2 sur 5)"), "metric_ces_easy": ("Found it easy (5 to 7 of 7)", "Ont trouvé cela facile (5 à 7 sur 7)"),
    "metric_quality_gap": ("Gap: perceived minus expected", "Écart : perçu moins attendu"), "metric_satisfied": ("Expectation met or exceeded", "Attente satisfaite ou dépassée"), "metric_delighted": ("Expectation exceeded", "Attente dépassée"),
    "metric_delivery_speed": ("Satisfied with delivery speed", "Satisfaits du délai de livraison"), "metric_delivery_speed_driver": ("Delivery speed as a driver (rank correlation)", "Délai de livraison comme moteur (corrélation de rang)"), "metric_praise_share": ("Share of praise", "Part d’éloges"),
    "metric_complaints_per_order": ("Complaints per order", "Réclamations par commande"), "metric_contacts_per_order": ("Contacts per order", "Contacts par commande"), "metric_response_rate": ("Survey response rate", "Taux de réponse aux enquêtes"), "metric_completion_rate": ("Survey completion rate", "Taux d’achèvement des enquêtes"),
    "metric_orders": ("Orders placed", "Commandes passées"), "metric_revenue_eur": ("Revenue (euro cents)", "Chiffre d’affaires (centimes d’euro)"), "metric_probe_score": ("Mystery probes (0 to 100)", "Visites et courriels mystères (0 à 100)"),
    "footer": ("Values by barometer report from the stored counts of this week; verbatims are for internal readers only.", "Valeurs établies par barometer report d’après les comptages enregistrés de la semaine ; verbatims réservés à l’usage interne."),
    "chart": ("{value}, interval from {lo} to {hi}", "{value}, intervalle de {lo} à {hi}"), "chart_scale": ("scale {lo} to {hi}", "échelle de {lo} à {hi}"), "skip": ("Contents", "Sommaire"),
}  # fmt: skip
_MONTHS = {
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"),
    "fr": ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"),
}  # fmt: skip


class Texts:
    """The words and number forms of one language."""

    def __init__(self, lang: str, zone: ZoneInfo, titles: Mapping[str, str] = MappingProxyType({})) -> None:
        self.lang, self._zone, self._titles = lang, zone, titles
        self._ix = ("en", "fr").index(lang)

    def __call__(self, name: str, **values: object) -> str:
        """Return the text of this name with its values in."""
        return _PAIRS[name][self._ix].format(**values)

    def word(self, name: str, prefix: str = "") -> str:
        """Return the word for a name of the data; the name itself where the report knows none."""
        pair = _PAIRS.get(prefix + name)
        return pair[self._ix] if pair else name.replace("_", " ")

    def metric(self, name: str) -> str:
        """Return the name of a metric for people: ours, else its title in the catalogue."""
        pair = _PAIRS.get(f"metric_{name}")
        return pair[self._ix] if pair else self._titles.get(name, name)

    def place(self, dimension: str, key: str) -> str:
        """Return the name of a key for people."""
        if dimension == "*":
            return self("everything")
        if dimension == "channel":
            return self.word(key)
        if key in {"", "__other__"}:
            return self("other" if key else "no_place")
        return self._titles.get(f"touchpoint:{key}", key)

    def number(self, value: float, digits: int = 0, *, signed: bool = False) -> str:
        """Return a number with grouped digits, and a sign if asked."""
        text = f"{abs(value):,.{digits}f}"
        if self.lang == "fr":
            text = text.replace(",", NARROW).replace(".", ",")
        rounded = round(value, digits)
        return (MINUS if rounded < 0 else "+" if signed and rounded > 0 else "") + text

    def share(self, value: float, *, signed: bool = False) -> str:
        """Return a share as per cent."""
        return self.number(100 * value, 1, signed=signed) + (NARROW + "%" if self.lang == "fr" else "%")

    def value(self, kind: str, value: float | None, *, signed: bool = False) -> str:
        """Return a value of a metric of this kind; a difference of shares is in percentage points."""
        if value is None:
            return "–"
        if kind in SHARES:
            if signed:
                return self.number(100 * value, 1, signed=True) + " pts"
            return self.share(value)
        if kind == MetricKind.RESPONSE_QUANTILE:
            sign = ("+" if value > 0 else MINUS if value < 0 else "") if signed else ""
            return sign + self.span(abs(value) / 1000)
        digits = {MetricKind.COUNT: 0, MetricKind.AMOUNT: 0, MetricKind.NPS: 1, MetricKind.GRID: 1}.get(
            MetricKind(kind), 2
        )
        return self.number(value, digits, signed=signed)

    def told_at_mix(self, score: Score) -> AtMix | None:
        """Return the value at the earlier mix of channels, where it is written in another way than the score itself."""
        held = score.at_mix
        if held is None or self.value(score.kind, held.value) == self.value(score.kind, score.now.value):
            return None
        return held

    def bounds(self, lo: str, hi: str) -> str:
        """Return an interval."""
        return self("bounds", lo=lo, hi=hi)

    def span(self, seconds: float) -> str:
        """Return a duration in days, hours or minutes."""
        if seconds >= 2 * 86_400:
            return self("days", n=self.number(seconds / 86_400, 1))
        if seconds >= 3600:
            return self("hours", n=self.number(seconds / 3600, 0 if seconds % 3600 == 0 else 1))
        return self("minutes", n=self.number(seconds / 60))

    def date(self, day: str | datetime) -> str:
        """Return a calendar day, of YYYY-MM-DD or of a time."""
        at = day if isinstance(day, datetime) else datetime.fromisoformat(day)
        return f"{at.day} {_MONTHS[self.lang][at.month - 1]} {at.year}"

    def time(self, at_ms: int) -> str:
        """Return day and time in the zone of the report."""
        at = moment(at_ms, self._zone)
        return f"{at.day} {_MONTHS[self.lang][at.month - 1]} {at:%H:%M}"
