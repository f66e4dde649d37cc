"""Where the time of a run goes: seconds of each stage, as `scores.json` holds them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


def process_age() -> float:
    """Return the seconds since this process began, interpreter and imports included."""
    return float(time.time() - psutil.Process().create_time())


class Stages:
    """Adds up the seconds of named stages. Stages of several threads overlap, so the sum may exceed the whole."""

    def __init__(self, *, imports: float = 0.0) -> None:
        """Begin.

        Args:
            imports: the seconds that passed before, in interpreter and imports.
        """
        self._begun = time.perf_counter()
        self._lock = threading.Lock()
        self._seconds = {"imports": imports}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside the context for a stage."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - begin)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds for a stage."""
        with self._lock:
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def first_batch(self) -> None:
        """Note that the first batch goes out: what passed until here beside opening its graph, once."""
        with self._lock:
            if "first_batch" not in self._seconds:
                passed = time.perf_counter() - self._begun
                self._seconds["first_batch"] = passed - self._seconds.get("opening", 0.0)

    def to_json(self) -> dict[str, float]:
        """Return the seconds of each stage, and of all."""
        total = self._seconds["imports"] + time.perf_counter() - self._begun
        return {name: round(seconds, 4) for name, seconds in {**self._seconds, "total": total}.items()}
