"""What makes a threat of the words of the law, or takes it away: patterns on one folded sentence."""

import re

from producers.legal_words import FAR, within

STANCE = re.compile(
    r"\b(?!vrai\b)\w+(?:rai|rons|rez|ront|era|ira|dra|rra|vra|aura)\b|\b(?:vais|va|allons|allez"
    r"|vont) (?:\w+[ '])?\w+(?:er|ir|re)\b"
    r"|\b(?:direction|place au|sinon|a defaut|faute de|sous (?:\d+|huit|quinze)|d'ici|derni\w+ (?:chance|rappel"
    r"|relance|avis|avertissement|courrier|lettre)"
    r"|prochaine etape|contraints?|obligee?s?|forcee?s?|compte(?:z|ons)?|entends|prepar\w+|envisag\w+|menac\w+"
    r"|attendez-vous"
    r"|me reserve|prend le dossier|decidee?s?)\b"
    r"|(?:\b(?:will|shall|would be|going to|gonna|intend|prepared|ready|forced|considering|expect|next|otherwise"
    r"|failing|last chance"
    r"|hate to|taking over|seeing|it is then|and then|in front of|my only option)\b|'(?:ll|d be)\b)"
)
"""What somebody is going to do, or asks for under a condition."""
ASIDE = re.compile(
    r"\b(?:a l'|d'|de l'|robe |tenue |cabinet |palais de |rendu |rend |demand\w+ |toute |hotel |etude "
    r"|et )(?:avocat|justice|huissier)\w*"
    r"|\b(?:suis|est|sera|etait|etre|devenir|deviendra|comme|am|is|be|as|become|was|like|used to be|works? as)"
    r" (?:une? |an? |juste )?(?:avocat|huissier|juriste|juge|lawyer|solicitor|attorney|barrister|judge)"
    r"|\b(?:food|tennis|squash|badminton|basketball|bowling|sports?|your|new) courts?\b|\bcourt (?:shoes?|house"
    r"|yard|fashion|street|near)"
    r"|\b(?:tres|trop|plus|assez|si|un peu|le|la|plus) courts?\b|\bavocate?s? (?:trop|mur|bio|pourri|au|et|crevette"
    r"|saumon|de ce|soi)"
    r"|\b(?:salade|toasts?|sandwich|burger|wrap|recettes?|tartine|guacamole|saumon|poulet|fade|repas|midi|suit"
    r"|wear\w*|outfit|dress"
    r"|briefcase|shirts?|jury|divorce|parking|concours|contest|restaurant|costume|greffiere?|horaires|box set|drama"
    r"|disclaimer|tax|entretien|livr(?:e|es)|serie|roman|film|novel|book"
    r"|textbooks?|magazine|article|tv|show|discount|remise|prestation|retraite|week-end|imprime\w*|immeuble"
    r"|upstairs|next door|office"
    r"|voisin\w*|neighbour|mari|husband|friends?|colleagues?|brother|sister|daughter|my son|fille|neveu|number"
    r"|propriet\w+|landlord|airline|builder"
    r"|by chance|par hasard|knock\w*|the word|as if|comme si|files? d'attente|a midi|ferme|cafe"
    r"|kids)\b(?!\W+(?:\w+\W+){0,3}?(?:will|is going|has)\b)"
    r"|\b(?:parfait\w*|impeccable\w*|bravo|ravie?|excellent\w*|genial\w*|contente?s?|delicieu\w+"
    r"|bon(?:ne)? (?:accueil|choix|prix)|qualite|bien (?:fourni|note)\w*"
    r"|solides?|best|great|good (?:to|job)|lovely|impress\w*|perfect\w*|nice|fun(?:ny)?|kind|friendly|charming"
    r"|favourite|happy|appreciated|better)\b"
)
"""Fruit, sports, trades, clothes, kin and praise: what the words of the law also stand beside."""
YOU = re.compile(r"\b(?:vous|votre|vos|you|your)\b")

