"""A run in the format of Every Eval Ever (EvalEval Coalition), for databases of results of many frameworks.

The document is checked by the format's own package, whose schema's version it carries; without the package nothing is
written. It needs Python 3.12 and numpy 2.4, as of its version 0.3.
"""

import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from harness.artifacts.workspace import SAMPLE, Workspace
from harness.comparison.alignment import align
from harness.comparison.groups import EVERY_LANGUAGE, EVERY_TASK
from harness.comparison.runs import FinishedRun
from harness.comparison.scores import GroupScore, measured_scores
from harness.comparison.signature import signature
from harness.core.errors import UsageError
from harness.core.progress import Progress
from harness.core.version import __version__

PACKAGE = "every_eval_ever"
LIBRARY = "xtreme-harness"
#: Of the schema; who evaluated whom is not known to a run.
RELATIONSHIP = "other"
_CONFIDENCE = 0.95


def package() -> tuple[Any, Any]:
    """Return the modules of the format's package that have its schema and its types.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return import_module(f"{PACKAGE}.schema"), import_module(f"{PACKAGE}.eval_types")
    except ImportError as error:
        message = (
            f"the package {PACKAGE!r} is not installed, and nothing is written without its check; "
            "`pip install every-eval-ever` adds it, with Python 3.12 or newer"
        )
        raise UsageError(message) from error


def checked(run: FinishedRun, workspace: Workspace, progress: Progress) -> dict[str, Any]:
    """Return the document of a run as the format's package gives it back.

    Raises:
        UsageError: the package is not installed, or refuses the document; says why.
    """
    schema, types = package()
    written = document(run, workspace, progress, version=schema.get_schema_version(), retrieved=time.time())
    try:
        found = types.EvaluationLog.model_validate(written)
    except ValueError as error:
        message = f"{PACKAGE} refuses the record of {run.path}: {' '.join(str(error).split())}"
        raise UsageError(message) from error
    value: dict[str, Any] = found.model_dump(mode="json", exclude_none=True)
    return value


def document(
    run: FinishedRun, workspace: Workspace, progress: Progress, *, version: str, retrieved: float
) -> dict[str, Any]:
    """Return the document of a run: one result for each task and language, and one for the mean over languages.

    Args:
        run: the run.
        workspace: where its data and graphs are.
        progress: shows what is read.
        version: of the schema.
        retrieved: seconds since the epoch at which it is made.
    """
    record, provenance = run.record, run.record.provenance
    aligned = align([run], workspace, progress)
    identity = _identity(run, workspace)
    rows = [row for row in measured_scores(aligned, "language") if row.task != EVERY_TASK]
    engine = provenance.backend.split()
    return {
        "schema_version": version,
        "evaluation_id": f"xtreme/{identity}/{retrieved:.0f}",
        "evaluation_timestamp": provenance.created,
        "retrieved_timestamp": f"{retrieved:.0f}",
        "source_metadata": {
            "source_name": "XTREME harness",
            "source_type": "evaluation_run",
            "source_organization_name": "not declared",
            "evaluator_relationship": RELATIONSHIP,
            "additional_details": {"signature": signature(run, workspace.artifacts)},
        },
        "eval_library": {"name": LIBRARY, "version": __version__},
        "model_info": {
            "name": record.model,
            "id": identity,
            "inference_engine": {
                "name": engine[0] if engine else "unknown",
                "version": provenance.packages.get("onnxruntime", "unknown"),
            },
            "additional_details": {
                "deployment_type": "self_deployed",
                "precision": record.variant,
                **{f"graph {name} sha256": digest for name, digest in provenance.graph_sha256.items()},
            },
        },
        "evaluation_results": list(_results(run, rows, sample=aligned.is_sample)),
    }


def _identity(run: FinishedRun, workspace: Workspace) -> str:
    """Return the model as hubs name it; ``local/NAME`` for one that was trained or added here."""
    origins = (artifact.checkpoint.origin for artifact in workspace.artifacts.of(run.record.model))
    known = next((origin for origin in origins if origin is not None and "/" in origin.name), None)
    return f"local/{run.record.model}" if known is None or known.source == "folder" else known.name


def _results(run: FinishedRun, rows: list[GroupScore], *, sample: bool) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        task = run.record.tasks[row.task]
        what = "mean" if row.group == EVERY_LANGUAGE else row.group
        split = ",".join(sorted({task.rows[code].split for code in row.languages}))
        name = f"{row.task} ({SAMPLE} data)" if sample else row.task
        yield {
            "evaluation_result_id": f"{row.task}/{what}",
            "evaluation_name": f"{name}, {what}",
            "source_data": {
                "dataset_name": name,
                "source_type": "other",
                "additional_details": {
                    "split": split,
                    "languages": ",".join(row.languages),
                    "data_sha256": run.record.provenance.data_sha256.get(row.task, "unknown"),
                    "label": task.label,
                },
            },
            "metric_config": {
                "metric_id": "+".join(task.headline),
                "metric_name": " and ".join(task.headline),
                "metric_unit": "percent",
                "lower_is_better": False,
                "score_type": "continuous",
                "min_score": 0.0,
                "max_score": 100.0,
                "additional_details": {"protocol": task.protocol or "default"},
            },
            "score_details": {"score": row.value, "uncertainty": _uncertainty(row)},
        }


def _uncertainty(row: GroupScore) -> dict[str, Any]:
    found: dict[str, Any] = {"num_samples": row.examples}
    if row.measured is not None:
        interval = row.measured.interval
        found["confidence_interval"] = {
            "lower": interval.low,
            "upper": interval.high,
            "confidence_level": _CONFIDENCE,
            "method": row.measured.method,
        }
    return found
