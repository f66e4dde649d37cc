"""The command line's root: the application, its help, and how it ends."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from harness.core.errors import HarnessError, UsageError
from harness.core.output import accept_all_letters, only_shown
from harness.core.version import __version__

_GPU = "a GPU is an endpoint: `--endpoint onnx:cuda` or `--endpoint onnx:tensorrt`"
_BATCHES = (
    "batches are cut by a budget of tokens: `harness tune --model MODEL` finds the fastest one for this machine, and "
    "`--endpoint onnx:cuda` computes on a GPU"
)
#: What people write for an option of a command that has another one -> that one, and what to say.
HINTS = {
    "--device": ("--endpoint", _GPU),
    "--gpu": ("--endpoint", _GPU),
    "--cuda": ("--endpoint", _GPU),
    "--batch-size": ("--endpoint", _BATCHES),
    "--batch_size": ("--endpoint", _BATCHES),
    "--lang": ("--languages", "write `--languages ru,zh`"),
    "--language": ("--languages", "write `--languages ru,zh`"),
    "--task": ("--tasks", "write `--tasks xnli,udpos`"),
    "--models": ("--model", "write `--model NAME`"),
}
#: The commands in the order of the chain; what is not named comes after.
ORDER = (
    *(
        "train",
        "add",
        "export",
        "eval",
        "predict",
        "serve",
        "tune",
        "models",
        "compare",
        "report",
        "predictions",
        "card",
        "leaderboard",
    ),
    *("verify", "rescore", "score", "data", "tasks", "encoders", "gc", "cache", "sweep-layers", "bench", "doctor"),
)
#: Columns of the help at most; a narrower terminal has its own width.
_WIDTH = 100


class Commands(TyperGroup):
    """A group whose list shows each command's summary whole."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order of the chain."""
        found = super().list_commands(ctx)
        return sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list; click itself cuts each summary at the end of the line."""
        rows = [
            (name, (command.help or "").partition("\n")[0])
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None and not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the example as it is to be typed."""
        _write_example(self.epilog, formatter)


class Command(TyperCommand):
    """A command whose help shows options by group and ends with an example, and that knows common mistakes."""

    #: So that `parse_args` sees them; they are refused there.
    allow_extra_args = True

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments of the command.

        Raises:
            UsageError: there is one too many, as where a list is written with spaces.
        """
        given = list(args)
        rest = super().parse_args(ctx, args)
        if ctx.args and not self.context_settings.get("allow_extra_args"):
            raise UsageError(_too_many(self, given, ctx.args, ctx.command_path))
        return rest

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, those with a group below its name."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panel = getattr(parameter, "rich_help_panel", None)
                groups.setdefault(panel or _kind(parameter), []).append(record)
        # What is positional first, and what has no group of its own last.
        order = sorted(groups, key=lambda name: (name != _ARGUMENTS, name == _OPTIONS))
        for name in order:
            with formatter.section(name):
                formatter.write_dl(groups[name])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the example as it is to be typed."""
        _write_example(self.epilog, formatter)


_ARGUMENTS, _OPTIONS = "Arguments", "Options"


def _kind(parameter: Any) -> str:
    return _ARGUMENTS if parameter.param_type_name == "argument" else _OPTIONS


def _write_example(text: str | None, formatter: Any) -> None:
    if text:
        with formatter.section("Example"):
            for line in text.splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def _too_many(command: Command, given: Sequence[str], extra: Sequence[str], path: str) -> str:
    """Return what to say of arguments that a command does not take.

    Args:
        command: the command.
        given: all its arguments, in order.
        extra: those of them that it does not take, in order.
        path: how the command was called.
    """
    first = given.index(extra[0])
    option, value = given[max(first - 2, 0)], given[max(first - 1, 0)]
    lists = {name for each in command.params if "comma" in (getattr(each, "help", "") or "") for name in each.opts}
    if option in lists:
        stop = next((i for i, word in enumerate(given[first:], start=first) if word.startswith("-")), len(given))
        words = [value, *given[first:stop]]
        return (
            f"`{option} {' '.join(words)}` has spaces, and a list is written with commas: `{option} {','.join(words)}`"
        )
    return f"{extra[0]!r} is one argument too many; `{path} --help` shows what the command takes"


app = typer.Typer(
    name="harness",
    cls=Commands,
    help="Train, export, serve and evaluate multilingual encoders on XTREME and XTREME-R.",
    epilog="harness train sample/english sample/mixed_ru --export\nharness eval --model english,mixed_ru",
    context_settings={"max_content_width": _WIDTH},
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 2, Ctrl-C is 130."""
    accept_all_letters()
    with only_shown():
        _run()


def _run() -> None:
    import signal

    # typer carries a click of its own in newer releases and uses the package in older ones; what it exports
    # comes from the right one.
    wrong_call = cast(type[typer.BadParameter], typer.BadParameter.__mro__[2])
    interrupts: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        # A library may swallow the exception (imports do, in weak reference callbacks), never the exit code.
        interrupts.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        status = app(standalone_mode=False)
    except HarnessError as error:
        _fail(str(error))
        sys.exit(2)
    except wrong_call as error:
        hint = _hint(error)
        if hint:
            _fail(hint)
            sys.exit(2)
        error.show()
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _fail("stopped")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        file = f"{error.filename}: " if error.filename is not None else ""
        _fail(f"{file}{error.strerror or repr(error)}")
        sys.exit(2)
    if interrupts or status == 130:
        # typer ends a command that was interrupted without a word.
        _fail("stopped")
        sys.exit(130)
    sys.exit(status or 0)


def _hint(error: Any) -> str | None:
    """Return what to say of an option that a command has under another name; None for other mistakes."""
    option = getattr(error, "option_name", None)
    if option not in HINTS or error.ctx is None:
        return None
    right, text = HINTS[option]
    if not any(right in parameter.opts for parameter in error.ctx.command.params):
        return None
    return f"there is no option {option}; {text}"


def _fail(message: str) -> None:
    print(f"harness: {message}", file=sys.stderr)  # noqa: T201 - nothing else prints a failure
