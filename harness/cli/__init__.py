"""The `harness` command: one module for each group of commands, which parses, calls and prints.

May import every room; nothing imports it. Heavy packages are imported inside the commands, so that
`harness --help` answers at once.
"""

from harness.cli import (  # noqa: F401 - each registers its commands, in the order of the help
    add,
    cache,
    compare,
    data,
    evaluate,
    export,
    models,
    predict,
    reference,
    score,
    serve,
    train,
)
from harness.cli.application import app, main

__all__ = ["app", "main"]
