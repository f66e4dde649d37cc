"""The watch over a local Triton: it follows the repository, and sends known questions to find dead models.

A version that the repository newly selects is tried in a server of its own (`harness.serving.server.trial`),
then loaded beside the old one, and only then is the old one unloaded: no request fails. A model whose
backend process died or hangs is loaded again; Triton itself still reports it ready. A model that is only
busy stays, as long as its processes compute or its requests get answers.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from harness.core.errors import ArtifactError, EndpointError
from harness.core.progress import Progress
from harness.serving.repository.check import check_version
from harness.serving.repository.layout import is_text, text_name
from harness.serving.server.local import LocalTriton
from harness.serving.server.running import Busy
from harness.serving.server.selection import Selection, selection
from harness.serving.server.trial import VersionTrial

#: Seconds between two looks at the repository.
POLL = 1.0
#: Seconds between two rounds of known questions.
ROUND = 5.0
#: Seconds for the answer to a known question. One that takes longer waits behind others.
_QUESTION = 10.0
#: Seconds without an answer, to the known question or anybody's, after which a model whose processes do not
#: compute either is taken to hang. Six known questions in a row.
_HUNG = 6 * _QUESTION
#: The same for one whose processes compute: the longest that an evaluation waits for one batch
#: (`harness.inference.endpoints.triton.TritonEndpoint`).
_STUCK = 900.0
#: The share of its time for which a waiting process computes at most: it looks for messages now and then.
_IDLE = 0.02
#: Looks at the repository for which a selection may be half written before that is reported.
_HALF_WRITTEN = 5
#: So often a model is loaded again within `_WINDOW` seconds; more often means that it cannot be healed.
_HEALINGS = 3
_WINDOW = 300.0
#: Seconds for a version to finish its running requests and be unloaded.
_LEAVE = 300.0


def beside(old: Mapping[str, Any], new: Mapping[str, Any], versions: Sequence[int]) -> dict[str, Any]:
    """Return the configuration under which two versions of a graph are served at once.

    It is the new one's, so that nothing has to be loaded again when the old version leaves. What fits
    only one of two graphs with different vocabularies is left out for that time: the warm-up, which the
    known question stands in for, and the largest token id.

    Args:
        old: the configuration that is loaded.
        new: the one that is wanted.
        versions: both.
    """
    both = {**new, "version_policy": {"specific": {"versions": sorted(versions)}}}
    old_parameters, parameters = old.get("parameters", {}), new.get("parameters", {})
    alike = old.get("model_warmup") == new.get("model_warmup")
    if not alike or old_parameters.get("vocabulary") != parameters.get("vocabulary"):
        both["model_warmup"] = []
        both["parameters"] = {key: value for key, value in parameters.items() if key != "vocabulary"}
    return both


@dataclass(frozen=True, slots=True)
class _Silence:
    """A model that gave no answer to its known questions for some time."""

    since: float
    #: What it had answered, see `LocalTriton.answered`.
    answered: tuple[int, int]
    #: Processor time that its processes had used.
    computed: float

    def verdict(self, now: float, computed: float) -> str | None:
        """Return in which way the model hangs; None if it may still be at work."""
        seconds, used = now - self.since, computed - self.computed
        if seconds >= _HUNG and used < _IDLE * seconds:
            return f"no answer for {seconds:.0f} s, in which its processes did nothing"
        if seconds >= _STUCK:
            return f"no answer for {seconds:.0f} s"
        return None


class Service:
    """Watches over a server that has started."""

    def __init__(self, server: LocalTriton, configs: Mapping[str, str], progress: Progress) -> None:
        """Note what is served.

        Args:
            server: a server that runs.
            configs: the text of each model's config as it was before the server read it: what is selected
                while models load differs from it, and is followed.
            progress: shows everything that changes.
        """
        self._server = server
        self._progress = progress
        self._trial: VersionTrial | None = None
        #: What the trial is about: the graph and what was selected for it.
        self._tried: tuple[str, Selection] | None = None
        self._refused: dict[str, Selection] = {}
        #: For each graph whose selection is not clear: why, and at how many looks in a row.
        self._unclear: dict[str, tuple[str, int]] = {}
        self._healed: dict[str, deque[float]] = {}
        #: Models that are not served any more, with the state of their files when they were taken down.
        self._down: dict[str, tuple[Any, ...]] = {}
        self._silent: dict[str, _Silence] = {}
        self._versions = {name: server.served_versions(name)[-1] for name in server.models}
        self._loaded = {name: server.config(name) for name in server.models}
        self._configs = dict(configs)

    @property
    def graphs(self) -> list[str]:
        """Return the served graphs."""
        return [name for name in self._server.models if not is_text(name)]

    def version(self, name: str) -> int:
        """Return the version of a model that is served."""
        return self._versions[name]

    def run(self, stopped: threading.Event | None = None) -> None:
        """Watch until the server ends, or until `stopped` is set.

        Raises:
            EndpointError: it ended by itself, or a model cannot be healed.
        """
        due = time.monotonic() + ROUND
        try:
            while stopped is None or not stopped.is_set():
                self._server.wait(POLL)
                self.follow()
                if time.monotonic() >= due:
                    self.check_all()
                    due = time.monotonic() + ROUND
        finally:
            if self._trial is not None:
                self._trial.stop()

    # Versions

    def follow(self) -> None:
        """Take one step towards what the repository selects: start a trial, or judge the one that ended."""
        if self._trial is None:
            self._start_trial()
            return
        assert self._tried is not None
        name, tried = self._tried
        try:
            configs = self._trial.result()
        except EndpointError as error:
            self._refuse(name, tried, str(error))
        else:
            if configs is None:
                return
            # What was selected meanwhile has to be tried itself.
            if self._selection(name) == tried:
                self._switch(name, tried, configs)
        self._trial = self._tried = None

    def _start_trial(self) -> None:
        for name in self.graphs:
            wanted = self._selection(name)
            if wanted is None or wanted == self._refused.get(name):
                continue
            if any(self._configs[each] != text for each, text in wanted.configs.items()):
                self._progress.say(f"{name}: trying version {wanted.version} in another process")
                log = self._server.log.with_suffix(".trial.log")
                self._trial = VersionTrial(
                    self._server.repository, list(wanted.configs), wanted.version, self._server.profile, log
                )
                self._tried = (name, wanted)
                return

    def _pair(self, name: str) -> list[str]:
        return [each for each in (name, text_name(name)) if each in self._server.models]

    def _selection(self, name: str) -> Selection | None:
        """Return what is selected for a graph; None where that is not clear, which is reported if it stays so."""
        try:
            wanted = selection(self._server.repository, self._pair(name), self._server.profile)
        except ArtifactError as error:
            reason, looks = self._unclear.get(name, ("", 0))
            looks = looks + 1 if reason == str(error) else 1
            self._unclear[name] = str(error), looks
            if looks == _HALF_WRITTEN:
                self._progress.say(
                    f"{name}: version {self._versions[name]} is still served, what is selected is not clear: {error}; "
                    "select a version again with `harness models promote`"
                )
            return None
        self._unclear.pop(name, None)
        return wanted

    def _refuse(self, name: str, wanted: Selection, reason: str) -> None:
        self._refused[name] = wanted
        self._progress.say(
            f"{name}: version {wanted.version} is refused, version {self._versions[name]} is still served: {reason}"
        )

    def _switch(self, name: str, wanted: Selection, configs: Mapping[str, Mapping[str, Any]]) -> None:
        """Serve what passed its trial; a request meanwhile gets an answer from one version or the other."""
        before = self._versions[name]
        try:
            if wanted.version != before:
                self._change_version(name, wanted.version, configs)
            else:
                for each, text in wanted.configs.items():
                    if text != self._configs[each]:
                        self._server.load(each, configs[each])
                        self._server.check_alive(each, _LEAVE)
        except EndpointError as error:
            self._put_back(name)
            self._refuse(name, wanted, str(error))
            return
        for each in wanted.configs:
            self._down.pop(each, None)
            self._versions[each] = wanted.version
            self._loaded[each] = dict(configs[each])
        self._configs.update(wanted.configs)
        what = "new settings" if wanted.version == before else f"version {before} is unloaded"
        self._progress.say(f"{name}: version {wanted.version} is served, {what}")

    def _put_back(self, name: str) -> None:
        """Load what was served, the graph before the text model that calls it."""
        for each in self._pair(name):
            try:
                self._server.load(each, self._loaded[each])
            except EndpointError as error:
                # The next round of known questions finds it, and heals it.
                self._progress.say(f"{each}: version {self._versions[each]} could not be put back: {error}")

    def _change_version(self, name: str, version: int, configs: Mapping[str, Mapping[str, Any]]) -> None:
        before = self._versions[name]
        self._server.load(name, beside(self._loaded[name], configs[name], [before, version]))
        self._server.check_alive(name, _LEAVE)
        text = text_name(name)
        if text in configs:
            self._server.load(text, configs[text])
            self._server.check_alive(text, _LEAVE)
            # Requests that the old one still answers call the old graph.
            self._server.wait_until_gone(text, _LEAVE, [before])
        self._server.load(name, configs[name])
        self._server.wait_until_gone(name, _LEAVE, [before])

    # Health

    def check_all(self) -> None:
        """Send each model its known question, graphs before the text models that call them; heal those that fail.

        Raises:
            EndpointError: every graph failed again and again or is damaged, or the server ended.
        """
        busy: set[str] = set()
        for name in [*self.graphs, *(name for name in self._server.models if is_text(name))]:
            if name in self._down:
                if self._down[name] != self._files(name):
                    self._bring_back(name)
                continue
            try:
                self._server.check_alive(name, _QUESTION)
            except Busy as error:
                busy.add(name)
                # A text model has to wait for a graph that is silent itself.
                waits = is_text(name) and any(text_name(graph) == name for graph in busy)
                self._heal_if_dead(name, str(error), waits=waits)
            except EndpointError as error:
                self._heal(name, str(error))
            else:
                self._silent.pop(name, None)

    def _heal_if_dead(self, name: str, reason: str, *, waits: bool) -> None:
        """Load a busy model again if a process of it is gone or hangs: the queue of such a one is full too."""
        try:
            lost = self._server.lost_processes(name)
            hangs = None if lost or waits else self._hangs(name)
        except Busy:  # the server itself has too much to do
            return
        except EndpointError as error:
            self._heal(name, str(error))
            return
        if lost:
            self._heal(name, f"{lost} of its processes are gone; {reason}")
        elif waits:
            self._silent.pop(name, None)
        elif hangs is not None:
            # Unloading waits for running requests, which such a process never finishes.
            self._server.kill(name)
            self._heal(name, f"{hangs}; {reason}")

    def _hangs(self, name: str) -> str | None:
        """Return in which way a model hangs; None if it does not, or not for long enough."""
        now, answered = time.monotonic(), self._server.answered(name)
        computed = sum(member.seconds for member in self._server.members(name))
        silence = self._silent.get(name)
        if silence is None or silence.answered != answered:
            self._silent[name] = _Silence(now, answered, computed)
            return None
        return silence.verdict(now, computed)

    def _heal(self, name: str, reason: str) -> None:
        """Load a model again, after comparing its files with their digests; take it down where that does not help.

        Raises:
            EndpointError: no graph is left, or the server ended.
        """
        # Where the server itself is gone, there is nothing to heal.
        self._server.wait(POLL)
        times = self._healed.setdefault(name, deque(maxlen=_HEALINGS))
        now = time.monotonic()
        if len(times) == _HEALINGS and now - times[0] < _WINDOW:
            self._take_down(
                name, f"it was loaded again {_HEALINGS} times in {now - times[0]:.0f} s and fails: {reason}"
            )
            return
        times.append(now)
        self._silent.pop(name, None)
        self._progress.say(f"{name}: does not answer, loading it again: {reason}")
        try:
            self._check_files(name)
            # Triton sends nothing to a stopped process, but keeps it and its memory.
            self._server.kill(name, only_stopped=True)
            # Without waiting for the old one to be gone: without its process that takes long, and changes nothing.
            self._server.unload(name)
            self._server.load(name, self._loaded[name])
            self._server.check_answer(name, _QUESTION)
        except ArtifactError as error:
            self._take_down(name, str(error))
            return
        except Busy as error:
            self._progress.say(f"{name}: loaded again: {error}")
            return
        except EndpointError as error:
            self._progress.say(f"{name}: still does not answer: {error}")
            return
        self._progress.say(f"{name}: answers again")

    def _graph(self, name: str) -> str:
        """Return the graph of a model: itself, or the one that a text model calls."""
        return next((graph for graph in self.graphs if text_name(graph) == name), name)

    def _check_files(self, name: str) -> None:
        """Compare the files of the served version with their digests.

        Raises:
            ArtifactError: a file is not the one that was published.
        """
        check_version(self._server.repository, self._graph(name), self._versions[name])

    def _files(self, name: str) -> tuple[Any, ...]:
        """Return what shows whether a model's files were written again: names, sizes and times."""
        folder = self._server.repository / name / str(self._versions[name])
        states = ((path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file())
        return tuple((str(path), state.st_size, state.st_mtime_ns) for path, state in states)

    def _take_down(self, name: str, reason: str) -> None:
        """Unload a model that cannot be healed, with the text model that calls it; the others are served.

        Raises:
            EndpointError: no graph is left.
        """
        for each in self._pair(name):
            with suppress(EndpointError):  # it may be gone already
                self._server.unload(each)
            self._down[each] = self._files(each)
        if all(graph in self._down for graph in self.graphs):
            message = f"model {name!r} cannot be served, and no other graph is: {reason}"
            raise EndpointError(message)
        self._progress.say(
            f"{name}: is taken down, the other models are served: {reason}; publish it again with `harness export`, or "
            "select another version with `harness models promote`"
        )

    def _bring_back(self, name: str) -> None:
        """Serve a model again whose files were written since it was taken down."""
        graph = self._graph(name)
        if graph != name and graph in self._down:
            return
        # The text model of a graph went with it.
        for each in self._pair(name):
            if graph in self._down and each != graph:
                return
            self._down.pop(each, None)
            self._healed.pop(each, None)
            self._heal(each, "its files were written again")
