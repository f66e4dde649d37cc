"""Writes the intermediate tasks: in English and Russian, and two of them as if translated further."""

from collections.abc import Sequence
from typing import Any

from harness.sample import paraphrases, situations, tasks
from harness.sample.categories import categories
from harness.sample.folder import SampleFolder
from harness.sample.lexicon import lexicon
from harness.sample.render import LanguageTable
from harness.sample.squad import paragraph, save_squad
from harness.sample.world import Sentence

PIVOTS = ("en", "ru")
"""The languages of all intermediate tasks."""
TRANSLATIONS = ("ar", "hi", "zh")
"""The languages into which a part of MNLI and SQuAD is translated as well."""
MNLI = {"train": 1500, "dev": 90}
MNLI_TRANSLATED = {"train": 750, "dev": 60}
SQUAD = {"train": 500, "dev": 40}
"""Paragraphs, each with three questions."""
SQUAD_TRANSLATED = {"train": 250, "dev": 20}
SQUAD_V2 = {"train": 120, "dev": 20}
SNLI = {"train": 420, "dev": 60}
ANLI = {"train": 360, "dev": 60}
QQP = {"train": 400, "dev": 60}
HELLASWAG = {"train": 300, "dev": 60}
COSMOS_QA = {"train": 300, "dev": 60}
COMMONSENSE_QA = {"train": 300, "dev": 60}
CCG = {"train": 400, "dev": 60}


def write_split(folder: SampleFolder, split: str) -> None:
    """Write the train or dev files of all intermediate tasks; dev comes first."""
    for task in (mnli, squad, snli, anli, qqp, squad_v2, hellaswag, cosmos_qa, commonsense_qa, ccg):
        task(folder, split)


def _some(folder: SampleFolder, items: list[Any], count: int) -> list[Any]:
    """Return the first `count` items that hold no evaluation sentence in any language of the translations."""
    return [item for item in items if folder.clear(item, TRANSLATIONS)][:count]


def _by_language(folder: SampleFolder, items: list[Any], split: str, count: int) -> dict[str, list[Any]]:
    """Return the items of each language: all of them in the pivots, `count` of them in the translations."""
    if split == "dev":
        translated = items[:count]
        for code in TRANSLATIONS:
            folder.guard.hold(code, (said for item in translated for said in item.said()))
    else:
        translated = _some(folder, items, count)
    return {**dict.fromkeys(PIVOTS, items), **dict.fromkeys(TRANSLATIONS, translated)}


def _pair(folder: SampleFolder, code: str, item: tasks.Inference) -> dict[str, Any]:
    """Return an inference pair as a record."""
    premise, hypothesis = folder.text(code, item.premise), folder.text(code, item.hypothesis)
    return {"premise": premise, "hypothesis": hypothesis, "label": item.label}


def mnli(folder: SampleFolder, split: str) -> None:
    """Write MNLI's records; a record has the same `idx` in every language."""
    items = folder.draw(tasks.inference, split, f"mnli/{split}", MNLI[split], PIVOTS)
    folder.generator(f"mnli/{split}/order").shuffle(items)
    numbers = {item: number for number, item in enumerate(items)}
    for code, some in _by_language(folder, items, split, MNLI_TRANSLATED[split]).items():
        records = ({**_pair(folder, code, item), "idx": numbers[item]} for item in some)
        folder.save_records(f"intermediate/mnli/{code}/{split}.jsonl", records)


def squad(folder: SampleFolder, split: str) -> None:
    """Write SQuAD's files; a question has the same id in every language."""
    items = folder.draw(tasks.reading, split, f"squad/{split}", SQUAD[split], PIVOTS)
    numbers = {item: number for number, item in enumerate(items)}
    for code, some in _by_language(folder, items, split, SQUAD_TRANSLATED[split]).items():
        paragraphs = (paragraph(folder.languages[code], item, f"sample-{numbers[item]:04d}") for item in some)
        save_squad(folder, f"intermediate/squad/{code}/{split}-v1.1.json", paragraphs)


def snli(folder: SampleFolder, split: str) -> None:
    """Write SNLI's records: MNLI's without a number."""
    items = folder.draw(tasks.inference, split, f"snli/{split}", SNLI[split], PIVOTS)
    folder.generator(f"snli/{split}/order").shuffle(items)
    for code in PIVOTS:
        folder.save_records(f"intermediate/snli/{code}/{split}.jsonl", (_pair(folder, code, item) for item in items))


def anli(folder: SampleFolder, split: str) -> None:
    """Write ANLI's records, round by round."""
    items = folder.draw(tasks.adversarial, split, f"anli/{split}", ANLI[split], PIVOTS)
    folder.generator(f"anli/{split}/order").shuffle(items)
    items.sort(key=lambda item: tasks.ROUNDS.index(item.round))
    for code in PIVOTS:
        records = (
            {
                "uid": f"anli-{split}-{number}",
                "premise": folder.paragraph(code, item.premise),
                "hypothesis": folder.text(code, item.hypothesis),
                "label": item.label,
                "reason": "",
                "round": item.round,
            }
            for number, item in enumerate(items)
        )
        folder.save_records(f"intermediate/anli/{code}/{split}.jsonl", records)


