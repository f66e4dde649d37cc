"""Keeps the remarks of torch, transformers, Optimum and ONNX Runtime's tools off the user's terminal; errors pass."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from optimum.utils import logging as optimum_logging
from transformers.utils import logging as transformers_logging


@contextmanager
def quiet() -> Iterator[None]:
    """Mute log lines below error and the warnings that every trace of a transformers model gives.

    What those warnings fear, values frozen into the graph, is what `exporters.parity` tests on rows
    of several lengths.
    """
    levels = [(log, log.get_verbosity()) for log in (optimum_logging, transformers_logging)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for log, _ in levels:
                log.set_verbosity_error()
            yield
        finally:
            for log, level in levels:
                log.set_verbosity(level)


@contextmanager
def quiet_tools() -> Iterator[None]:
    """Mute remarks of ONNX Runtime's tools, which print and log to the root; errors are raised."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
