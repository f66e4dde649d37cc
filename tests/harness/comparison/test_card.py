"""`harness card`: what a reader of a model has to know, with the metadata that the hub reads."""

import json

import pytest
from huggingface_hub import ModelCard
from xnli_labels import wrong

from harness.artifacts.workspace import Workspace
from harness.commands.comparison import card
from harness.core.errors import UsageError
from harness.core.progress import Silent


def made(model: str, workspace: Workspace) -> str:
    return "\n".join(card(model, None, workspace, Silent()))


@pytest.fixture
def scored(make_run, xnli, graph_of) -> None:
    graph_of("mnli", model="english", seen={"inference": {"en": 100}})
    make_run("english", {"xnli": {"ru": wrong(xnli("ru"), 1, 2, 5), "en": xnli("en")}})


def test_the_hub_reads_the_scores(scored, workspace) -> None:
    metadata = ModelCard(made("english", workspace)).data
    assert metadata.language == ["en", "ru"]
    assert metadata.model_name == "english"
    (result,) = metadata.eval_results
    assert (result.task_type, result.dataset_split, result.metric_type) == ("xnli", "test", "accuracy")
    assert result.metric_value == pytest.approx(97.5)


def test_a_score_has_interval_and_n_and_says_what_it_is_of(scored, workspace) -> None:
    text = made("english", workspace)
    (line,) = [line for line in text.splitlines() if line.startswith("| xnli |")]
    assert "partial" in line
    assert "95.0 ±" in line
    assert "n 60" in line
    assert "n 120" in line
    assert "* inference: en" in text
    assert "* signature: suite:none\\|tasks:xnli\\|" in text
    assert "udpos" not in text


def test_each_graph_has_its_own_exposure(graph_of, workspace) -> None:
    graph_of("mnli", model="english", seen={"reading": {"ru": 5}, "inference": {"en": 100}})
    graph_of("copa", model="english", seen={"reading": {"ru": 5}, "choice": {"en": 7}})
    lines = made("english", workspace).splitlines()
    assert "* reading: ru" in lines
    assert "* the graph mnli also inference: en" in lines
    assert "* the graph copa also choice: en" in lines
    assert not any(line.startswith(("* choice", "* inference")) for line in lines)


def test_the_command_repeats_the_run_and_not_another(make_run, xnli, graph_of, workspace) -> None:
    graph_of("mnli", model="a b")
    folder = make_run("a b", {"xnli": {"ru": xnli("ru")[:30]}}, limit=30, name="odd")
    path = folder / "scores.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["request"] |= {"languages": ["ru"], "available": True, "tuning": False, "split": "xnli=test"}
    path.write_text(json.dumps(document), encoding="utf-8")
    command = (
        "harness eval --model 'a b' --tasks xnli --languages ru --split xnli=test --variant fp32 --limit 30 "
        "--available --no-tuning"
    )
    assert command in made("a b", workspace).splitlines()


def test_a_model_without_runs_has_no_score_and_the_command_that_makes_one(graph_of, workspace) -> None:
    graph_of("mnli", model="english")
    text = made("english", workspace)
    assert "None yet: `harness eval --model english`." in text
    assert ModelCard(text).data.eval_results is None


def test_a_model_without_graphs_is_refused(workspace) -> None:
    with pytest.raises(UsageError, match="model 'nope' has no exported graph here"):
        made("nope", workspace)


def test_names_cannot_be_markup(make_run, xnli, graph_of, workspace) -> None:
    name = "<b>x_`|"
    graph_of("mnli", model=name)
    make_run(name, {"xnli": {"ru": xnli("ru")}}, name="odd", representation="layer <script>")
    text = made(name, workspace)
    body = text.split("---", 2)[2]
    assert "# &lt;b&gt;x_\\`\\|" in body
    assert "<script>" not in body
    assert ModelCard(text).data.model_name == name


def test_a_run_whose_data_are_gone_says_why_there_is_no_score(scored, workspace, layout) -> None:
    (layout.xtreme / "xnli" / "test-ru.tsv").unlink()
    assert "No scores with intervals: " in made("english", workspace)


def test_the_card_is_written_where_it_is_wanted(scored, workspace, tmp_path) -> None:
    (line,) = card("english", tmp_path / "made" / "card.md", workspace, Silent())
    assert line.endswith("card.md: 1 runs of english")
    assert (tmp_path / "made" / "card.md").read_text(encoding="utf-8").startswith("---\n")
