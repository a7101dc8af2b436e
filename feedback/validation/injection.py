"""Find instructions to a model: to drop its own, to play a part, to tell its prompt."""

import re
from collections.abc import Set

from feedback.validation.plain import lexicon

BENDS, OVERRIDES = 0.5, 1.0

# Only where one word of each is there, the slow patterns are worth a look.
_DEEDS = lexicon(
    """ignore disregard forget override bypass overrule disable remove turn without unrestricted
    unfiltered uncensored jailbroken evil act pretend you roleplay reveal show print repeat output
    display tell give leak expose dump do new updated real actual begin ignoriere ignorier vergiss
    missachte ignora olvida olvide omite ignorez ignorer oublie oubliez oublier inst sys im_start
    im_end endoftext eot_id system follow following your enter enable"""
)
_THINGS = lexicon(
    """instruction instructions prompt prompts rule rules directions guideline guidelines commands
    directive directives programming training constraints restrictions policy policies context
    above instructed programmed filter filters guardrails ai assistant model chatbot llm anything
    mode dan anweisung anweisungen befehle vorgaben regeln instrucciones indicaciones reglas
    consignes règles inst sys im_start im_end endoftext eot_id"""
)
_ANSWERS = lexicon("answer answers reply response responses output message")
_OVERRIDE = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass|overrule) (?:(?:\w+ ){0,4}?(?:previous|prior|"
    r"above|preceding|earlier|foregoing|initial|original|system|existing|safety|your) "
    r"(?:\w+ ){0,2}?(?:instruction|prompt|rule|direction|guideline|command|directive|message|"
    r"context|programming|training|constraint|restriction|polic(?:y|ie))s?\b|(?:all |any |of |"
    r"the |these |those ){1,3}(?:instructions|prompts?|directives)\b|"
    r"(?:everything|all|anything|what\w*)(?: \w+){0,4} (?:above|instructed|programmed)\b"
    r"|the above and\b)"
    r"|(?:^|[.!?:;,] )(?:please )?(?:do not|don't|stop) follow(?:ing)? (?:your|the|any|all|"
    r"previous) (?:\w+ )?(?:instructions|guidelines|rules)\b"
    r"|\byour (?:system|hidden|secret|initial) prompt\b|\byour new instructions\b"
    r"|(?:^|\W)system ?: ?you\b"
    r"|\b(?:disable|bypass|remove|turn off|without)(?: \w+){0,2} (?:content|safety|ethical|ethics|"
    r"moderation) (?:filters?|guardrails?|restrictions?|guidelines)"
    r"|\b(?:unrestricted|unfiltered|uncensored|jailbroken|evil) (?:ai|assistant|model|chatbot|llm)"
    r"\b|\bdo anything now\b|\b(?:dan|enter developer|enable developer|jailbreak) mode\b"
    r"|\b(?:act as|pretend (?:to be|you are|you're)|you are now|roleplay as) (?:an? |the |my )?"
    r"(?:\w+ ){0,2}(?:ai|assistant|chatbot|language model|llm|dan)\b"
    r"|\b(?:reveal|show|print|repeat|output|display|tell|give|leak|expose|dump)(?: \w+){0,4} (?:"
    r"system (?:prompt|message|instructions)|(?:initial|hidden|secret|original|your) (?:prompt|"
    r"instructions)|(?:everything|words|text) above)\b"
    r"|<\|\w{2,20}\|>|\[/?inst\]|<</?sys>>|#{2,} ?(?:system|new instructions?|instructions?) ?:"
    r"|\b(?:new|updated|real|actual|system) (?:instructions?|directives?|prompt) ?:"
    r"|\b(?:ignoriere?|vergiss|missachte) (?:\w+ ){0,3}(?:anweisung(?:en)?|befehle|vorgaben|regeln)"
    r"|\b(?:ignor[ae]|olvid[ae]|omite) (?:\w+ ){0,4}(?:instrucciones|indicaciones|reglas)\b"
    r"|\b(?:ignore[rz]?|oublie[rz]?) (?:\w+ ){0,4}(?:instructions|consignes|directives|règles)"
    r" (?:\w+ )?(?:précédentes|ci-dessus|antérieures|initiales)"
)
# An order about the form or the content of an answer, from the start of a clause.
_BEND = re.compile(
    r"(?:^|[.!?:;,] |\bplease )(?:add|anagram|append|augment|combine|convert|embed|enhance|group|"
    r"include|incorporate|insert|integrate|introduce|jumble|misspell|modify|provide|rearrange|"
    r"remove|render|replace|scramble|substitute|translate|use)\b"
    r"(?: your|[^.!?]{0,100}(?:[.!?][^.!?]{0,60}){0,3}? (?:in|into|to|of|from|with) your)"
    r" (?:\w+ )?(?:answers?|reply|responses?|output|message)\b"
    r"|(?:^|[.!?] )in your (?:answer|response|reply|output), \w"
)


def weigh(text: str, words: Set[str]) -> float:
    """Return 1 for an attempt to take a model over, 0.5 for an order about its answer, else 0.

    `text` has been read by `plain.unmask` and casefolded; `words` are its words.
    """
    is_override = not (_DEEDS.isdisjoint(words) or _THINGS.isdisjoint(words))
    is_bend = "your" in words and not _ANSWERS.isdisjoint(words)
    if not is_override and not is_bend:
        return 0.0
    line = " ".join(text.split())
    if is_override and _OVERRIDE.search(line):
        return OVERRIDES
    return BENDS if is_bend and _BEND.search(line) else 0.0
