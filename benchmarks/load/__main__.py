"""The command: measure, print, write, and judge."""

import sys
from collections.abc import Sequence

from benchmarks.core.report import guarded, machine_line
from benchmarks.load.options import parse
from benchmarks.load.run import document, measure
from harness.artifacts.workspace import Workspace
from harness.core.files import write_json
from harness.core.terminal import Terminal


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write the figures where `--json` says; exit with 1 where a promise was broken."""
    options = parse(arguments)
    report = measure(options, Workspace.current(), Terminal())
    print("\n\n".join(table.text() for table in report.tables()))
    print(f"\n{machine_line()}\nclients and server share the cores; latency is the client's, its thread included")
    if options.json is not None:
        write_json(options.json, document(report))
        print(f"figures written to {options.json}")
    if options.plot is not None:
        from benchmarks.core.plots import latencies

        latencies(report.traffic.latencies, options.plot)
        print(f"latencies drawn in {options.plot}")
    failures = report.failures()
    for failure in failures:
        print(f"benchmarks: {failure}", file=sys.stderr)
    if failures:
        raise SystemExit(1)


if __name__ == "__main__":
    raise SystemExit(guarded(main))
