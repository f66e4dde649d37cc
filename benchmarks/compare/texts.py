"""Real texts of mixed lengths that every peer takes as text: pairs of XNLI, Tatoeba's sentences, XQuAD's paragraphs."""

from collections.abc import Iterable, Sequence

from benchmarks.compare.peers.texts import Text, tokenize
from benchmarks.compare.session import Session
from benchmarks.contenders.workload import Workload
from harness.core.examples import PairExample, QuestionExample
from harness.core.features import Tokenizer


def mixed(session: Session, share: int) -> tuple[list[Text], list[Text]]:
    """Return texts to classify and sentences to embed: a part of the sample, file after file.

    The file order lies nearer to a sorted one than a shuffled order would, in the peers' favor. Texts that the
    encoder would cut are left out, as peers cut differently. Pairs come first, as peers that batch separate them.

    Args:
        session: gives the data.
        share: one of so many parts of the sample.
    """
    part = session.sample.part(share)
    pairs = [
        Text(example.first, example.second, example.label)
        for example in _examples(session.rows(("xnli",), part.rows), PairExample)
    ]
    sentences = [
        Text(example.text, group=item.job.language, name=example.id, gold=example.gold)
        for item in session.rows(("tatoeba",), part.rows).featurized
        for example in item.examples
    ]
    contexts = [example.context for example in _examples(session.rows(("xquad",), part.questions), QuestionExample)]
    paragraphs = [Text(context) for context in dict.fromkeys(contexts)]
    premises = [Text(text.first) for text in pairs]
    classified, embedded = [*pairs, *sentences, *paragraphs], [*sentences, *premises, *paragraphs]
    longest = session.shape.positions - 2
    for tokenizer in session.tokenizers():
        classified, embedded = (_short(texts, tokenizer, longest) for texts in (classified, embedded))
    return classified, embedded


def _examples(rows: Workload, kind: type) -> Iterable:  # type: ignore[type-arg]
    return [example for item in rows.featurized for example in item.examples if isinstance(example, kind)]


def _short(texts: Sequence[Text], tokenizer: Tokenizer, longest: int) -> list[Text]:
    rows = tokenize(texts, tokenizer)
    return [text for text, row in zip(texts, rows, strict=True) if len(row.input_ids) <= longest]
