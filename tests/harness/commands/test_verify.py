"""A chain of three checkpoints, one graph, its served version and a run; then each link broken on purpose."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import cli
from harness.artifacts.checkpoint import read_checkpoint
from harness.artifacts.store import Artifact, read_artifact
from harness.artifacts.workspace import Workspace
from harness.benchmark import finetunes
from harness.commands import evaluate as evaluation
from harness.commands.verify import runs
from harness.commands.verify.chain import verify
from harness.core.errors import ArtifactError, UsageError
from harness.core.files import file_sha256
from harness.core.heads import describe
from harness.core.layout import Layout
from harness.core.progress import Silent
from harness.evaluation.answers import AnswerOrigin, AnswerStore
from harness.evaluation.provenance import provenance
from harness.evaluation.request import EvaluationRequest
from harness.serving.repository.config import Serving
from harness.serving.repository.releases import promote
from harness.serving.repository.store import publish
from harness.serving.repository.text_model import text_model
from training.checkpoint import write_checkpoint

Make = Callable[..., Artifact]
NAME = "tiny-mnli-fp32"
RUSSIAN = "n a\tx\tneutral\ne b\tx\tentailment\nc c\tx\tcontradiction\nc d\tx\tneutral\n"


def checkpoint(directory: Path, tokenizer: Path, **metadata: Any) -> str:
    """Write a checkpoint as training does, and return its digest."""

    def save(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(directory.name.encode())
        shutil.copyfile(tokenizer, folder / "tokenizer.json")

    return write_checkpoint(
        directory, {"phase": "target", "model": "tiny", "parents": {}, "seen": {}, **metadata}, save
    ).digest


def artifact_of(folder: Path, graph: Artifact, tokenizer: Path, digest: str) -> Artifact:
    """Write the artifact of a checkpoint, with a tiny graph of three labels."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").unlink(missing_ok=True)
    shutil.copyfile(graph.graph, folder / "model.onnx")
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    (folder / "gate.json").write_text('{"passed": true}', encoding="utf-8")
    head = finetunes.load("mnli").head
    manifest = {
        "model": "tiny",
        "finetune": "mnli",
        "variant": "fp32",
        "head": describe(head),
        "signature": head.signature(8).to_json(),
        "graph_sha256": file_sha256(folder / "model.onnx"),
        "tokenizer_sha256": file_sha256(folder / "tokenizer.json"),
        "vocabulary": 50,
        "hidden": 8,
        "pad_id": 1,
        "gate_sha256": file_sha256(folder / "gate.json"),
        "checkpoint": {"digest": digest, "account": {"phase": "target", "model": "tiny", "seen": {}}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return read_artifact(folder)


@pytest.fixture
def build(
    tmp_path: Path, tokenizer_file: Path, artifact: Make, probe: list[int], write: Callable[..., Path]
) -> Callable[..., Workspace]:
    """Write a workspace; `prepare` is done to the artifact before it is published."""

    def make(prepare: Callable[[Artifact], Artifact] = lambda made: made) -> Workspace:
        return workspace_of(tmp_path, tokenizer_file, artifact("sequence", seed=1), probe, write, prepare)

    return make


@pytest.fixture
def home(build: Callable[..., Workspace]) -> Workspace:
    """A workspace in which everything is right; the run is runs/first."""
    return build()


def workspace_of(
    tmp_path: Path,
    tokenizer_file: Path,
    graph: Artifact,
    probe: list[int],
    write: Callable[..., Path],
    prepare: Callable[[Artifact], Artifact],
) -> Workspace:
    workspace = Workspace(tmp_path / "home")
    folder = workspace.checkpoints
    first = checkpoint(folder / "pretrained-0a", tokenizer_file)
    second = checkpoint(folder / "tiny" / "intermediate", tokenizer_file, parents={"pretrained": first})
    body = checkpoint(folder / "tiny" / "target" / "siqa", tokenizer_file, parents={"intermediate": second})
    third = checkpoint(
        folder / "tiny" / "target" / "mnli",
        tokenizer_file,
        parents={"intermediate": second},
        body={"finetune": "siqa", "digest": body},
    )
    store = workspace.artifacts
    made = prepare(artifact_of(store.directory("tiny", "mnli", "fp32"), graph, tokenizer_file, third))
    publish(made, workspace.model_repository, Serving(threads=1), probe_ids=probe, text=text_model)
    write("xnli/test-ru.tsv", RUSSIAN)
    evaluate(workspace, tmp_path / "data" / "xtreme", workspace.runs / "first")
    return workspace


def evaluate(workspace: Workspace, data: Path, output: Path) -> None:
    request = EvaluationRequest(
        models=("tiny",), tasks=("xnli",), suite=None, languages=("ru",), scripts=(), split="test", data=data,
        endpoint="onnx", variant="fp32", limit=None, output=output,
    )  # fmt: skip
    assert evaluation.evaluate(request, workspace, Silent()).results


def links(workspace: Workspace, target: str = "first") -> list[str]:
    return list(verify(target, workspace, Silent()))


def change(path: Path, content: bytes = b"changed") -> None:
    """Write another file in a file's place, never into what it is a link to."""
    path.unlink()
    path.write_bytes(content)


def digest_of(home: Workspace) -> str:
    return read_checkpoint(home.checkpoints / "tiny" / "target" / "mnli").digest


def edit(path: Path, **values: Any) -> None:
    change(path, json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}).encode())


