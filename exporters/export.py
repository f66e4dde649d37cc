"""One checkpoint to one artifact: trace, parity, variant's steps, gate, and only then the directory."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporters.answers import Kept, RowAnswers
from exporters.external_data import move_graph
from exporters.gate import Verdict, judge
from exporters.manifest import manifest
from exporters.modules import Loaded, infer, load_module, retrieval_layer
from exporters.onnx import write_graph
from exporters.parity import parity
from exporters.samples import GateSample
from exporters.variants import Variant, find_variant
from harness.artifacts.checkpoint import HeadRecord
from harness.artifacts.gate import GATE, GateRecord
from harness.artifacts.manifest import MANIFEST
from harness.artifacts.store import GRAPH, TOKENIZER, Artifact, read_artifact
from harness.core.errors import ArtifactError, CheckpointError, EndpointError
from harness.core.files import file_sha256, replace_folder, write_json
from harness.core.heads import Head, SentenceEmbedding, describe
from harness.core.machine import describe as describe_machine
from harness.core.progress import Progress, Silent
from harness.core.records import to_json
from harness.core.task import AnyFinetune
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.serving.repository.store import locked
from harness.tokenization.tokenizer import FastTokenizer
from training.checkpoint import Checkpoint, read_checkpoint

#: Ten times what Optimum's own validation allows for one random batch (ATOL_FOR_VALIDATION = 1e-5).
TRACE_TOLERANCE = 1e-4


class GateRefusal(ArtifactError):
    """A graph that is not published, and why.

    Args:
        finetune: the graph.
        variant: its variant.
        reason: why it is not published, without a full stop.
        advice: what the user can do.
    """

    def __init__(
        self, finetune: str, variant: str, reason: str, advice: str, *, too_small: bool = False, at_chance: bool = False
    ) -> None:
        super().__init__(f"{finetune} is not published in {variant}: {reason}; {advice}")
        self.finetune = finetune
        self.variant = variant
        self.reason = reason
        self.advice = advice
        #: Whether only the number of examples speaks against it, or that its model is at chance.
        self.too_small = too_small
        self.at_chance = at_chance


def export_artifact(
    checkpoint_dir: Path,
    finetune: AnyFinetune,
    variant: str,
    out: Path,
    probes: Sequence[NDArray[np.int64]],
    samples: Sequence[GateSample],
    *,
    accept_drift: str | None = None,
    taken_over: Sequence[str] = (),
    force: bool = False,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Export a checkpoint and return its artifact; one that is there already is only returned.

    Args:
        checkpoint_dir: a checkpoint that `training.checkpoint` wrote.
        finetune: what the checkpoint was trained for.
        variant: a name of `exporters.variants.VARIANTS`.
        out: the artifact's own directory, as `ArtifactStore.directory` gives it. An older artifact
            there is replaced at the very end, and stays if anything fails before.
        probes: token ids of real sentences of several lengths, each (tokens,), for the check of the trace.
        samples: real examples of every task and script, for the gate.
        accept_drift: why a graph that the gate refuses is written all the same; goes into gate.json.
        taken_over: graphs of the same model and variant that the gate passed, whose verdict stands for this one
            where its tasks are too small to show a loss.
        cache: the folder in which PyTorch's answers are kept, so that another variant costs only its own; None
            keeps none.
        progress: shows how far the gate is.
        force: export even if the artifact of this checkpoint and variant is there.

    Raises:
        UsageError: no such variant.
        CheckpointError: the checkpoint is damaged, of another head, or does not fit its tokenizer.
        ArtifactError: the trace differs from PyTorch.
        GateRefusal: the gate refuses the variant. Its verdict then lies beside `out`, in a folder whose name
            ends with ".refused".
    """
    chosen = find_variant(variant)
    checkpoint = read_checkpoint(checkpoint_dir)
    _check_finetune(checkpoint, finetune)
    if not force and (present := _present(out, checkpoint, finetune.head, chosen)) is not None:
        return present
    refused = out.with_name(f"{out.name}.refused")
    loaded = load_module(checkpoint, finetune.head)
    if (reason := loaded.family.refused.get(chosen.name)) is not None:
        raise GateRefusal(finetune.name, chosen.name, reason, "choose another variant, for example `--variant fp32`")
    _check_tokens(checkpoint, loaded, probes)
    signature = loaded.signature
    out.parent.mkdir(parents=True, exist_ok=True)
    # One level deeper than an artifact lies, so that no listing of artifacts ever finds a draft.
    with locked(out.parent), tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        _clear(out, Path(scratch))
        draft = Path(scratch) / "draft"
        draft.mkdir()
        write_graph(loaded.module, signature, draft / GRAPH)
        agreement = parity(loaded.module, draft / GRAPH, probes, loaded.pad_id, TRACE_TOLERANCE)
        _apply(chosen, draft / GRAPH, loaded)
        kept = None if cache is None else _kept(cache, checkpoint, finetune, loaded, progress)
        verdict, engine = _judge(loaded, draft / GRAPH, samples, finetune, chosen, kept, progress)
        stands_in = list(taken_over) if verdict.too_small and not verdict.passed else []
        record = _gate_record(verdict, checkpoint, finetune, chosen, accept_drift, stands_in, engine)
        if not record.passed and accept_drift is None:
            write_json(refused / GATE, to_json(record))
            advice = (
                f"{refused / GATE} has every figure; use the fp32 graph, or publish this one with "
                f"`harness export --model {record.model} --finetune {finetune.name} --variant {chosen.name} "
                f"--accept-drift REASON`"
            )
            if verdict.reason.startswith("not shown"):
                advice = f"give the gate more examples with `--data DIR`, a folder that has them; {advice}"
            raise GateRefusal(
                finetune.name,
                chosen.name,
                f"{verdict.problems[0]}{_others(verdict)}",
                advice,
                too_small=verdict.too_small,
                at_chance=verdict.trained is not None and not verdict.trained.above_chance,
            )
        write_json(draft / GATE, to_json(record))
        shutil.copyfile(checkpoint.tokenizer, draft / TOKENIZER)
        described = manifest(
            draft,
            checkpoint=checkpoint,
            finetune=finetune,
            variant=chosen,
            loaded=loaded,
            signature=signature,
            parity=agreement,
            probes=probes,
        )
        write_json(draft / MANIFEST, described)
        _link_equal(draft / GRAPH, out.parents[1])
        replace_folder(out, draft, Path(scratch) / "retired")
    shutil.rmtree(refused, ignore_errors=True)
    return read_artifact(out)


