"""What the customers of the demonstration write: French and English sentences that fit the score."""

from random import Random

FRENCH = "fr"
ENGLISH = "en"

_OPENINGS = {
    (FRENCH, "good"): ("Très bon accueil", "Rien à redire", "Une équipe formidable", "Passage rapide et agréable",
                       "Conseils excellents"),
    (FRENCH, "bad"): ("Je suis déçue", "Visite pénible", "Accueil froid", "Je ne reviendrai pas de sitôt",
                      "Franchement décevant"),
    (ENGLISH, "good"): ("Lovely service", "Nothing to complain about", "A great team", "Quick and pleasant visit",
                        "Excellent advice"),
    (ENGLISH, "bad"): ("I am disappointed", "A painful visit", "Cold welcome", "I will not be back soon",
                       "Frankly poor"),
}  # fmt: skip
_DETAILS = {
    (FRENCH, "good"): ("la caisse était ouverte tout de suite", "le rayon était bien rangé",
                       "on m'a trouvé la bonne taille", "mon retrait était prêt à l'heure", "merci à toute l'équipe"),
    (FRENCH, "bad"): ("vingt minutes d'attente à la caisse", "personne au rayon chaussures",
                      "le prix affiché n'était pas le bon", "mon retrait n'était pas prêt",
                      "les cabines étaient sales"),
    (ENGLISH, "good"): ("the till was free at once", "the shelves were tidy", "they found the right size for me",
                        "my pick-up was ready on time", "thanks to everybody"),
    (ENGLISH, "bad"): ("twenty minutes in the queue", "nobody at the shoe department", "the price tag was wrong",
                       "my pick-up was not ready", "the fitting rooms were dirty"),
}  # fmt: skip
_QUESTIONS = {
    FRENCH: ("Êtes-vous ouverts dimanche prochain ?", "Puis-je échanger un article sans le ticket ?",
             "Quand arrive la nouvelle collection ?"),
    ENGLISH: ("Are you open next Sunday?", "Can I exchange an item without the receipt?",
              "When does the new collection arrive?"),
}  # fmt: skip
_SUGGESTIONS = {
    FRENCH: ("Une deuxième caisse le samedi aiderait.", "Des sièges près des cabines, s'il vous plaît."),
    ENGLISH: ("A second till on Saturdays would help.", "Seats near the fitting rooms, please."),
}
_COMPLAINTS = {
    FRENCH: ("J'attends toujours mon remboursement.", "Merci de me répondre, c'est ma deuxième demande.",
             "Je souhaite parler à un responsable."),
    ENGLISH: ("I am still waiting for my refund.", "Please answer, this is my second request.",
              "I want to speak to a manager."),
}  # fmt: skip
_DISPUTES = {
    FRENCH: "Je conteste le débit de ma carte du mois dernier et je saisis le médiateur si rien ne bouge.",
    ENGLISH: "I dispute last month's charge on my card and will call in the ombudsman if nothing happens.",
}


def remark(rng: Random, lang: str, *, good: bool) -> str:
    """Return a remark of a satisfied or an unsatisfied customer."""
    mood = (lang, "good" if good else "bad")
    return f"{rng.choice(_OPENINGS[mood])}, {rng.choice(_DETAILS[mood])}."


def question(rng: Random, lang: str) -> str:
    """Return a question to the shop."""
    return rng.choice(_QUESTIONS[lang])


def suggestion(rng: Random, lang: str) -> str:
    """Return a suggestion."""
    return rng.choice(_SUGGESTIONS[lang])


def complaint(rng: Random, lang: str) -> str:
    """Return a complaint: what went wrong and what is asked for."""
    return f"{remark(rng, lang, good=False)} {rng.choice(_COMPLAINTS[lang])}"


def dispute(lang: str) -> str:
    """Return the text of a formal dispute."""
    return _DISPUTES[lang]