def test_reader_knows_what_training_writes(tmp_path: Path, tokenizer_file: Path) -> None:
    digest = checkpoint(tmp_path / "c", tokenizer_file, steps=3)
    found = read_checkpoint(tmp_path / "c")
    assert (found.digest, found.metadata.steps) == (digest, 3)


def test_whole_chain_of_a_run_holds(home: Workspace) -> None:
    before = {path: path.read_bytes() for path in sorted(home.root.rglob("*")) if path.is_file()}
    found = links(home)
    assert [line.partition(":")[0] for line in found] == [
        "ok  checkpoint checkpoints/pretrained-0a",
        "ok  checkpoint checkpoints/tiny/intermediate",
        "ok  checkpoint checkpoints/tiny/target/siqa",
        "ok  checkpoint checkpoints/tiny/target/mnli",
        "ok  artifact artifacts/tiny/mnli/fp32",
        f"ok  model repository, {NAME}",
        f"ok  run {home.runs / 'first'}",
        f"ok  data of 1 tasks under {home.root.parent / 'data' / 'xtreme'}",
        f"ok  scores of run {home.runs / 'first'}",
        "ok  answers of tiny-mnli-fp32",
    ]
    assert {path: path.read_bytes() for path in sorted(home.root.rglob("*")) if path.is_file()} == before
    assert links(home, str(home.runs / "first")) == found


def test_whole_chain_of_a_model_holds(home: Workspace) -> None:
    found = links(home, "tiny")
    assert len(found) == 6
    assert found[-1] == f"ok  model repository, {NAME}: version 1 is the artifact, and what the configs select"


def test_model_that_is_not_published_says_so(home: Workspace) -> None:
    shutil.rmtree(home.model_repository)
    assert links(home, "tiny")[-1] == f"--  {NAME} is not published"
    assert f"--  {NAME} is not in the model repository; the run's endpoint was onnx" in links(home)