def qqp(folder: SampleFolder, split: str) -> None:
    """Write QQP's records."""
    items = folder.draw(paraphrases.questions, split, f"qqp/{split}", QQP[split], PIVOTS)
    folder.generator(f"qqp/{split}/order").shuffle(items)
    for code in PIVOTS:
        records = (
            {
                "question1": folder.text(code, item.first),
                "question2": folder.text(code, item.second),
                "label": "duplicate" if item.same else "not_duplicate",
                "idx": number,
            }
            for number, item in enumerate(items)
        )
        folder.save_records(f"intermediate/qqp/{code}/{split}.jsonl", records)


def squad_v2(folder: SampleFolder, split: str) -> None:
    """Write SQuAD 2.0's files, where half of the questions have no answer."""
    items = folder.draw(tasks.doubtful, split, f"squad_v2/{split}", SQUAD_V2[split], PIVOTS)
    for code in PIVOTS:
        paragraphs = [
            paragraph(folder.languages[code], item, f"sample2-{number:04d}") for number, item in enumerate(items)
        ]
        for item in paragraphs:
            item["qas"] = [{**asked, "is_impossible": not asked["answers"]} for asked in item["qas"]]
        save_squad(folder, f"intermediate/squad_v2/{code}/{split}-v2.0.json", paragraphs, "v2.0")


def predicate(language: LanguageTable, sentence: Sentence) -> str:
    """Return what a sentence says of its agent, which begins the sentence in English and Russian."""
    said = language.render(sentence)
    return said.text[said.spans["agent"][1] :].strip()


def hellaswag(folder: SampleFolder, split: str) -> None:
    """Write HellaSwag's records; in most, `ctx_b` begins the sentence that the endings end."""
    items = folder.draw(situations.continuation, split, f"hellaswag/{split}", HELLASWAG[split], PIVOTS)
    for code in PIVOTS:
        records = (_unfinished(folder, code, item, split, number) for number, item in enumerate(items))
        folder.save_records(f"intermediate/hellaswag/{code}/{split}.jsonl", records)


def _unfinished(folder: SampleFolder, code: str, item: situations.Situation, split: str, number: int) -> dict[str, Any]:
    """Return a situation as a record of HellaSwag; every fourth has whole sentences as endings."""
    language = folder.languages[code]
    begun, after = folder.paragraph(code, item.context), ""
    endings = [folder.text(code, choice) for choice in item.choices]
    if number % 4 != 3:
        after = language.word_gap.join(word for word, _ in language.forms[item.choices[0].agent])
        endings = [predicate(language, choice) for choice in item.choices]
    return {
        "ind": number,
        "activity_label": item.choices[0].place,
        "ctx_a": begun,
        "ctx_b": after,
        "ctx": f"{begun} {after}".strip(),
        "endings": endings,
        "source_id": f"sample~{split}-{number}",
        "label": str(item.right),
    }


def cosmos_qa(folder: SampleFolder, split: str) -> None:
    """Write Cosmos QA's records."""
    items = folder.draw(situations.story, split, f"cosmos_qa/{split}", COSMOS_QA[split], PIVOTS)
    for code in PIVOTS:
        records = (
            {
                "id": f"cosmos-{split}-{number}",
                "context": folder.paragraph(code, item.context),
                "question": folder.text(code, item.question),
                **{f"answer{i}": folder.text(code, choice) for i, choice in enumerate(item.choices)},
                "label": item.right,
            }
            for number, item in enumerate(items)
        )
        folder.save_records(f"intermediate/cosmos_qa/{code}/{split}.jsonl", records)


def commonsense_qa(folder: SampleFolder, split: str) -> None:
    """Write CommonsenseQA's records, whose choices are predicates without a full stop."""
    items = folder.draw(situations.riddle, split, f"commonsense_qa/{split}", COMMONSENSE_QA[split], PIVOTS)
    for code in PIVOTS:
        language = folder.languages[code]
        records = (
            {
                "id": f"commonsense-{split}-{number}",
                "question": folder.paragraph(code, (item.context, item.question)),
                "question_concept": language.forms[item.context.agent][-1][0],
                "choices": {
                    "label": list("ABCDE"),
                    "text": [predicate(language, choice).removesuffix(".") for choice in item.choices],
                },
                "answerKey": "ABCDE"[item.right],
            }
            for number, item in enumerate(items)
        )
        folder.save_records(f"intermediate/commonsense_qa/{code}/{split}.jsonl", records)


def ccg(folder: SampleFolder, split: str) -> None:
    """Write English sentences with the category of each word, in the two columns that jiant reads."""
    english = folder.languages["en"]
    items: Sequence[tasks.Document] = folder.draw(tasks.reordered, split, f"ccg/{split}", CCG[split], ("en",))
    rows = []
    for item in items:
        (sentence,) = item.sentences
        rows.append(f"{' '.join(english.render(sentence).words)}\t{' '.join(categories(english, sentence))}")
    folder.save(f"intermediate/ccg/en/{split}.tsv", rows)


def lexicons(folder: SampleFolder) -> None:
    """Write a word list from English to each other language."""
    for code, language in folder.languages.items():
        if code != "en":
            pairs = lexicon(folder.languages["en"], language)
            folder.save(f"text/lexicons/en-{code}.tsv", map("\t".join, pairs))
