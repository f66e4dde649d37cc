"""The folder with a user's products: the current one unless HARNESS_HOME names another."""

import os
from dataclasses import dataclass
from pathlib import Path

from harness.artifacts.checkpoint import PHASE_FILE
from harness.artifacts.store import ArtifactStore
from harness.core.errors import UsageError
from harness.core.layout import Layout

#: What a recipe says for the data that the project ships and writes itself.
SAMPLE = "sample"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders of checkpoints, graphs, served models, runs and generated sample data."""

    root: Path

    @staticmethod
    def current() -> "Workspace":
        """Return the workspace of this process."""
        return Workspace(Path(os.environ.get("HARNESS_HOME", ".")).resolve())

    @property
    def is_there(self) -> bool:
        """Return whether anything was trained, exported, published or evaluated here."""
        products = (self.checkpoints, self.artifacts.root, self.runs)
        return any(folder.is_dir() for folder in products) or any(self.model_repository.glob("*/config.pbtxt"))

    @property
    def checkpoints(self) -> Path:
        """Return the root of the training checkpoints."""
        return self.root / "checkpoints"

    def finished_checkpoints(self, pattern: str) -> list[Path]:
        """Return the folders of checkpoints that match a pattern, without the hidden drafts of one being written.

        Args:
            pattern: of folders below `checkpoints`: ``*/target/*``, or ``**`` for all.
        """
        found = self.checkpoints.glob(f"{pattern}/{PHASE_FILE}")
        return sorted(path.parent for path in found if not path.parent.name.startswith("."))

    @property
    def artifacts(self) -> ArtifactStore:
        """Return the exported graphs."""
        return ArtifactStore(self.root / "artifacts")

    @property
    def model_repository(self) -> Path:
        """Return what Triton serves."""
        return self.root / "model_repository"

    @property
    def cache(self) -> Path:
        """Return the root of what can be made again at any time, tokenised rows above all."""
        return self.root / "cache"

    @property
    def answers(self) -> Path:
        """Return the folder of what graphs answered, which all runs share."""
        return self.cache / "answers"

    @property
    def tokens(self) -> Path:
        """Return the folder of tokenized rows."""
        return self.cache / "tokens"

    @property
    def runs(self) -> Path:
        """Return the root of the evaluations that were given no `--output`."""
        return self.root / "runs"

    def layout(self, data: Path | None, default: str | None) -> Layout:
        """Return the data to work on: the path given, the recipe's own data, or HARNESS_DATA.

        Args:
            data: what `--data` said.
            default: what the model's recipe says: "sample", a path, or nothing.

        Raises:
            DataError: the folder does not exist.
            UsageError: nothing says where the data is.
        """
        if data is not None:
            return Layout.at(data)
        if default == SAMPLE:
            return Layout.at(self.sample_data())
        named = default or os.environ.get("HARNESS_DATA")
        if not named:
            message = "no data folder is given; name one with `--data DIR` or the variable HARNESS_DATA"
            raise UsageError(message)
        return Layout.at(Path(named))

    def sample_data(self) -> Path:
        """Return the folder of the sample data, written first if its generator has changed."""
        from harness import sample

        destination = self.root / "data" / SAMPLE
        sample.ensure(destination)
        return destination