def _kept(
    cache: Path, checkpoint: Checkpoint, finetune: AnyFinetune, loaded: Loaded, progress: Progress | None
) -> Kept:
    """Return where PyTorch's answers of a checkpoint with a head are kept."""
    known = (checkpoint.digest, describe(finetune.head), loaded.retrieval_layer)
    return Kept(
        folder=cache,
        network=sha256(repr(known).encode()).hexdigest(),
        numerics=f"torch {version('torch')} {describe_machine()['instructions']}",
        say=(progress or Silent()).say,
    )


def _judge(
    loaded: Loaded,
    graph: Path,
    samples: Sequence[GateSample],
    finetune: AnyFinetune,
    variant: Variant,
    kept: Kept | None,
    progress: Progress | None,
) -> tuple[Verdict, str]:
    """Return the verdict, and the engine that it was made in: the one that serves the graph on this machine."""
    signature = loaded.signature
    try:
        with (
            OnnxEndpoint(graph) as endpoint,
            RowAnswers(partial(infer, loaded.module), loaded.pad_id, signature, kept) as reference,
            RowAnswers(endpoint.infer, loaded.pad_id, signature) as answers,
        ):
            if endpoint.signature != signature:
                message = (
                    f"steps of {variant.name} changed the graph to {endpoint.signature.describe()}, "
                    f"{signature.describe()} was exported; nothing was published"
                )
                raise ArtifactError(message)
            verdict = judge(
                reference,
                answers,
                samples,
                signature=signature,
                tolerance=variant.tolerance,
                progress=progress,
                name=f"{finetune.name} {variant.name}",
            )
            return verdict, endpoint.backend
    except EndpointError as error:
        message = f"{error}; nothing was published"
        raise ArtifactError(message) from error


