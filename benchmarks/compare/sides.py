"""Rows about the harness itself: padding of its plans, the local Triton, and the time that is not the graph's."""

from contextlib import ExitStack
from pathlib import Path

from benchmarks.compare.session import FULL, UNIT, Session
from benchmarks.compare.works import XNLI, both, twice
from benchmarks.contenders.ours import Harness
from benchmarks.core.rows import Row, Side, rate_row
from benchmarks.core.timing import Function, alternate
from benchmarks.speed.padding import measure as measure_padding
from harness.artifacts.store import EXACT
from harness.benchmark.tasks import names as task_names
from harness.commands import evaluate
from harness.core.progress import Silent
from harness.evaluation.connection import connection
from harness.evaluation.journal import Journal
from harness.evaluation.plan import plan
from harness.evaluation.request import JOURNAL, Evaluation
from harness.evaluation.stages import Stages
from harness.evaluation.workload import GraphWorkload

#: One of so many parts of the sample goes through Triton.
SHARE = 5
#: Of what one process does, at least what the server does; and of the wall time, at least what is the graph's.
TRITON, GRAPH = 0.9, 0.95


def padding(session: Session) -> list[Row]:
    """Return padded over useful tokens of every task that the data folder has, at the full sample; no graph runs."""
    return measure_padding(session.jobs(task_names()), session.layout, session.tokenizer, FULL.rows, session.progress)


def triton(session: Session) -> list[Row]:
    """Return the rate through a local Triton against that in this process, XNLI at base shape.

    Raises:
        MissingExtra: the server is not installed.
        EndpointError: it does not start.
    """
    limit = XNLI.limit(session.sample.part(SHARE))
    rows = session.rows(XNLI.tasks, limit)
    network = session.network(XNLI.finetune, scored=False)
    repository = session.folder / "model_repository"
    probe = [int(token) for token in rows.featurized[0].features[0].input_ids]
    session.random.published(network.exact, repository, probe)
    folder = session.folder / "journals" / "triton"
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(connection(endpoint, [network.exact], repository, session.progress))
            for name, endpoint in (("in process", "onnx"), ("local Triton", None))
        }
        endpoints = {name: stack.enter_context(each.open(network.exact)) for name, each in opened.items()}
        server, process = endpoints["local Triton"], endpoints["in process"]
        ours, again = (
            Harness(f"local Triton, {time}", server, network.exact, rows, folder) for time in ("first", "again")
        )
        theirs = Harness("in process", process, network.exact, rows, folder)
        with session.progress.step("local Triton against this process", 6, "runs") as advance:
            timings = alternate(twice([ours], [again], [theirs]), warmup=1, repeats=1, advance=advance)
        backend = server.backend
    return [
        rate_row(
            f"{session.title('XNLI', rows, limit)}, {network.label}, fp32, through a local Triton",
            rows.useful_tokens,
            UNIT,
            Side("local Triton", both(timings, ours.name, again.name), None),
            Side("in process", timings[theirs.name], None),
            target=TRITON,
            backend=backend,
            variant="fp32",
            weights="random",
        )
    ]


def overhead(session: Session) -> list[Row]:
    """Return the share of a whole evaluation's wall time that the graph takes, XNLI in process at base shape.

    The evaluation is `harness eval`'s own: reading, tokenizing, planning, answering, journaling and scoring.
    Digests of the data files and of the code cost the same for any sample, so that `--quick` shows them larger than
    they are: the share of its small sample is no measure of the target.
    """
    limit = XNLI.limit(session.sample)
    network = session.network(XNLI.finetune, scored=False)
    jobs = session.jobs(XNLI.tasks, limit)
    output: Path = session.folder / "evaluation"
    evaluation = Evaluation(
        model=network.shape.name,
        variant=EXACT,
        workloads=[GraphWorkload(network.exact, jobs)],
        layout=session.layout,
        suite=None,
        output=output,
        request={},
    )
    with (
        session.progress.step("a whole evaluation", 1, "run") as advance,
        connection("onnx", [network.exact], session.folder, session.progress) as opened,
    ):
        timing = alternate(
            [Function("wall", lambda: evaluate.run(plan(evaluation), opened, Stages(), Silent()))],
            warmup=0,
            repeats=1,
        )["wall"]
        advance(1)
    with Journal(output / JOURNAL) as journal:
        counted = journal.padding()
    graph = counted["graph_seconds"]
    return [
        Row(
            work=f"a whole evaluation of XNLI, {len(jobs)} languages, the first {limit} examples of each, "
            f"{network.label}, fp32, in process: graph time over wall time",
            baseline="wall time",
            ratio=graph / timing.median,
            score_baseline=None,
            score_ours=None,
            unit="seconds",
            ours=graph,
            baseline_value=timing.median,
            spreads={"ours": 0.0, "baseline": 0.0},
            repeats=1,
            target=GRAPH,
            details={
                "not_the_graphs_share": round(1 - graph / timing.median, 4),
                "useful_tokens": counted["useful_tokens"],
                "sample_data": session.is_sample_data,
                "variant": "fp32",
                "weights": "random",
            },
        )
    ]
