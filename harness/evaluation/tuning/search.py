"""The search for the fastest setting of one graph: one coordinate after the other, measured in turn.

Coordinates are searched one after the other, not in all combinations: where a graph computes (engine,
threads, instances), then the token budget, then the first again if the second changed. What is compared is
measured in turn, several times over, so that a machine that slows down slows all alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.artifacts.store import EXACT
from harness.core.progress import Progress
from harness.evaluation.tuning.record import ENGINES, Engine, Setting, Trial

BUDGETS = (1_024, 2_048, 4_096, 8_192)
#: Of each measurement, in turn with those that it is compared with.
REPEATS = 3
#: Rounds of the two coordinates at most.
_ROUNDS = 3


def pick(trials: Sequence[Trial], default: Setting) -> Trial:
    """Return the fastest trial, or of those that tie with it the simplest one.

    Simpler is the exact variant, the default's engine, fewer instances, the default's threads, and the
    budget that is nearer to the default's, in this order.
    """
    best = max(trials, key=lambda trial: trial.rate)

    def simplicity(trial: Trial) -> tuple[bool, bool, int, bool, float]:
        setting = trial.setting
        budgets = sorted((setting.max_tokens, default.max_tokens))
        return (
            trial.variant != EXACT,
            setting.engine != default.engine,
            setting.instances,
            setting.threads != default.threads,
            budgets[1] / budgets[0],
        )

    return min((trial for trial in trials if trial.ties(best)), key=simplicity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measurement."""

    #: Useful tokens a second.
    rate: float
    #: Padded tokens for each useful one.
    padding: float
    #: MiB that the processes with the graph hold.
    memory: int


#: Measures a variant by a setting.
Measure = Callable[[str, Setting], Measurement]


Candidate = tuple[str, Setting]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Measures candidates in turn."""

    measure: Measure
    progress: Progress
    #: What is tuned, as the progress names it.
    name: str
    repeats: int = REPEATS

    def of(self, stage: str, candidates: Sequence[Candidate]) -> list[Trial]:
        """Return a trial of each candidate, equal ones once: A B C A B C A B C."""
        samples: dict[Candidate, list[Measurement]] = {candidate: [] for candidate in candidates}
        with self.progress.step(f"{self.name}: {stage}", self.repeats * len(samples), "measurements") as advance:
            for _ in range(self.repeats):
                for (variant, setting), taken in samples.items():
                    taken.append(self.measure(variant, setting))
                    advance(1)
        return [
            Trial(
                stage=stage,
                variant=variant,
                setting=setting,
                rates=tuple(sample.rate for sample in taken),
                padding=taken[-1].padding,
                memory=max(sample.memory for sample in taken),
            )
            for (variant, setting), taken in samples.items()
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What the search found for one finetune."""

    variant: str
    default: Trial
    #: By variant: the engine that won, and the best trial of each.
    graphs: Mapping[str, tuple[Engine, Mapping[Engine, Trial]]]
    table: Sequence[Trial]


def placements(engines: Sequence[Engine], cores: int) -> list[Setting]:
    """Return where a graph may compute, the default first; no placement has more threads than there are cores."""
    counts: Mapping[Engine, Sequence[tuple[int, int]]] = {
        "triton": [(1, cores), (cores, 1)],
        "onnx": [(1, cores), (cores, 1)],
    }
    found = [
        Setting(engine=engine, instances=instances, threads=threads)
        for engine in ENGINES
        if engine in engines
        for instances, threads in counts[engine]
    ]
    return list(dict.fromkeys(found))


def search(
    variants: Mapping[str, Sequence[Setting]], compare: Comparison, *, budgets: Sequence[int] = BUDGETS
) -> SearchResult:
    """Return the settings that win for one finetune.

    Args:
        variants: placements of each variant, as `placements` gives them; fp32 is one of them, and its first
            placement is the default.
        compare: measures.
        budgets: token budgets.
    """
    default = variants[EXACT][0]
    table: list[Trial] = []
    found = {variant: _coordinates(variant, there, budgets, compare, table) for variant, there in variants.items()}
    # All that won once more, in turn with the default: what was found one after the
    # other may differ only because the machine was slower for a while.
    candidates: list[Candidate] = [(EXACT, default)]
    candidates += [(variant, trial.setting) for variant, trials in found.items() for trial in _best(trials, default)]
    last = compare.of("winners", list(dict.fromkeys(candidates)))
    graphs: dict[str, tuple[Engine, Mapping[Engine, Trial]]] = {}
    for variant in variants:
        best = {
            trial.setting.engine: trial
            for trial in _best([trial for trial in last if trial.variant == variant], default)
        }
        graphs[variant] = (pick(list(best.values()), default).setting.engine, best)
    winners = [best[engine] for engine, best in graphs.values()]
    return SearchResult(variant=pick(winners, default).variant, default=last[0], graphs=graphs, table=[*table, *last])


def _best(trials: Sequence[Trial], default: Setting) -> list[Trial]:
    """Return the best trial of each engine."""
    engines = dict.fromkeys(trial.setting.engine for trial in trials)
    return [pick([trial for trial in trials if trial.setting.engine == engine], default) for engine in engines]


def _coordinates(
    variant: str, there: Sequence[Setting], budgets: Sequence[int], compare: Comparison, table: list[Trial]
) -> list[Trial]:
    """Search placement and budget in turn until neither changes; return the trials of the last placements."""
    default, budget, last = there[0], there[0].max_tokens, ""
    for number in range(1, _ROUNDS + 1):
        found = compare.of(
            f"{variant} placement {number}", [(variant, replace(placement, max_tokens=budget)) for placement in there]
        )
        table += found
        placement = pick(found, default).setting
        if placement.placement == last or number == _ROUNDS:
            break
        last = placement.placement
        tried = compare.of(
            f"{variant} budget {number}", [(variant, replace(placement, max_tokens=each)) for each in budgets]
        )
        table += tried
        chosen = pick(tried, default).setting.max_tokens
        if chosen == budget:
            break
        budget = chosen
    return found