def _gate_record(
    verdict: Verdict,
    checkpoint: Checkpoint,
    finetune: AnyFinetune,
    variant: Variant,
    accepted: str | None,
    taken_over: list[str],
    engine: str,
) -> GateRecord:
    """Return the content of gate.json."""
    passed = verdict.passed or bool(taken_over)
    reason = f"too few examples to show a loss; taken over from {', '.join(taken_over)}" if taken_over else ""
    return GateRecord(
        format=GateRecord.newest,
        model=checkpoint.metadata.model,
        finetune=finetune.name,
        variant=variant.name,
        checkpoint=checkpoint.digest,
        passed=passed,
        reason=reason or verdict.reason,
        problems=list(verdict.problems),
        accepted=None if passed else accepted,
        tolerance=verdict.tolerance,
        trained=verdict.trained,
        scripts=dict(verdict.scripts),
        overall=verdict.overall,
        taken_over=taken_over,
        engine=engine,
        machine=describe_machine(),
    )


def _others(verdict: Verdict) -> str:
    return f" (and {len(verdict.problems) - 1} more)" if len(verdict.problems) > 1 else ""


def _check_finetune(checkpoint: Checkpoint, finetune: AnyFinetune) -> None:
    trained = checkpoint.metadata.finetune
    # An encoder of phase 1 or 2 was trained for no finetune.
    if trained not in (None, finetune.name):
        message = f"checkpoint {checkpoint.directory} was trained for {trained!r}, {finetune.name!r} is wanted"
        raise CheckpointError(message)


def _check_tokens(checkpoint: Checkpoint, loaded: Loaded, probes: Sequence[NDArray[np.int64]]) -> None:
    """Refuse a tokenizer that is not the network's, before torch fails on an index."""
    pad_id = FastTokenizer(checkpoint.tokenizer).pad_id
    largest = max(int(row.max()) for row in probes)
    longest = max(len(row) for row in probes)
    for name, found, right, fits in (
        ("padding id", pad_id, loaded.pad_id, pad_id == loaded.pad_id),
        ("largest token id", largest, f"below {loaded.vocabulary}", largest < loaded.vocabulary),
        ("longest row", longest, f"at most {loaded.max_tokens} tokens", longest <= loaded.max_tokens),
    ):
        if not fits:
            message = f"{name} of {checkpoint.tokenizer} is {found}, the network's config.json wants {right}"
            raise CheckpointError(message)


def _present(out: Path, checkpoint: Checkpoint, head: Head, variant: Variant) -> Artifact | None:
    """Return the artifact in `out` if exporting again would only repeat it."""
    try:
        artifact = read_artifact(out)
    except ArtifactError:
        # Missing or damaged: either way there is something to write.
        return None
    made = artifact.manifest
    layer = retrieval_layer(head, checkpoint, made.layers or 0) if isinstance(head, SentenceEmbedding) else None
    same = (
        made.checkpoint.digest == checkpoint.digest
        and artifact.variant == variant.name
        and made.steps == list(variant.step_names)
        and made.head == HeadRecord(**describe(head))
        and made.retrieval_layer == layer
    )
    gate = out / GATE
    if not same or not gate.is_file() or file_sha256(gate) != made.gate_sha256:
        return None
    return artifact if artifact.damaged() is None else None


def _apply(variant: Variant, graph: Path, loaded: Loaded) -> None:
    for step in variant.steps:
        # Of the same name, by which a graph names the file of its weights.
        with tempfile.TemporaryDirectory(prefix="after-", dir=graph.parent) as scratch:
            after = Path(scratch) / graph.name
            step(graph, after, loaded)
            move_graph(after, graph)


def _link_equal(graph: Path, model: Path) -> None:
    """Make a graph one file with an equal one of the same model: an encoder may answer several training sets."""
    size, digest = graph.stat().st_size, file_sha256(graph)
    for other in sorted(model.glob(f"*/*/{GRAPH}")):
        if other.stat().st_size == size and file_sha256(other) == digest:
            link = graph.with_name(f"{GRAPH}.link")
            try:
                os.link(other, link)
            except OSError:  # a file system without hard links
                return
            os.replace(link, graph)
            return


def _clear(out: Path, own: Path) -> None:
    """Remove what exports that were killed left, and put back an artifact that one of them had moved away."""
    for left in out.parent.glob(f".{out.name}-*"):
        if left == own:
            continue
        if not out.exists() and (left / "retired").is_dir():
            (left / "retired").rename(out)
        shutil.rmtree(left, ignore_errors=True)
