import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from harness import cli
from harness.artifacts.store import Artifact
from harness.core.errors import ArtifactError, HarnessError, UsageError
from harness.serving.repository.config import Serving
from harness.serving.repository.layout import selected
from harness.serving.repository.releases import promote, rollback
from harness.serving.repository.store import publish
from harness.serving.repository.text_model import text_model

Make = Callable[..., Artifact]
SERVING = Serving(threads=1)
FILES = ("tiny-mnli-fp32/config.pbtxt", "tiny-mnli-fp32/configs/online.pbtxt", "tiny-mnli-fp32_text/config.pbtxt")


@pytest.fixture
def repository(exported: Make, artifact: Make, probe: list[int], tmp_path: Path) -> Path:
    """Versions 1 and 2 of tiny-mnli-fp32 with its text model, and one of tiny-embedding-fp32."""
    folder = tmp_path / "home" / "model_repository"
    for seed in (0, 1):
        publish(exported(seed=seed), folder, SERVING, probe_ids=probe, text=text_model)
    graph = artifact("embedding")
    (graph.directory / "manifest.json").write_bytes(msgspec.json.encode(graph.manifest))
    publish(graph, folder, SERVING, probe_ids=probe)
    return folder


def state(repository: Path) -> list[int | None]:
    return [selected(repository / file) for file in FILES]


def test_promote_moves_every_profile_and_the_text_model(repository: Path) -> None:
    assert state(repository) == [2, 2, 2]
    (move,) = promote(repository, "tiny", finetune="mnli", version=1)
    assert move.describe() == "tiny-mnli-fp32: version 1, was 2"
    assert state(repository) == [1, 1, 1]
    kept = repository / "tiny-mnli-fp32" / "1" / "configs"
    assert (repository / FILES[0]).read_bytes() == (kept / "evaluation.pbtxt").read_bytes()
    assert (repository / FILES[1]).read_bytes() == (kept / "online.pbtxt").read_bytes()


def test_promote_without_a_version_takes_the_newest_of_each_graph(repository: Path) -> None:
    promote(repository, "tiny", finetune="mnli", version=1)
    moves = promote(repository, "tiny")
    assert [(move.name, move.before, move.after) for move in moves] == [
        ("tiny-embedding-fp32", 1, 1),
        ("tiny-mnli-fp32", 1, 2),
    ]
    assert moves[0].describe() == "tiny-embedding-fp32: version 1, unchanged"
    assert state(repository) == [2, 2, 2]


def test_rollback_goes_to_the_version_before(repository: Path) -> None:
    (move,) = rollback(repository, "tiny", finetune="mnli")
    assert (move.before, move.after) == (2, 1)
    assert state(repository) == [1, 1, 1]
    with pytest.raises(UsageError, match="tiny-mnli-fp32 serves version 1 and has none before it; it has 1, 2"):
        rollback(repository, "tiny", finetune="mnli")


def test_one_graph_that_cannot_move_keeps_all(repository: Path) -> None:
    with pytest.raises(UsageError, match="tiny-embedding-fp32 serves version 1 and has none before it"):
        rollback(repository, "tiny")
    with pytest.raises(UsageError, match=r"tiny-embedding-fp32 has no version 2 .*; it has 1"):
        promote(repository, "tiny", version=2)
    assert state(repository) == [2, 2, 2]


def test_damaged_config_is_replaced_by_promote_and_told_by_rollback(repository: Path) -> None:
    (repository / FILES[0]).write_bytes(b"\xff\xfe")
    with pytest.raises(ArtifactError, match=rf"{FILES[0]} cannot be read \(it is not UTF-8\); select a version again"):
        rollback(repository, "tiny", finetune="mnli")
    (move,) = promote(repository, "tiny", finetune="mnli", version=1)
    assert (move.before, move.after) == (None, 1)
    assert state(repository) == [1, 1, 1]


def test_graph_with_a_config_but_no_version_is_refused(repository: Path) -> None:
    shutil.rmtree(repository / "tiny-mnli-fp32" / "1")
    shutil.rmtree(repository / "tiny-mnli-fp32" / "2")
    with pytest.raises(ArtifactError, match=r"tiny-mnli-fp32 has no version, only configs; publish one with"):
        promote(repository, "tiny", finetune="mnli")


def test_damaged_version_is_refused(repository: Path) -> None:
    graph = repository / "tiny-mnli-fp32" / "1" / "model.onnx"
    graph.unlink()
    graph.write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match=r"1/model\.onnx is not the file that was published"):
        rollback(repository, "tiny", finetune="mnli")
    assert state(repository) == [2, 2, 2]


def test_weights_beside_a_graph_go_with_its_version(
    repository: Path, exported: Make, apart: Callable[[Artifact], Artifact], probe: list[int]
) -> None:
    third = apart(exported(seed=2))
    assert publish(third, repository, SERVING, probe_ids=probe, text=text_model) == 3
    assert [move.after for move in rollback(repository, "tiny", finetune="mnli")] == [2]
    (repository / "tiny-mnli-fp32" / "3" / "model.onnx.data").unlink()
    with pytest.raises(ArtifactError, match=r"3/model\.onnx\.data is missing; publish the model again"):
        promote(repository, "tiny", finetune="mnli")
    assert state(repository) == [2, 2, 2]


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("tini", {}, "nothing is published as 'tini', did you mean 'tiny'"),
        ("tiny-mnli-fp32", {}, "give its model, 'tiny', and `--finetune`"),
        ("tiny", {"finetune": "mnl"}, "`--finetune mnl`: 'tiny' has no such graph, did you mean 'mnli'"),
        ("tiny", {"variant": "int8"}, "`--variant int8`: 'tiny' has no such graph; it has fp32"),
        ("tiny", {"finetune": "mnli", "version": 9}, "tiny-mnli-fp32 has no version 9 .*; it has 1, 2"),
    ],
)
def test_unknown_names_are_refused_with_what_there_is(
    repository: Path, model: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(HarnessError, match=message):
        promote(repository, model, **options)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["harness", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_repository_that_cannot_be_written_is_one_sentence(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(repository / ".select-1"))

    monkeypatch.setenv("HARNESS_HOME", str(repository.parent))
    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    assert run(monkeypatch, "models", "promote", "tiny", "--finetune", "mnli") == 2
    assert capsys.readouterr().err == f"harness: {repository / '.select-1'}: Permission denied\n"


def test_commands_print_each_graph_or_one_sentence(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(repository.parent))
    assert run(monkeypatch, "models", "rollback", "tiny", "--finetune", "mnli") == 0
    assert capsys.readouterr().out == "tiny-mnli-fp32: version 1, was 2\n"
    assert run(monkeypatch, "models", "promote", "tiny", "--finetune", "mnli") == 0
    assert capsys.readouterr().out == "tiny-mnli-fp32: version 2, was 1\n"
    assert run(monkeypatch, "models", "promote", "tiny", "--version", "5") == 2
    assert "has no version 5" in capsys.readouterr().err
    assert run(monkeypatch, "models") == 0
    assert str(repository.parent) in capsys.readouterr().out