VEILED = re.compile(
    rf"(?:\b(?:not|never|no|ne)\b|n't\b){FAR}(?:courts?|lawyers?|solicitors?|attorney|sue|legal\w*|tribun\w+|avocats?"
    rf"|justice|plainte)\b{within(3)}(?:but (?:(?:i|we)(?: will|'ll| shall| may| might)(?=\W+(?:if|do|have)\b"
    rf"|[,.!]|$)"
    r"|you (?:force|leave|give|oblige)\w*)|mais (?:(?:je|nous) (?:le )?(?:fer(?:ai|ons)|suis prete?)|vous m'y))"
)
"""'I would rather not, but I will': a threat in spite of its negation."""
RESOLVE = re.compile(
    r"\bn'(?:hesiter\w*|hesite|ai|avons|aurai) (?:pas|plus)(?: une seconde| un instant)?"
    r"(?: peur| d'autres?\w* (?:choix|options?|solutions?)| le choix)?(?= (?:a|de|d'|que|pour)\b|,)"
    r"|\bne (?:m'|me |nous )?(?:oblig|forc|pouss|laiss|contraign)\w+ (?:pas|plus|aucun)"
    r"(?: d'autres? (?:choix|solutions?|options?)| autre choix| le choix)?"
    r"|\bn'exclu\w+ pas\b|\bne (?:vous |soyez )?(?:etonnez )?pas (?:de recevoir|surpris\w*)\b"
    r"|\bne (?:manquer|recul)\w+ pas|\bde ce pas\b|\bplaisante pas\b|\bpas l'intention d'en rester\b"
    r"|\bpas d'autre choix\b"
    r"|\bsans (?:quoi|reponse|nouvelles?|retour|delai|remboursement|attendre|hesiter|preavis)\b"
    r"|(?:\bnot|n't|\bnever) (?:hesitate|afraid|bluff\w*|jok\w+|kidding)|\bno (?:other )?(?:choice|option|alternative)"
    r"|(?:do not|don't) (?:make|force) (?:me|us)\b|think i (?:won't|will not)|\b(?:will not|won't) rest\b"
    r"|\bno problem with\b|\bif not\b|\bno (?:reply|answer)\b"
    r"|\bwithout (?:any )?(?:further )?(?:notice|warning|delay)\b"
)
"""Negations that strengthen a threat."""
CLAUSE = re.compile(
    r"[,:()]|\b(?:mais|sinon|but|however|otherwise|unless|or else|avant (?:de|que)|before)\b"
    r"|\b(?:and|or|so|then|et|ou|donc|alors)\b(?= (?:mon|ma|notre|il|elle|my|our|he|she|you|vous|will|shall|am"
    r"|have)\b)"
    r"|(?<!think )(?<!believe )(?<!que )(?<!said )(?<!that )\b(?:je|j(?=')|nous|on|i|we|he|she|they)\b"
)
"""Where a clause begins: a negation before the last of these says nothing about what follows."""
DENIED = re.compile(
    r"\b(?:not|never|no|cannot|nobody|without|avoid\w*|instead|rather than|ne|pas|jamais|aucune?|ni|inutile"
    r"|plus besoin|renonc\w+|against suing|plutot que)\b"
    r"|n't\b|\bsans (?:avoir|passer|aller|porter|prendre|saisir)\b"
)
SETTLED = re.compile(
    r"\b(?:est|ete|tout) (?:regle|resolu|arrange)e?\b|\b(?:retire|retiree?s?) (?:ma|sa|la|notre)\b|\bexcuse\w*"
    r"|\bmerci (?:pour|a|au|aux)\b|\b(?:en|vous) remercie\b|\bgrace a\b|\bfailli\b|\bevite\b"
    r"|\b(?:j'avais|avait|avions) (?:deja )?(?:porte|depose|menac|pris|saisi)\w*|\badore\w*"
    r"|\bl'an(?:nee)? (?:dernier|derniere|passee?)\b|\b(?:felicit\w+|(?<!en )(?<!lettre )recommand(?:e|er|ons))\b"
    r"|\brentre dans l'ordre\b"
    r"|(?<!not be )(?<!n't be )(?<!not )(?<!n't )\b(?:resolved|sorted)\b"
    r"|\b(?:withdrawn|withdrew|apolog\w+|settled (?:in|the|it|this)|forgotten|thank\w*|glad|lov(?:e|es|ed)"
    r"|recommend\w*"
    r"|happy (?:now|again)|last year|years ago|(?:was|were) (?:about|ready) to|i threatened|dropped (?:my|his|her"
    r"|the)|refunded me|(?:incident|dossier) est clos|considered a|was going to|take back|stand(?:s|ing)? down"
    r"|i (?:read|heard|saw)|fixed it|(?:the|your) manager \w+ed)\b"
    r"|(?:\bneeds? it|\bbesoin) (?:for|pour)\b|\b(?:audience"
    r"|if i were|would have)\b"
)
"""What is over, or praise."""
OTHERS = re.compile(
    r"\bcontre (?:mon|ma|mes|lui|elle|eux|une? autre|(?:l[ea]s?|une?) (?:voisin|voleu|transporteu|concurrent|banque"
    r"|poste"
    r"|assureu|promoteu|bailleu)\w*)\b|\bpas contre vous\b|\bavec (?:mon|ma) (?:voisin|ex|banque|bailleur"
    r"|employeur)\w*"
    r"|\b(?:su(?:e|ing)|against|charges on|to court) (?:my|his|her|their|another|someone"
    r"|the (?:courier|carrier|thief|neighbour|bank|post))\b|\bnot you\b"
    r"|\b(?:client\w*|customer|dame|monsieur|man|woman|lady) (?:devant|derriere|avant|ahead of|before|behind"
    r"|in front of"
    r"|next to|in the queue) ?(?:moi|me|us|nous)?\b|\b(?:un client|une dame|un monsieur) (?:cri|hurl|menac)\w+"
    r"|\ba customer say\b|\bwith the manufacturer\b"
    r"|\bwork(?:s|ed)? (?:at|in|for)\b|\btravaill\w+ (?:au|a|dans|pour)\b|\b(?:opposite|near|next to|close to|a cote) "
    r"|\bvo(?:tre|s) (?:service|protection|avocat|conseil|huissier|mise)\b|\byour legal (?!.*\b(?:my|mine)\b)"
    r"|\brecu votre\b"
)
"""Steps against somebody else, other people's words, places of work and landmarks, our own lawyers."""
SELF = re.compile(r"\b(?:je|j|nous|qu'on|i|we|me)\b")
