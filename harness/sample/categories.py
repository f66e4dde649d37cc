r"""Categories of combinatory categorial grammar for the English sentences of the sample.

The names of the categories are CCGbank's (Hockenmaier and Steedman 2007): `S[dcl]\NP` is what needs
a subject on its left to be a statement. They combine to one sentence, which a test checks.
"""

from harness.sample.render import LanguageTable
from harness.sample.world import Sentence

DETERMINER, NOUN, PHRASE = "NP/N", "N", "NP"
INTRANSITIVE, TRANSITIVE, INFINITIVE = r"S[dcl]\NP", r"(S[dcl]\NP)/NP", r"(S[b]\NP)/NP"
ADVERB, PREPOSITION = r"(S\NP)\(S\NP)", r"((S\NP)\(S\NP))/NP"
OPENING_PREPOSITION = "(S/S)/NP"
"""Of a phrase that stands before the sentence."""

NOMINAL = {"DET": DETERMINER, "NOUN": NOUN, "PROPN": NOUN}
"""Universal tag of a word in a noun phrase -> its category."""
STATE = (r"(S[dcl]\NP)/(S[adj]\NP)", r"S[adj]\NP")
"""Categories of "is" and of the adjective."""
OBJECT = (TRANSITIVE, DETERMINER, NOUN)
CONSEQUENCES = {
    "hungry": OBJECT,
    "thirsty": (TRANSITIVE, NOUN),
    "tired": (INTRANSITIVE,),
    "sick": OBJECT,
    "cold": (r"((S[dcl]\NP)/NP)/PR", "PR", DETERMINER, NOUN),
    "dirty": (TRANSITIVE, PHRASE),
    "sad": (INTRANSITIVE,),
    "happy": (INTRANSITIVE,),
    "bored": OBJECT,
    "afraid": (r"(S[dcl]\NP)/PP", "PP/NP", NOUN),
    "angry": (INTRANSITIVE,),
}
"""Categories of the words of each causal rule's consequence."""
WORDS = {
    "where": "S[wq]/S[q]",
    "when": "S[wq]/S[q]",
    "who": r"S[wq]/(S[dcl]\NP)",
    "what": "S[wq]/(S[q]/NP)",
    "not": ADVERB,
    ".": ".",
    "?": ".",
}
"""Categories of the words that stand in the templates themselves."""
AUXILIARY = {"not": r"(S[dcl]\NP)/(S[b]\NP)"}
"""Category of "does" by the kind of sentence; in questions it is `ASKING`."""
ASKING = r"(S[q]/(S[b]\NP))/NP"


def categories(language: LanguageTable, sentence: Sentence) -> list[str]:
    """Return the category of each word of an English sentence.

    Args:
        language: English.
        sentence: of any kind but an answer, and without names.
    """
    said = language.render(sentence)
    slots = {place: slot for slot, (first, last) in said.ranges.items() for place in range(first, last)}
    whole = {"state": STATE, "then": CONSEQUENCES.get(sentence.rule, ())}
    found = []
    for place, (word, tag) in enumerate(zip(said.words, said.tags, strict=True)):
        slot = slots.get(place, "")
        if slot in whole:
            found.append(whole[slot][place - said.ranges[slot][0]])
        elif slot == "act":
            found.append(TRANSITIVE)
        elif tag == "ADP":
            found.append(OPENING_PREPOSITION if place == 0 else PREPOSITION)
        elif slot:
            found.append(NOMINAL[tag])
        elif tag == "AUX":
            found.append(AUXILIARY.get(sentence.kind, ASKING))
        else:
            found.append(INFINITIVE if tag == "VERB" else WORDS[word.lower()])
    return found
