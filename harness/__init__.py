"""The XTREME harness: evaluates multilingual encoders through the graphs that are served.

The public API, each name loaded on first use: `evaluate`, `load_run`, `predict`, `serve`, `export`, `train`,
`add`, and the types that they give. docs/api.md says what of it is stable.
"""

from typing import TYPE_CHECKING

from harness.core.quiet import disable_telemetry
from harness.core.version import __version__

if TYPE_CHECKING:
    from harness.api import (
        EvaluationRequest,
        HarnessError,
        Run,
        Server,
        TaskScore,
        add,
        evaluate,
        export,
        load_run,
        predict,
        serve,
        train,
    )

# Before any library is imported: onnxruntime and others read the switches once.
disable_telemetry()

__all__ = [
    "EvaluationRequest",
    "HarnessError",
    "Run",
    "Server",
    "TaskScore",
    "__version__",
    "add",
    "evaluate",
    "export",
    "load_run",
    "predict",
    "serve",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        message = f"module 'harness' has no attribute {name!r}"
        raise AttributeError(message)
    from harness import api

    value = getattr(api, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
