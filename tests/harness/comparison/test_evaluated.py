"""What `harness eval` prints of finished runs."""

from harness.artifacts.workspace import Workspace
from harness.comparison.evaluated import measured, run_differences, signature_line


def test_differences_are_those_of_compare(workspace: Workspace, make_run, xnli) -> None:
    ru = xnli("ru")
    one, two = make_run("one", {"xnli": {"ru": ru}}), make_run("two", {"xnli": {"ru": ["neutral"] * 60}})
    title, *lines = "\n".join(run_differences(one, two, workspace)).splitlines()
    assert title == "two@fp32 minus one@fp32 by script, percentage points"
    assert lines[0].split() == ["task", "group", "languages", "n", "difference", "95", "%", "interval", "p", "(Holm)"]
    assert lines[1].split()[:5] == ["xnli", "Cyrl", "1", "60", f"{100 * (ru.count('neutral') / 60 - 1):+.1f}"]
    assert any("Holm's correction" in line for line in lines)


def test_runs_that_do_not_compare_get_a_sentence(workspace: Workspace, make_run, xnli) -> None:
    ru = xnli("ru")
    one, two = make_run("one", {"xnli": {"ru": ru}}), make_run("two", {"xnli": {"ru": ru[:30]}}, limit=30)
    (line,) = run_differences(one, two, workspace)
    assert line.startswith("not compared: xnli: one@fp32 and two@fp32 have different limit")


def test_scores_have_intervals_and_n(workspace: Workspace, make_run, xnli) -> None:
    found = measured(make_run("one", {"xnli": {"ru": xnli("ru"), "en": xnli("en")}}), workspace)
    assert set(found) == {("xnli", "ru"), ("xnli", "en"), ("xnli", "mean")}
    assert found["xnli", "mean"].text().endswith(", n 120")


def test_signature_stands_on_a_line(workspace: Workspace, make_run, xnli) -> None:
    line = signature_line(make_run("one", {"xnli": {"ru": xnli("ru")}}), workspace)
    assert line.startswith("signature suite:none|tasks:xnli|")
