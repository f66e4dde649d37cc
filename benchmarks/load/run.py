"""One run: a server of a published graph and its text model under load."""

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.core.report import document as provenance
from benchmarks.load.answers import Agreement, difference
from benchmarks.load.burst import ANSWER, burst_size, send_burst, tensors
from benchmarks.load.counts import count_until, read_counts, read_tokens
from benchmarks.load.options import LoadOptions
from benchmarks.load.report import Report
from benchmarks.load.texts import Texts, read_texts
from benchmarks.load.traffic import Traffic, closed_loop, resident_memory
from harness.artifacts.store import Artifact
from harness.artifacts.workspace import Workspace
from harness.core.errors import ArtifactError, EndpointError
from harness.core.progress import Advance, Progress
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.inference.endpoints.triton import open_client
from harness.inference.planner import BatchPlanner
from harness.serving.repository.known_answer import TOLERANCE
from harness.serving.repository.layout import text_name
from harness.serving.repository.text_model import declaration
from harness.serving.server.local import LocalTriton
from harness.text.client import TextEndpoint
from harness.text.fields import Question
from harness.text.forms import Answer
from harness.text.pipeline import TextPipeline
from harness.tokenization.tokenizer import FastTokenizer

#: Answers that are compared with those of the same graph in this process.
COMPARED = 200


def _check_served(server: LocalTriton, artifact: Artifact, name: str) -> None:
    """Refuse a text model that queries another graph than the one whose answers are compared.

    Raises:
        ArtifactError: names both digests.
    """
    served = server.config(name)["parameters"]["graph_sha256"]["string_value"]
    if served != artifact.graph_sha256:
        message = (
            f"{name!r} is published with another graph (sha256 {served[:12]}) than {artifact.graph} "
            f"({artifact.graph_sha256[:12]}); publish it with `harness export --model {artifact.model}`"
        )
        raise ArtifactError(message)


def _traffic(
    server: LocalTriton,
    endpoint: TextEndpoint,
    questions: Sequence[Question],
    keep: frozenset[int],
    clients: int,
    progress: Progress,
) -> Traffic:
    with progress.step(f"{len(questions):,} requests of {clients} clients", len(questions), "requests") as advance:
        return closed_loop(
            endpoint.ask,
            questions,
            clients=clients,
            resident=lambda: resident_memory(server.pid),
            keep=keep,
            advance=advance,
        )


def load(
    artifact: Artifact, texts: Texts, repository: Path, options: LoadOptions, log: Path, progress: Progress
) -> Report:
    """Return what a server of a published graph and its text model does under load.

    Args:
        artifact: the graph; the one that is published must be the same.
        texts: what is sent.
        repository: the model repository.
        options: how many requests, and of how many clients.
        log: gets the server's output.
        progress: of requests.

    Raises:
        EndpointError: the server does not start, or loses count.
        ArtifactError: another graph is published.
        UsageError: nothing is published, or the burst is too small.
    """
    declared = declaration(artifact)
    pipeline = TextPipeline(declared, FastTokenizer(artifact.tokenizer))
    name = text_name(artifact.name)
    order = texts.order(options.requests)
    questions = [texts.questions[index] for index in order]
    keep = frozenset(np.linspace(0, len(questions) - 1, min(COMPARED, len(questions)), dtype=int).tolist())
    # The first question of all, once more after the burst.
    first = questions[0]
    with progress.step("counting subwords", len(texts.questions), "questions") as advance:
        tokens = _tokens(pipeline, texts.questions, set(order.tolist()), advance)[order]
    with LocalTriton(repository, [artifact.name, name], profile="online", log=log) as server:
        _check_served(server, artifact, name)
        size, queue = burst_size(server.config(name), options.burst)
        address = server.uri.partition("://")[2]
        with open_client(address) as connection, TextEndpoint(address, name, declared.form, timeout=ANSWER) as endpoint:
            both = (name, artifact.name)
            before = [read_counts(connection, each) for each in both]
            tokens_before = [read_tokens(server.host, server.metrics_port, each) for each in both]
            traffic = _traffic(server, endpoint, questions, keep, options.clients, progress)
            if not traffic.latencies:
                message = f"none of {len(questions):,} requests was answered: {traffic.errors.most_common(1)[0][0]}"
                raise EndpointError(message)
            counted = count_until(connection, name, before[0], traffic.finished)
            graph = read_counts(connection, artifact.name) - before[1]
            computed = [
                read_tokens(server.host, server.metrics_port, each) - earlier
                for each, earlier in zip(both, tokens_before, strict=True)
            ]
            burst = send_burst(
                connection,
                name,
                [tensors(question, declared.form.fields) for question in islice(cycle(questions), size)],
                queue,
            )
            afterwards = _single(endpoint, first)
            processes = 1 + len(psutil.Process(server.pid).children(recursive=True))
    indices = sorted(traffic.answers)
    with OnnxEndpoint.of(artifact) as here:
        expected = pipeline.ask([first, *(questions[index] for index in indices)], here, BatchPlanner())
    excused = artifact.batch_dependent
    burst.works_afterwards = afterwards is not None and (excused or difference(afterwards, expected[0]) <= TOLERANCE)
    return Report(
        name=name,
        clients=options.clients,
        texts=texts,
        tokens=tokens,
        traffic=traffic,
        agreement=Agreement.of([traffic.answers[index] for index in indices], expected[1:], excused=excused),
        text=counted,
        graph=graph,
        text_tokens=computed[0],
        graph_tokens=computed[1],
        burst=burst,
        ceiling=options.memory_ceiling,
        processes=processes,
    )


def _single(endpoint: TextEndpoint, question: Question) -> Answer | None:
    """Return the answer to one question; None where there is none, which the report says."""
    try:
        return endpoint.ask(question)
    except EndpointError:
        return None


def _tokens(
    pipeline: TextPipeline, questions: Sequence[Question], sent: set[int], advance: Advance
) -> NDArray[np.int64]:
    """Return the subwords of each question that is sent, those of all its rows together; 0 for the others."""
    found = np.zeros(len(questions), dtype=np.int64)
    for index, question in enumerate(questions):
        if index in sent:
            (prepared,) = pipeline.prepare([question])
            found[index] = sum(len(feature.input_ids) for feature in prepared.features)
        advance(1)
    return found


def measure(options: LoadOptions, workspace: Workspace, progress: Progress) -> Report:
    """Return what the text endpoint of a published model does under load.

    Raises:
        HarnessError: a name, a file, a graph or the server is not as it must be.
    """
    artifact = workspace.artifacts.find(options.model, options.finetune, options.variant)
    layout = workspace.layout(options.data, artifact.checkpoint.data)
    texts = read_texts(options.finetune, declaration(artifact).form, layout, progress)
    return load(artifact, texts, workspace.model_repository, options, workspace.runs / "load.triton.log", progress)


def document(report: Report) -> dict[str, Any]:
    """Return what the file holds: the figures, and what a reader needs to judge them."""
    return {key: value for key, value in provenance([]).items() if key != "rows"} | report.to_json()
