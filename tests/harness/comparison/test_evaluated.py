"""What `harness eval` prints of finished runs."""

from xnli_labels import wrong

from harness.artifacts.workspace import Workspace
from harness.comparison.evaluated import intervals, run_differences, seed_lines, signature_line


def test_differences_are_those_of_compare(workspace: Workspace, make_run, xnli) -> None:
    ru, en = xnli("ru"), xnli("en")
    one = make_run("one", {"xnli": {"ru": ru, "en": en}})
    two = make_run("two", {"xnli": {"ru": ["neutral"] * 45 + ru[45:], "en": en}})
    title, *lines = "\n".join(run_differences(one, two, workspace)).splitlines()
    assert title == "two@fp32 minus one@fp32 by script, points"
    assert lines[0].split() == ["task", "Latn", "Cyrl", "mean"]
    cells = lines[1].split()
    assert cells[:2] == ["xnli", "+0.0"]
    # Two of three labels are wrong in most premises, and that is significant.
    assert cells[3] == f"{100 * (ru[:45].count('neutral') - 45) / 60:+.1f}"
    assert cells[4].startswith("±")
    assert cells[4].endswith("*")
    assert any("Holm's correction" in line for line in lines)
    assert lines[-1] == f"intervals and p-values of each: `harness compare {one} {two} --by script`"


def test_languages_of_one_run_only_are_not_compared(workspace: Workspace, make_run, xnli) -> None:
    ru, en = xnli("ru"), xnli("en")
    one, two = make_run("one", {"xnli": {"ru": ru}}), make_run("two", {"xnli": {"ru": ru, "en": en}})
    lines = "\n".join(run_differences(one, two, workspace)).splitlines()
    assert lines[1].split() == ["task", "Cyrl", "mean"]


def test_intervals_are_kept_beside_the_scores_they_belong_to(workspace: Workspace, make_run, xnli) -> None:
    xnli("ru")
    folder = make_run("one", {"xnli": {"ru": ["neutral"] * 60, "en": xnli("en")}})
    found = intervals(folder, workspace)
    assert set(found.tasks["xnli"]) == {"ru", "en", "mean", "Cyrl", "Latn", "Indo-European"}
    assert 5 < found.halves["xnli", "ru"] < 25
    kept = folder / "intervals.json"
    assert intervals(folder, workspace) == found
    # Of another record they are computed again, and so are those of a cut file.
    kept.write_text(kept.read_text(encoding="utf-8").replace(found.scores_sha256, "0" * 64), encoding="utf-8")
    assert intervals(folder, workspace) == found
    kept.write_text(kept.read_text(encoding="utf-8")[:40], encoding="utf-8")
    assert intervals(folder, workspace) == found


def test_scores_of_one_cluster_have_no_interval_and_a_reason(workspace: Workspace, make_run, xnli) -> None:
    found = intervals(make_run("one", {"xnli": {"ru": xnli("ru", premises=1)}}), workspace)
    assert found.tasks == {}
    (line,) = found.problems
    assert line.startswith("no interval of xnli ru, xnli mean: ")


def test_a_run_whose_data_are_gone_says_so(workspace: Workspace, make_run, xnli, layout) -> None:
    folder = make_run("one", {"xnli": {"ru": xnli("ru")}})
    (layout.xtreme / "xnli" / "test-ru.tsv").unlink()
    (line,) = intervals(folder, workspace).problems
    assert "test-ru.tsv is missing" in line


def test_runs_that_do_not_compare_get_a_sentence(workspace: Workspace, make_run, xnli) -> None:
    ru = xnli("ru")
    one, two = make_run("one", {"xnli": {"ru": ru}}), make_run("two", {"xnli": {"ru": ru[:30]}}, limit=30)
    (line,) = run_differences(one, two, workspace)
    assert line.startswith("not compared: xnli: one@fp32 and two@fp32 have different limit")


def test_signature_stands_on_a_line(workspace: Workspace, make_run, xnli) -> None:
    line = signature_line(make_run("one", {"xnli": {"ru": xnli("ru")}}), workspace)
    assert line.startswith("signature suite:none|tasks:xnli|")


def test_seeds_end_in_their_mean_spread_and_interval(workspace: Workspace, make_run, xnli) -> None:
    ru = xnli("ru")
    folders = [
        make_run(f"english.seed{seed}", {"xnli": {"ru": wrong(ru, *range(seed * 3))}}, name=str(seed))
        for seed in (1, 2, 3)
    ]
    title, header, row, *_ = "\n".join(seed_lines(folders, workspace)).strip().splitlines()
    assert title.startswith("english@fp32 over seeds by script")
    assert header.split()[:4] == ["task", "group", "languages", "n"]
    assert row.split()[:2] == ["xnli", "Cyrl"]
    # 95, 90 and 85 percent.
    assert "90.0 (sd 5.0, 3 seeds)" in row


def test_seeds_of_two_recipes_end_in_their_difference(workspace: Workspace, make_run, xnli) -> None:
    ru = xnli("ru")
    folders = [
        make_run(f"{name}.seed{seed}", {"xnli": {"ru": wrong(ru, *range(count + seed))}}, name=f"{name}{seed}")
        for name, count in (("english", 20), ("mixed", 2))
        for seed in (1, 2, 3)
    ]
    lines = "\n".join(seed_lines(folders, workspace)).strip().splitlines()
    assert lines[0].startswith("mixed@fp32 minus english@fp32 over seeds by script")
    assert "+30.0" in lines[2]
