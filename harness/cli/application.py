"""The command line's root: the application, its help, and how it ends."""

import sys
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from harness.core.errors import HarnessError
from harness.core.version import __version__

#: What people write for an option that the command spells otherwise.
HINTS = {
    "--device": "a GPU is an endpoint: `--endpoint onnx:cuda` or `--endpoint onnx:tensorrt`",
    "--gpu": "a GPU is an endpoint: `--endpoint onnx:cuda` or `--endpoint onnx:tensorrt`",
    "--batch-size": "batches are cut by a budget of tokens, and `harness tune` finds the fastest",
    "--batch_size": "batches are cut by a budget of tokens, and `harness tune` finds the fastest",
    "--language": "write `--languages ru,zh`",
    "--task": "write `--tasks xnli,udpos`",
    "--models": "write `--model NAME`, once for each model",
}
#: The commands in the order of the chain; what is not named comes after.
ORDER = (
    *("train", "add", "export", "eval", "predict", "serve", "tune", "models", "verify", "rescore", "score"),
    *("data", "tasks", "encoders", "gc", "sweep-layers", "bench", "doctor"),
)
#: Columns of the help at most.
_WIDTH = 100


class Commands(TyperGroup):
    """A group whose list shows each command's summary whole."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order of the chain."""
        found = super().list_commands(ctx)
        return sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list; click itself cuts each summary at the end of the line."""
        formatter.width = _WIDTH
        rows = [
            (name, (command.help or "").partition("\n")[0])
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None and not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


class Command(TyperCommand):
    """A command whose help shows options by group, and ends with an example."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, those with a group below its name."""
        formatter.width = _WIDTH
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panel = getattr(parameter, "rich_help_panel", None)
                groups.setdefault(panel or _kind(parameter), []).append(record)
        for name, rows in groups.items():
            with formatter.section(name):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the example as it is to be typed."""
        if self.epilog:
            with formatter.section("Example"):
                for line in self.epilog.splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def _kind(parameter: Any) -> str:
    return "Arguments" if parameter.param_type_name == "argument" else "Options"


app = typer.Typer(
    name="harness",
    cls=Commands,
    help="Train, export, serve and evaluate multilingual encoders on XTREME and XTREME-R.",
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
        option = getattr(error, "option_name", None)
        if option in HINTS:
            _fail(f"there is no option {option}; {HINTS[option]}")
            sys.exit(2)
        error.show()
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _fail("stopped")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename is not None else ""
        _fail(f"{place}{error.strerror or repr(error)}")
        sys.exit(2)
    if interrupts or status == 130:
        # typer ends a command that was interrupted without a word.
        _fail("stopped")
        sys.exit(130)
    sys.exit(status or 0)


def _fail(message: str) -> None:
    print(f"harness: {message}", file=sys.stderr)  # noqa: T201 - the one place that words a failure
