"""Input files for perf_analyzer, NVIDIA's load generator: one real request for each served model.

perf_analyzer makes inputs of its own, and they are no texts and no token ids of the vocabulary, so that graphs refuse
them. The format is that of its option ``--input-data``: https://github.com/triton-inference-server/perf_analyzer,
docs/input_data.md.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.core.files import write_json
from harness.serving.repository.known_answer import FILE, read_known_answer
from harness.serving.repository.layout import Profile, config_path, published, selected, with_text


def write_perf_inputs(repository: Path, wanted: Sequence[str], profile: Profile, folder: Path) -> Iterator[str]:
    """Write ``MODEL.json`` for each model that would be served, and yield the command that uses each.

    Args:
        repository: a model repository.
        wanted: models or served names; everything where empty.
        profile: in which they are served: text models are in `online`.
        folder: where the files are written.

    Raises:
        UsageError: nothing is published under such a name.
        ArtifactError: a config cannot be read.
        EndpointError: a model has no known answer, or a damaged one.
    """
    graphs = published(repository, wanted)
    for name in with_text(repository, graphs) if profile == "online" else graphs:
        version = selected(config_path(repository, name, profile))
        answer = read_known_answer(repository / name / str(version) / FILE)
        path = folder / f"{name}.json"
        write_json(path, perf_input(answer.inputs))
        yield f"perf_analyzer -m {name} -i grpc -u localhost:8001 --input-data {path}"


def perf_input(inputs: dict[str, list[Any]]) -> dict[str, Any]:
    """Return one request as perf_analyzer reads it: flat content, and the shape without the axis of rows."""
    return {"data": [{name: {"content": rows[0], "shape": [len(rows[0])]} for name, rows in inputs.items()}]}
