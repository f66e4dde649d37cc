"""What every section of the comparison shares: the data, its sample, the networks, and a folder."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.compare.gated import fastest
from benchmarks.compare.networks import EXACT, Network, RandomNetworks, trained
from benchmarks.contenders import workload
from benchmarks.contenders.baseshape import Shape
from benchmarks.contenders.workload import Workload
from harness.artifacts.workspace import Workspace
from harness.benchmark import finetunes, tasks
from harness.core.layout import Layout
from harness.core.progress import Progress
from harness.evaluation.selection import choose_jobs
from harness.evaluation.workload import Job, available
from harness.tokenization.tokenizer import FastTokenizer

UNIT = "useful tokens/s"


@dataclass(frozen=True, slots=True)
class SampleSize:
    """Scored examples of each language."""

    rows: int
    questions: int

    def part(self, share: int) -> "SampleSize":
        """Return one of so many parts of it."""
        return SampleSize(max(1, self.rows // share), max(1, self.questions // share))


#: The fixed sample of the published table, and what `--quick` has time for.
FULL, QUICK = SampleSize(100, 20), SampleSize(4, 1)
#: For `--quick`: half as deep as XLM-R base and equal otherwise, since three graphs of it are exported first.
HALF = Shape(name="half-depth", layers=6)


@dataclass(slots=True, kw_only=True)
class Session:
    """One run of the comparison."""

    model: str
    workspace: Workspace
    layout: Layout
    sample: SampleSize
    folder: Path
    progress: Progress
    #: Of the speed rows. The trained model's score rows have its own.
    tokenizer_file: Path
    shape: Shape
    #: What the command line said.
    data: Path | None = None
    quick: bool = False
    tokenizer: FastTokenizer = field(init=False)
    #: Lines for the foot of the report.
    notes: list[str] = field(default_factory=list)
    _random: RandomNetworks | None = None
    _networks: dict[tuple[str, bool], Network] = field(default_factory=dict)
    _rows: dict[tuple[tuple[str, ...], int, Path], Workload] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tokenizer = FastTokenizer(self.tokenizer_file)

    @property
    def is_sample_data(self) -> bool:
        """Return whether the data is the shipped sample, whose numbers are no benchmark's."""
        return self.layout.coverage() is not None

    @property
    def random(self) -> RandomNetworks:
        """Return the networks of random weights, drawn once."""
        if self._random is None:
            with self.progress.step(f"{self.shape.name}: drawing weights", 1, "encoder") as advance:
                self._random = RandomNetworks(self.shape, self.tokenizer_file, self.folder / "random")
                advance(1)
        return self._random

    def jobs(self, names: Sequence[str], limit: int | None = None) -> list[Job]:
        """Return the jobs of tasks that the data folder has files for; a missing test split's dev split stands in."""
        chosen = choose_jobs(
            [tasks.load(name) for name in names],
            splits=dict.fromkeys(names, "test"),
            coverage=self.layout.coverage(),
            limit=limit,
        )
        there, _ = available(chosen, self.layout)
        return there

    def rows(self, names: Sequence[str], limit: int, network: Network | None = None) -> Workload:
        """Return the rows of tasks that share a finetune: so many examples of each language, tokenized once.

        Args:
            names: of the tasks.
            limit: scored examples of each language.
            network: whose tokenizer makes the rows; that of the speed rows if not given.
        """
        file = self.tokenizer_file if network is None else network.tokenizer
        key = (tuple(names), limit, file)
        if key not in self._rows:
            with self.progress.step(f"{', '.join(names)}: tokenizing", 1, "sample") as advance:
                self._rows[key] = workload.read(self.jobs(names), self.layout, FastTokenizer(file), limit)
                advance(1)
        return self._rows[key]

    def network(self, finetune: str, *, scored: bool) -> Network:
        """Return the trained network of a finetune, or the one of random weights with the same variants."""
        key = (finetune, scored)
        if key not in self._networks:
            declared = finetunes.load(finetune)
            with self.progress.step(
                f"{finetune}: {'trained' if scored else 'random'} network", 1, "network"
            ) as advance:
                if scored:
                    self._networks[key] = trained(self.model, declared, self.workspace)
                    self.notes += [f"not measured: {reason}" for reason in self._networks[key].reasons]
                else:
                    store = self.workspace.artifacts
                    exact = store.find(self.model, finetune, EXACT)
                    self._networks[key] = self.random.network(declared, fastest(store, self.model, exact))
                advance(1)
        return self._networks[key]

    def tokenizers(self) -> list[FastTokenizer]:
        """Return the tokenizers of both networks."""
        own = self.network("mnli", scored=True).tokenizer
        return [self.tokenizer, *([] if own == self.tokenizer_file else [FastTokenizer(own)])]

    def title(self, name: str, rows: Workload, limit: int) -> str:
        """Return what a comparison is made on, sample data named as such."""
        named = f"sample data, not {name}" if self.is_sample_data else name
        return f"{named}, {len(rows.featurized)} languages, {limit} examples spread over each"
