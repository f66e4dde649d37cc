"""A new version is loaded in a server of its own and must give its known answer, before the server in use loads it.

Run as a program: a warm-up that fails while Triton loads a model over a good version can crash the
whole server, and this one nobody else uses. It prints the configuration that was loaded.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import IO, Any, cast

from harness.core.errors import ArtifactError, EndpointError, HarnessError
from harness.serving.repository.check import check_version
from harness.serving.repository.layout import Profile, is_text
from harness.serving.server.local import LocalTriton


class VersionTrial:
    """A trial that runs in the background; `stop` ends it, its server included."""

    def __init__(self, repository: Path, names: Sequence[str], version: int, profile: Profile, log: Path) -> None:
        """Start it.

        Args:
            repository: the model repository.
            names: a graph's served name, and its text model's where that is served too.
            version: the version that the configs on disk must select.
            profile: which of the graph's configs is loaded.
            log: gets the output of the trial's server; removed after a success.
        """
        command = [sys.executable, "-m", __name__, str(repository), profile, str(log), str(version), *names]
        # In a session of its own: Ctrl-C in the terminal is for the service, which stops the trial.
        # Its output goes to files: a pipe that nobody reads stops it after 64 KiB.
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the trial
        self._failure = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = Popen(
            command, stdin=DEVNULL, stdout=self._printed, stderr=self._failure, start_new_session=True
        )

    def result(self) -> dict[str, dict[str, Any]] | None:
        """Return the configuration of each model as it was loaded; None while the trial runs.

        Raises:
            EndpointError: the version did not load or gave a wrong answer; has the reason.
        """
        if self._process.poll() is None:
            return None
        printed, failure = _text(self._printed), _text(self._failure)
        if self._process.returncode:
            reason = failure.strip().splitlines() or [f"the trial ended with exit status {self._process.returncode}"]
            raise EndpointError(reason[-1])
        return cast("dict[str, dict[str, Any]]", json.loads(printed))

    def stop(self) -> None:
        """End the trial; its server ends with it."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")


def attempt(repository: Path, names: Sequence[str], version: int, profile: Profile, log: Path) -> dict[str, Any]:
    """Return the configuration of each model after it was loaded and gave its known answer.

    Raises:
        UsageError: there is no such version.
        ArtifactError: a file of it is not the one that was published, or another version is selected.
        EndpointError: a model did not load, or answered wrongly.
    """
    for name in names:
        if not is_text(name):
            check_version(repository, name, version)
    with LocalTriton(repository, names, profile=profile, log=log) as server:
        for name in names:
            if (found := server.served_versions(name)) != [version]:
                message = f"{name} was loaded in version {found} where {version} is meant; select it again"
                raise ArtifactError(message)
        configs = {name: server.config(name) for name in names}
    log.unlink(missing_ok=True)
    return configs


def main(arguments: Sequence[str]) -> int:
    """Run a trial; the reason of a failure is one sentence on standard error."""
    repository, profile, log, version, *names = arguments
    try:
        configs = attempt(Path(repository), names, int(version), cast("Profile", profile), Path(log))
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(configs))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
