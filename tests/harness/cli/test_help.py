"""What the help promises: whole summaries, real defaults, an example that the parser accepts, every task named."""

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer
from typer.main import get_command

from harness.benchmark import tasks
from harness.cli import app
from harness.cli.application import ORDER
from harness.text.forms import FORMS

ROOT = get_command(app)


def commands(group: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with the words that call it, groups included."""
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


EVERY = dict(commands())


@pytest.fixture
def text(call: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Return the help of a command as a terminal of 80 columns shows it."""
    monkeypatch.setenv("COLUMNS", "80")

    def help_of(*path: str) -> str:
        assert call(*path, "--help") == 0
        return capsys.readouterr().out

    return help_of


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_help_fits_the_terminal_and_ends_with_an_example(text: Callable, path: tuple[str, ...]) -> None:
    shown = text(*path)
    # An example is one line, to be copied.
    assert [line for line in shown.partition("Example:")[0].splitlines() if len(line) > 80] == []
    assert re.search(r"\nExample:\n(  harness .*\n)+$", shown)


@pytest.mark.parametrize(
    "path", [path for path, command in EVERY.items() if hasattr(command, "commands")], ids=" ".join
)
def test_list_of_commands_has_one_whole_line_for_each(text: Callable, path: tuple[str, ...]) -> None:
    shown = text(*path).partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    names = [each[-1] for each in EVERY if each[:-1] == path and each]
    assert [line.split()[0] for line in shown] == sorted(names, key=lambda name: (*ORDER, *names).index(name))
    assert [line for line in shown if not line.endswith(".")] == []


def test_every_command_has_its_place_in_the_order() -> None:
    assert {path[0] for path in EVERY if path} == set(ORDER)


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_example_is_a_call_that_the_parser_accepts(path: tuple[str, ...]) -> None:
    for line in EVERY[path].epilog.splitlines():
        program, *words = shlex.split(line)
        assert program == "harness"
        command: Any = ROOT
        context = None
        while hasattr(command, "commands") and words and words[0] in command.commands:
            context = command.make_context("harness", [words[0]], parent=context)
            command = command.commands[words.pop(0)]
        try:
            command.make_context("harness", words, parent=context)
        except typer.Exit:
            assert words == ["--help"]


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_option_is_explained_with_its_default(path: tuple[str, ...]) -> None:
    for parameter in EVERY[path].params:
        if parameter.name == "help":
            continue
        assert parameter.help, parameter.name
        flag = getattr(parameter, "is_flag", False)
        if parameter.param_type_name == "option" and not (flag or parameter.required or parameter.default is not None):
            optional = ("accept_drift", "container", "repository")  # what they do if given is all there is to say
            assert "[default: " in parameter.help or parameter.name in optional, parameter.name


@pytest.mark.parametrize("name", tasks.names())
def test_help_of_predict_names_the_texts_of_every_task(text: Callable, name: str) -> None:
    finetune = tasks.load(name).finetune
    fields = FORMS[type(finetune.featurizer)](finetune.featurizer, finetune.postprocess).fields
    (line,) = [line for line in text("predict").splitlines() if re.match(rf"^ +([\w, ]*, )?{name}\b", line)]
    named = re.split(r"\s{2,}", line.strip(), maxsplit=1)[1]
    found = [
        word
        for word in re.findall(r"\w+", named)
        if word in ("text", "text_pair", "question", "context", "choices", "side")
    ]
    assert found == [field.name for field in fields]


@pytest.mark.parametrize("way", ["onnx", "onnx:cuda", "onnx:tensorrt", "triton://", "tritons://"])
def test_help_of_eval_lists_the_endpoints(text: Callable, way: str) -> None:
    assert way in text("eval")
