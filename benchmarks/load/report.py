"""What one run found: as tables, as JSON, and as the promises that were broken."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.load.answers import Agreement
from benchmarks.load.burst import Burst
from benchmarks.load.counts import RequestCounts, TokenCounts
from benchmarks.load.texts import Texts
from benchmarks.load.traffic import Traffic
from harness.core.tables import Table

#: Percentiles of latency that are reported.
PERCENTILES = (50, 95, 99)
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that one run found."""

    name: str
    clients: int
    texts: Texts
    #: Subwords of each request that was sent, those of all its rows together.
    tokens: NDArray[np.int64]
    traffic: Traffic
    agreement: Agreement
    text: RequestCounts
    graph: RequestCounts
    #: What the closed loop made both compute.
    text_tokens: TokenCounts
    graph_tokens: TokenCounts
    burst: Burst
    #: MiB.
    ceiling: float
    processes: int

    @property
    def rate(self) -> float:
        """Return the answers per second."""
        return len(self.traffic.latencies) / self.traffic.seconds

    def failures(self) -> list[str]:
        """Return what the endpoint promises and did not do, a sentence each."""
        return [*_traffic_failures(self), *_burst_failures(self.burst)]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as the file holds them."""
        traffic, burst = self.traffic, self.burst
        return {
            "model": self.name,
            "clients": self.clients,
            "texts": {
                "distinct": len(self.texts.questions),
                "left_out": self.texts.left_out,
                "languages": {task: list(codes) for task, codes in self.texts.languages.items()},
                "tokens": {
                    "mean": round(float(self.tokens.mean()), 2),
                    **{f"p{percent}": int(value) for percent, value in _spread(self.tokens).items()},
                },
            },
            "requests": traffic.finished,
            "answered": len(traffic.latencies),
            "errors": dict(traffic.errors),
            "seconds": round(traffic.seconds, 3),
            "requests_per_second": round(self.rate, 2),
            "latency_ms": {
                **{f"p{percent}": _ms(traffic.percentile(percent)) for percent in PERCENTILES},
                "mean": _ms(float(np.mean(traffic.latencies))),
                "max": _ms(max(traffic.latencies)),
            },
            "agreement": asdict(self.agreement),
            "text_model": self.text.to_json() | self.text_tokens.to_json(),
            "graph": self.graph.to_json() | self.graph_tokens.to_json(),
            "memory": {
                "processes": self.processes,
                "resident_mib": [[requests, _mib(value)] for requests, value in traffic.memory],
                "growth_mib": _mib(traffic.growth),
                "ceiling_mib": self.ceiling,
            },
            "burst": {
                "sent": burst.sent,
                "max_queue_size": burst.queue,
                "answered": burst.answered,
                "rejected": burst.rejected,
                "errors": dict(burst.errors),
                "lost": burst.lost,
                "sending_seconds": round(burst.sending, 3),
                "seconds": round(burst.seconds, 3),
                "works_afterwards": burst.works_afterwards,
            },
            "failures": self.failures(),
        }

    def tables(self) -> list[Table]:
        """Return the figures as people read them."""
        return [_traffic_table(self), _memory_table(self), _burst_table(self.burst)]


def _traffic_failures(report: Report) -> Iterator[str]:
    traffic, agreement = report.traffic, report.agreement
    if traffic.errors:
        reason, count = traffic.errors.most_common(1)[0]
        yield f"{traffic.errors.total():,} of {traffic.finished:,} requests failed, {count:,} of them with: {reason}"
    if agreement.equal < agreement.compared and not agreement.excused:
        unequal = agreement.compared - agreement.equal
        yield f"{unequal} of {agreement.compared} answers are not those of the same graph in this process"
    if traffic.growth > report.ceiling * _MIB:
        first, _ = traffic.memory[0]
        yield (
            f"the server grew by {_mib(traffic.growth):,} MiB after the first {first:,} requests, "
            f"the ceiling is {report.ceiling:g}"
        )


def _burst_failures(burst: Burst) -> Iterator[str]:
    if burst.errors:
        reason, count = burst.errors.most_common(1)[0]
        yield f"{burst.errors.total():,} requests of the burst failed, {count:,} of them with: {reason}"
    if burst.lost:
        yield f"{burst.lost:,} requests of the burst got neither an answer nor an error in {burst.seconds:.0f} s"
    if not burst.rejected:
        yield (
            f"{burst.sent:,} requests at once did not fill the queue of {burst.queue:,}; send more with `--burst`, "
            "or longer texts"
        )
    elif burst.answered < burst.queue:
        yield f"{burst.answered:,} requests of the burst were answered, the queue holds {burst.queue:,}"
    if not burst.works_afterwards:
        yield "a single request after the burst was not answered as in this process"


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)


def _mib(amount: int) -> float:
    return round(amount / _MIB, 1)


def _spread(tokens: NDArray[np.int64]) -> dict[int, float]:
    percents = (5, 50, 95, 100)
    return dict(zip(percents, np.percentile(tokens, percents, method="inverted_cdf"), strict=True))


def _traffic_table(report: Report) -> Table:
    traffic, agreement = report.traffic, report.agreement
    least, middle, most, longest = _spread(report.tokens).values()
    languages = sum(len(codes) for codes in report.texts.languages.values())
    text, graph = report.text.to_json(), report.graph.to_json()
    rows = [
        ["requests answered", f"{len(traffic.latencies):,} of {traffic.finished:,}"],
        ["requests/s", f"{report.rate:,.1f}"],
        *([f"latency, p{percent}", f"{_ms(traffic.percentile(percent)):,.1f} ms"] for percent in PERCENTILES),
        ["latency, longest", f"{_ms(max(traffic.latencies)):,.1f} ms"],
        ["errors", f"{traffic.errors.total():,}"],
        ["texts a call of the text model", f"{text['mean_batch']:.2f}"],
        ["rows a call of the graph's model", f"{graph['mean_batch']:.2f}"],
        ["padded / useful tokens, as the text model packed", f"{report.text_tokens.padding:.3f}"],
        ["padded / useful tokens, as the graph computed", f"{report.graph_tokens.padding:.3f}"],
        ["time in the text model's queue, mean", f"{text['mean_queue_ms']:.2f} ms"],
        ["time in the graph's queue, mean", f"{graph['mean_queue_ms']:.2f} ms"],
        ["subwords a request, p5 / p50 / p95 / longest", f"{least:,} / {middle:,} / {most:,} / {longest:,}"],
        ["equal to the answers in process", f"{agreement.equal:,} of {agreement.compared:,}"],
        ["largest difference of a number", f"{agreement.largest:.1e}"],
    ]
    if report.texts.left_out:
        rows.append(["examples left out, which the service refuses", f"{report.texts.left_out:,}"])
    title = (
        f"{report.name}, {report.clients} clients, {' and '.join(report.texts.languages)}, "
        f"{languages} languages, {len(report.texts.questions):,} different questions"
    )
    return Table(title, ["closed loop", ""], rows)


def _memory_table(report: Report) -> Table:
    (first, settled), *_, (last, end) = report.traffic.memory
    rows = [
        [f"after {first:,} requests", f"{_mib(settled):,} MiB"],
        [f"after {last:,} requests", f"{_mib(end):,} MiB"],
        ["largest growth in between", f"{_mib(report.traffic.growth):+,} MiB"],
        ["ceiling of growth", f"{report.ceiling:g} MiB"],
    ]
    return Table(f"resident memory of the server's {report.processes} processes", ["memory", ""], rows)


def _burst_table(burst: Burst) -> Table:
    rows = [
        ["answered", f"{burst.answered:,}"],
        ["rejected, queue full", f"{burst.rejected:,}"],
        ["other errors", f"{burst.errors.total():,}"],
        ["lost", f"{burst.lost:,}"],
        ["sent in", f"{burst.sending:.2f} s"],
        ["all back after", f"{burst.seconds:.2f} s"],
        ["a single request afterwards", "answered" if burst.works_afterwards else "WRONG OR NOT ANSWERED"],
    ]
    return Table(f"{burst.sent:,} requests at once, the queue holds {burst.queue:,}", ["open loop", ""], rows)
