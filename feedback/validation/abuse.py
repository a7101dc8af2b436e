"""Find abuse of people in a text: slurs, threats, insults said to somebody."""

import re
from collections.abc import Sequence, Set

from feedback.validation.plain import lexicon

INSULT, THREAT, SLUR = 0.5, 0.75, 1.0

# Digits and signs that stand for letters, and the same with all other signs as spaces.
_LEET = str.maketrans("013457@$\u2019", "oieastas'")
_SIGNS = "!\"#%&'()*+,-./:;<=>?[\\]^`{|}~«»…—¡¿\u2013\u2018\u2019\u201c\u201d\u201e"
_SPLIT = str.maketrans(dict.fromkeys(_SIGNS, " ")) | _LEET

_SLURS = lexicon(
    """nigger niggers nigga niggas faggot faggots kike kikes wetback wetbacks gook gooks raghead
    ragheads towelhead towelheads spic spics tranny trannies untermensch kanake kanaken schwuchtel
    maricon maricón sudaca bougnoule youpin"""
)
# Insults in whatever sentence they stand, and those that need somebody to whom they are said.
_PLAIN = lexicon(
    """kys stfu arschloch hurensohn wichser missgeburt fotze drecksau gilipollas pendejo hijueputa
    connard connasse enculé salope orospu"""
)
_NOUNS = (
    "arsehole|asshole|bastard|bitch|cretin|cunt|dickhead|dipshit|douchebag|dumbass|fuckface|"
    "fucktard|idiot|imbecile|jackass|moron|motherfucker|prick|retard|scumbag|shithead|slut|twat|"
    "wanker|whore"
)
_TRIGGERS = lexicon(
    _NOUNS.replace("|", " ")
    + " "
    + _NOUNS.replace("|", "s ")
    + """s bitches stupid dumb worthless
    pathetic disgusting retarded fuck screw shut kill murder rape stab shoot strangle behead die
    hang hanged lynched raped killed shot burn töte bringe bring matar tuer fick verpiss puta nique
    gueule schlampe shit garbage trash crap scum"""
).union(_SLURS, _PLAIN)
_PERSONS = lexicon(
    """you u ya your youre yourself urself ur he she they up off du dich ich te ta vous hijo mère"""
)
_THREAT = re.compile(
    r"\b(?:i|we)(?:'ll| will|(?:'m| am)? (?:going to|gonna|about to)) (?:\w+ ){0,2}?(?:kill|murder|"
    r"rape|stab|shoot|strangle|behead) (?:you|u|your family)\b"
    r"|(?<!to )(?<!ll )(?<!ould )(?<!will )(?<!ight )\b(?:kill|hang|shoot) (?:yourself|urself)\b"
    r"|\bhope (?:you|u|they|your family) (?:\w+ ){0,2}?(?:die|burn|get (?:cancer|raped))\b"
    r"|\byou (?:should|deserve to|must) (?:die|be (?:killed|shot|hanged|raped|lynched))\b"
    r"|\bich (?:bringe?|töte) (?:dich|euch)\b|\bte voy a matar\b|\bje vais (?:te|vous) tuer\b"
)
_INSULT = re.compile(
    rf"\b(?:you|u|ya|your?e|you're|ur)\b(?:(?: \w+){{0,3}}? (?:{_NOUNS}|bitche)s?\b"
    r"|(?: are)?(?: (?:so|such|just|really|very|all|fucking|an?))* (?:stupid|dumb|worthless|"
    r"pathetic|disgusting|retarded)(?: (?:cow|pig|fool|liar)|(?= ?(?:$|[.!?,;]| and\b)))"
    r"|(?: \w+){0,2}? (?:piece of (?:shit|garbage|trash|crap)|scum)\b)"
    rf"|\b(?:he|she|they)(?:'s|'re| is| are) (?:an? )?(?:\w+ )?(?:{_NOUNS})s?\b"
    r"|\b(?:fuck|screw) (?:you|u|off|yourself)\b|\bshut the fuck up\b"
    r"|\bdu (?:\w+ ){0,3}?(?:idiot|schlampe|schwein)\b|\b(?:verpiss|fick) dich\b"
    r"|\b(?:hijo de puta|tu puta madre|nique ta mère|ta gueule)\b"
)


def words_of(text: str) -> set[str]:
    """Split a casefolded text into words; signs that stand for letters are read as letters."""
    return set(text.translate(_SPLIT).split())


def weigh(text: str, words: Set[str], given: Sequence[str]) -> float:
    """Return how bad it is: 1 for a slur, 0.75 for a threat, 0.5 for an insult, else 0.

    `text` has been read by `plain.unmask` and casefolded, `words` are its `words_of`. Words that
    stand in `given`, the input and the output, were not brought by this person.
    """
    own = _TRIGGERS & words
    if own:
        own -= words_of("\n".join(given).casefold())
    if not own:
        return 0.0
    if not own.isdisjoint(_SLURS):
        return SLUR
    line = " ".join(text.translate(_LEET).split())
    has_person = not _PERSONS.isdisjoint(words)
    if has_person and _THREAT.search(line):
        return THREAT
    is_insult = not own.isdisjoint(_PLAIN) or (has_person and _INSULT.search(line))
    return INSULT if is_insult else 0.0