def test_graph_of_another_variant_than_the_run_is_found(
    home: Workspace, tmp_path: Path, tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An int8 run is answered by the fp32 graph where a retrieval task has none of its own."""
    store = home.artifacts
    artifact = store.find("tiny", "mnli", "fp32")
    run_record = provenance([], Layout.at(tmp_path / "data"), [artifact], "onnx")
    assert run_record["variant"] == {"mnli": "fp32"}
    assert json.loads(scores(home).read_text(encoding="utf-8"))["provenance"]["variant"] == {"mnli": "fp32"}
    edit(scores(home), variant="int8")
    monkeypatch.setattr(runs, "rescore", lambda *_: None)
    assert "ok  artifact artifacts/tiny/mnli/fp32" in [line.partition(":")[0] for line in links(home)]
    recorded = json.loads(scores(home).read_text(encoding="utf-8"))["provenance"]
    edit(scores(home), provenance={key: value for key, value in recorded.items() if key != "variant"}, variant="fp32")
    assert links(home)[-2].startswith("ok  scores")


def test_nothing_is_written_beside_the_run(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run may lie in a folder that can only be read."""
    made: list[Path] = []
    original = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", lambda self, *rest, **more: (made.append(self), original(self, *rest, **more)))
    assert links(home)[-2].startswith("ok  scores")
    assert made
    assert not [path for path in made if path.is_relative_to(home.root)]


BREAKS: dict[str, tuple[Callable[[Workspace], None], str]] = {
    "weights of phase 1": (
        lambda home: change(home.checkpoints / "pretrained-0a" / "model.safetensors"),
        r"breaks at checkpoint checkpoints/pretrained-0a: .*model\.safetensors is not the file that training wrote",
    ),
    "account of phase 2": (
        lambda home: edit(home.checkpoints / "tiny" / "intermediate" / "phase.json", steps=9),
        r"breaks at checkpoint checkpoints/tiny/target/mnli: its parent \(intermediate, \w{12}\) is not under",
    ),
    "body deleted": (
        lambda home: shutil.rmtree(home.checkpoints / "tiny" / "target" / "siqa"),
        r"breaks at checkpoint checkpoints/tiny/target/mnli: its parent \(body siqa, \w{12}\) is not under",
    ),
    "checkpoint trained again": (
        lambda home: edit(home.checkpoints / "tiny" / "target" / "mnli" / "phase.json", seed=2),
        r"breaks at artifact artifacts/tiny/mnli/fp32: its checkpoint \w{12} is not under .* `harness export --model",
    ),
    "graph of the artifact": (
        lambda home: change(home.artifacts.directory("tiny", "mnli", "fp32") / "model.onnx"),
        r"breaks at artifact artifacts/tiny/mnli/fp32: .*model\.onnx is not the file its manifest describes",
    ),
    "tokenizer of the artifact": (
        lambda home: change(home.artifacts.directory("tiny", "mnli", "fp32") / "tokenizer.json"),
        r"breaks at artifact artifacts/tiny/mnli/fp32: .*tokenizer\.json is not the file its manifest describes",
    ),
    "graph in the repository": (
        lambda home: change(home.model_repository / NAME / "1" / "model.onnx"),
        rf"breaks at model repository, {NAME}: .*model\.onnx is not the file that was published",
    ),
    "tokenizer in the repository": (
        lambda home: change(home.model_repository / f"{NAME}_text" / "1" / "tokenizer.json"),
        rf"breaks at model repository, {NAME}: .*_text/1/tokenizer\.json is not the file that was published",
    ),
    "manifest in the repository": (
        lambda home: edit(home.model_repository / NAME / "1" / "manifest.json", created="later"),
        rf"breaks at model repository, {NAME}: .*/1/manifest\.json is not the file that was published",
    ),
    "manifest of the artifact": (
        lambda home: edit(home.artifacts.directory("tiny", "mnli", "fp32") / "manifest.json", created="later"),
        rf"breaks at model repository, {NAME}: manifest\.json of version 1 is \w{{12}}, \w{{12}} is expected",
    ),
    "gate edited": (
        lambda home: change(home.artifacts.directory("tiny", "mnli", "fp32") / "gate.json"),
        r"breaks at artifact artifacts/tiny/mnli/fp32: its gate\.json is \w{12}, \w{12} is expected; export again",
    ),
    "gate deleted": (
        lambda home: (home.artifacts.directory("tiny", "mnli", "fp32") / "gate.json").unlink(),
        r"breaks at artifact artifacts/tiny/mnli/fp32: its gate\.json is missing, \w{12} is expected; export again",
    ),
    "manifest names another training": (
        lambda home: edit(
            home.artifacts.directory("tiny", "mnli", "fp32") / "manifest.json",
            checkpoint={
                "digest": digest_of(home),
                "account": {"phase": "target", "model": "tiny", "seen": {}, "seed": 3},
            },
        ),
        r"breaks at artifact artifacts/tiny/mnli/fp32: its manifest has another seed than its checkpoint",
    ),
    "manifest of another finetune": (
        lambda home: edit(home.artifacts.directory("tiny", "mnli", "fp32") / "manifest.json", finetune="siqa"),
        r"breaks at artifact artifacts/tiny/mnli/fp32: .*no fp32 graph of 'siqa'",
    ),
    "declaration in the repository": (
        lambda home: change(home.model_repository / f"{NAME}_text" / "1" / "text.json"),
        rf"breaks at model repository, {NAME}: .*_text/1/text\.json is not the file that was published",
    ),
    "known answer in the repository": (
        lambda home: change(home.model_repository / NAME / "1" / "known_answer.json"),
        rf"breaks at model repository, {NAME}: .*/1/known_answer\.json is not the file that was published",
    ),
    "warm-up in the repository": (
        lambda home: change(next((home.model_repository / NAME / "warmup").iterdir())),
        rf"breaks at model repository, {NAME}: .*warmup/probe-\w+-\w+ is not the file that was published",
    ),
    "digests in the repository": (
        lambda home: (home.model_repository / NAME / "1" / "files.json").unlink(),
        rf"breaks at model repository, {NAME}: .*/1/files\.json is missing or damaged; publish the model again",
    ),
}
OF_A_MODEL: dict[str, tuple[Callable[[Workspace], None], str]] = {
    "config deleted": (
        lambda home: (home.model_repository / NAME / "config.pbtxt").unlink(),
        rf"breaks at model repository, {NAME}: .*config\.pbtxt is missing or selects no version, of 1 .*promote tiny`",
    ),
    "config edited by hand": (
        lambda home: change(home.model_repository / NAME / "configs" / "online.pbtxt"),
        rf"breaks at model repository, {NAME}: .*configs/online\.pbtxt is not the config of version 1; .*promote tiny",
    ),
    "account of a target damaged": (
        lambda home: change(home.checkpoints / "tiny" / "target" / "mnli" / "phase.json", b"{"),
        r"breaks at checkpoint checkpoints/tiny/target/mnli: .*phase\.json is damaged",
    ),
    "manifest of the artifact damaged": (
        lambda home: change(home.artifacts.directory("tiny", "mnli", "fp32") / "manifest.json", b"{}"),
        r"breaks at artifact artifacts/tiny/mnli/fp32: .*manifest\.json is damaged",
    ),
}


def scores(home: Workspace) -> Path:
    return home.runs / "first" / "scores.json"


def with_provenance(home: Workspace, **values: Any) -> None:
    provenance = json.loads(scores(home).read_text(encoding="utf-8"))["provenance"]
    edit(scores(home), provenance={**provenance, **values})


def better(home: Workspace) -> None:
    """Write a better score than the answers have."""
    run_record = json.loads(scores(home).read_text(encoding="utf-8"))["tasks"]
    run_record["xnli"]["languages"]["ru"]["accuracy"] += 1
    edit(scores(home), tasks=run_record)


def other_label(home: Workspace) -> None:
    tasks = json.loads(scores(home).read_text(encoding="utf-8"))["tasks"]
    tasks["xnli"]["label"] = "test"
    edit(scores(home), tasks=tasks)


def kept(home: Workspace) -> Path:
    """Return the file with the answers of the run's graph."""
    (path,) = home.answers.glob("*.sqlite")
    return path


def rewrite(home: Workspace, change: Callable[[bytes], bytes]) -> None:
    """Write other answers in the place of those that are kept, with the right checksum."""
    with sqlite3.connect(kept(home)) as connection:
        about = dict(connection.execute("SELECT key, value FROM about"))
    with AnswerStore(kept(home), AnswerOrigin(graph=about["graph"], numerics=about["numerics"])) as store:
        ((keys, width),) = store.batches()
        before = store.read(keys)
    fewer_answers(home)
    with AnswerStore(kept(home), AnswerOrigin(graph=about["graph"], numerics=about["numerics"])) as store:
        store.add(keys, [tokens for tokens, _ in before], [change(answer) for _, answer in before], width)


def fewer_answers(home: Workspace) -> None:
    with sqlite3.connect(kept(home)) as connection:
        assert connection.execute("DELETE FROM block").rowcount == 1


def other_answers(home: Workspace) -> None:
    """Let every answer be contradiction, as a graph that was tampered with might give."""
    rewrite(home, lambda answer: b"\0\0\x80\x3f" + b"\0" * 8)


def near_answers(home: Workspace) -> None:
    """Move every logit by as little as changes no prediction."""
    rewrite(home, lambda answer: (np.frombuffer(answer, "<f4") + np.float32(0.001)).tobytes())


def flipped_answer(home: Workspace) -> None:
    with sqlite3.connect(kept(home)) as connection:
        connection.execute("UPDATE block SET data = CAST(? || SUBSTR(data, 2) AS BLOB)", (b"\x7f",))


def as_of_format_1(home: Workspace) -> None:
    """Rewrite the record of a run as it was before runs had a format."""
    record = json.loads(scores(home).read_text(encoding="utf-8"))
    del record["format"]
    record["tasks"]["xnli"]["label"] = "partial: 1/15 languages, test, not the official number of examples"
    change(scores(home), json.dumps(record).encode())


def test_run_of_format_1_holds_though_its_labels_are_worded_otherwise(home: Workspace) -> None:
    as_of_format_1(home)
    assert links(home)[-2].startswith("ok  scores of run")


def test_better_score_in_a_run_of_format_1_is_found(home: Workspace) -> None:
    as_of_format_1(home)
    better(home)
    with pytest.raises(ArtifactError, match=r"tasks xnli languages ru accuracy is .* in scores\.json"):
        links(home)


OF_A_RUN: dict[str, tuple[Callable[[Workspace], None], str]] = {
    "another label": (
        other_label,
        r"breaks at scores of run .*first: tasks xnli label is test in scores\.json and partial: 1/15 languages",
    ),
    "another graph was scored": (
        lambda home: with_provenance(home, graph_sha256={"mnli": "f" * 64}),
        rf"breaks at run .*first: the graph of {NAME} is \w{{12}}, ffffffffffff is expected",
    ),
    "another checkpoint was scored": (
        lambda home: with_provenance(home, checkpoint_sha256={"mnli": "f" * 64}),
        r"breaks at run .*first: its checkpoint is \w{12}, ffffffffffff is expected",
    ),
    "another tokenizer was used": (
        lambda home: with_provenance(home, tokenizer_sha256="f" * 64),
        r"breaks at run .*first: its tokenizer is \w{12}, ffffffffffff is expected",
    ),
    "a served graph that was deleted": (
        lambda home: (edit(scores(home), endpoint="triton (local)"), shutil.rmtree(home.model_repository)),
        rf"breaks at model repository, {NAME}: no version in .* is the graph of the run",
    ),
    "data changed": (
        lambda home: change(home.root.parent / "data/xtreme/xnli/test-ru.tsv", RUSSIAN[:-8].encode() + b"x\n"),
        r"breaks at data of xnli: their digest is \w{12}, \w{12} is expected; the files under .* are not those",
    ),
    "data deleted": (
        lambda home: (home.root.parent / "data/xtreme/xnli/test-ru.tsv").unlink(),
        r"breaks at data of xnli: .*test-ru\.tsv is missing; get it with `harness data get xnli`",
    ),
    "score written by hand": (
        better,
        r"breaks at scores of run .*first: tasks xnli languages ru accuracy is [\d.]+ in scores\.json and [\d.]+ in",
    ),
    "no graphs in the provenance": (
        lambda home: with_provenance(home, graph_sha256={}),
        r"breaks at run .*first: .*scores\.json provenance graph_sha256 lacks mnli; evaluate again",
    ),
    "no data in the provenance": (
        lambda home: with_provenance(home, data_sha256={}),
        r"breaks at run .*first: .*scores\.json provenance data_sha256 lacks xnli; evaluate again",
    ),
    "no tokenizer in the provenance": (
        lambda home: edit(scores(home), provenance={"graph_sha256": {}, "data_sha256": {}, "checkpoint_sha256": {}}),
        r"breaks at run .*first: .*damaged \(provenance: Object missing required field `tokenizer_sha256`\)",
    ),
    "provenance of another form": (
        lambda home: edit(scores(home), provenance=[]),
        r"breaks at run .*first: .*scores\.json is damaged \(provenance: Expected `object`, got `array`\)",
    ),
    "request without its limit": (
        lambda home: edit(scores(home), request={"data": "data", "tasks": ["xnli"], "suite": None, "protocols": []}),
        r"breaks at run .*first: .*damaged \(request: Object missing required field `limit`\); evaluate again",
    ),
    "journal deleted": (
        lambda home: (home.runs / "first" / "journal.sqlite").unlink(),
        r"breaks at scores of run .*first: .*runs/first/journal\.sqlite is missing",
    ),
    "journal damaged": (
        lambda home: change(home.runs / "first" / "journal.sqlite", b"no database" * 999),
        r"breaks at scores of run .*first: (?!.*harness-verify-).*runs/first",
    ),
    "answers lost": (fewer_answers, r"breaks at scores of run .*first: .* lacks 4 answers"),
    "answer flipped on disk": (
        flipped_answer,
        r"breaks at scores of run .*first: .* had 4 damaged answers \(block 1: the checksum differs\)",
    ),
    "answers moved": (near_answers, rf"breaks at answers of run .*first: {NAME} answers row \w+ with another logits"),
    "answers changed": (other_answers, r"breaks at scores of run .*first: tasks xnli"),
    "scores damaged": (lambda home: change(scores(home), b"{"), r"breaks at run .*first: .*scores\.json is damaged"),
}


def check_first_broken(home: Workspace, target: str, damage: Callable[[Workspace], None], message: str) -> None:
    assert all(line.startswith("ok") for line in links(home, target))
    damage(home)
    with pytest.raises(ArtifactError, match=message):
        links(home, target)


@pytest.mark.parametrize("link", BREAKS)
@pytest.mark.parametrize("target", ["first", "tiny"])
def test_first_broken_link_is_named(home: Workspace, target: str, link: str) -> None:
    check_first_broken(home, target, *BREAKS[link])


@pytest.mark.parametrize("target", ["first", "tiny"])
@pytest.mark.parametrize("damage", ["missing", "shortened", "changed"])
@pytest.mark.parametrize("link", ["artifact", "model repository"])
def test_weights_beside_a_graph_are_links_of_the_chain(
    build: Callable[..., Workspace], apart: Callable[[Artifact], Artifact], target: str, damage: str, link: str
) -> None:
    home = build(apart)
    folders = {
        "artifact": home.artifacts.directory("tiny", "mnli", "fp32"),
        "model repository": home.model_repository / NAME / "1",
    }
    place = {"artifact": "artifact artifacts/tiny/mnli/fp32", "model repository": f"model repository, {NAME}"}[link]

    def harm(_: Workspace) -> None:
        path = folders[link] / "model.onnx.data"
        content = path.read_bytes()
        change(path, content[:-1] if damage == "shortened" else content[:-1] + b"\x7f")
        if damage == "missing":
            path.unlink()

    what = "is missing" if damage == "missing" else "is not the file (its manifest describes|that was published)"
    check_first_broken(home, target, harm, rf"breaks at {place}: .*model\.onnx\.data {what}; ")


@pytest.mark.parametrize("link", OF_A_MODEL)
def test_first_broken_link_of_a_model_is_named(home: Workspace, link: str) -> None:
    check_first_broken(home, "tiny", *OF_A_MODEL[link])


@pytest.mark.parametrize("link", OF_A_RUN)
def test_first_broken_link_of_a_run_is_named(home: Workspace, link: str) -> None:
    check_first_broken(home, "first", *OF_A_RUN[link])


def test_run_stays_whole_when_another_version_is_served_but_the_model_is_not(
    home: Workspace, artifact: Make, tokenizer_file: Path, probe: list[int], tmp_path: Path
) -> None:
    """Versions are only ever added: what was scored is still there, although something else answers now."""
    other = artifact_of(tmp_path / "other", artifact("sequence", seed=2), tokenizer_file, "d" * 64)
    assert publish(other, home.model_repository, Serving(threads=1), probe_ids=probe, text=text_model) == 2
    assert f"ok  model repository, {NAME}: version 1 is the graph of the run" in links(home)
    with pytest.raises(ArtifactError, match=rf"{NAME}: the graph of version 2 is \w+, \w+ is expected; publish"):
        links(home, "tiny")
    promote(home.model_repository, "tiny", version=1)
    assert links(home, "tiny")[-1].startswith(f"ok  model repository, {NAME}: version 1")


def test_unknown_target_is_refused_with_the_nearest(home: Workspace) -> None:
    with pytest.raises(UsageError, match=r"'tinny' is no run and no model under .*, did you mean 'tiny'; `harness m"):
        links(home, "tinny")


def test_command_prints_a_line_for_each_link_and_exits_with_2_at_the_first_broken_one(
    home: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("HARNESS_HOME", str(home.root))
    monkeypatch.setattr("sys.argv", ["harness", "verify", "tiny", "--quiet"])
    change(home.model_repository / NAME / "1" / "model.onnx")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert len(said.out.splitlines()) == 5
    assert said.err.startswith(f"harness: the chain breaks at model repository, {NAME}: ")
    assert said.err.count("\n") == 1


def test_counts_that_an_older_run_lacks_do_not_make_it_differ() -> None:
    before, now = ({"score": 50.0, "placeholders": counted} for counted in (None, {"de": 2}))
    assert runs._first_difference(before, now, "pawsx") == ""
    assert runs._first_difference(now, before, "pawsx") == "pawsx placeholders is {'de': 2} in scores.json and None"
    assert runs._first_difference(before, {**before, "score": 49.0}, "pawsx") != ""
