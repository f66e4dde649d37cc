"""Mixed lengths at equal precision and depth: from text to answer, against each peer by its documented default."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedTokenizerBase, XLMRobertaConfig

from benchmarks.compare.networks import Network, peer_folder, trained_token_graph
from benchmarks.compare.peers.texts import LabelDecision, Text, decide, tokenize
from benchmarks.compare.session import UNIT, Session
from benchmarks.compare.texts import mixed
from benchmarks.compare.works import both, twice
from benchmarks.contenders.baseshape import cost, shapes
from benchmarks.contenders.ours import Harness
from benchmarks.contenders.workload import Workload
from benchmarks.core.rows import Row, Side, rate_row
from benchmarks.core.timing import Timing, alternate
from harness.artifacts.workspace import Workspace
from harness.benchmark import tasks
from harness.core.errors import ArtifactError
from harness.core.features import Feature
from harness.core.heads import SequenceClassification
from harness.core.task import Outputs
from harness.evaluation.workload import FeaturizedJob, Job
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.tokenization.tokenizer import FastTokenizer

TARGET = 1.2
#: One of so many parts of the sample: every peer answers all of it.
SHARE = 10
#: Vectors whose numbers differ by less count as equal.
EQUAL = 1e-4


class FromText:
    """A contender: our path from texts to journaled answers, tokenization included."""

    def __init__(
        self, name: str, endpoint: OnnxEndpoint, network: Network, texts: Sequence[Text], tokenizer: Path, folder: Path
    ) -> None:
        """Prepare; the endpoint stays the caller's to close.

        Args:
            name: how the timings call it.
            endpoint: answers for the network's fp32 graph.
            network: answers.
            texts: what it answers.
            tokenizer: a tokenizer.json.
            folder: gets a journal for each run.
        """
        self.name = name
        self._endpoint, self._network, self._texts, self._folder = endpoint, network, texts, folder
        self._tokenizer = FastTokenizer(tokenizer)
        self._runs = 0
        self._side: Harness | None = None

    def warm_up(self) -> None:
        """Answer the first, the middle and the last batch of the plan."""
        self._harness().warm_up()

    def run(self) -> None:
        """Tokenize, plan, answer and journal every text."""
        self._side = self._harness()
        self._side.run()

    def outputs(self) -> list[Outputs]:
        """Return the last run's answer to every text."""
        assert self._side is not None
        (answers,) = self._side.outputs()
        return answers

    def features(self) -> list[Feature]:
        """Return the rows of the texts."""
        return tokenize(self._texts, self._tokenizer)

    def plan(self) -> list[tuple[int, int]]:
        """Return rows and width of each batch."""
        return shapes(self._harness().plan())

    def _harness(self) -> Harness:
        self._runs += 1
        # Only names the file that the texts would be of.
        task = tasks.load(tasks.answered_by(self._network.finetune.name)[0].name)
        item = FeaturizedJob(Job(task, "en", "test"), list(self._texts), self.features())
        rows = Workload(task, [item], self._tokenizer.pad_id)
        return Harness(f"{self.name} {self._runs}", self._endpoint, self._network.exact, rows, self._folder)


def measure(session: Session) -> list[Row]:
    """Return the rows of every peer: at base shape for speed, with the trained model for the score.

    Raises:
        MissingExtra: a peer is not installed.
        ArtifactError: a peer's tokenizer makes other rows than ours, so the work would not be equal.
    """
    classified, embedded = mixed(session, SHARE)
    found = []
    for scored in (False, True):
        found += _classify(session, session.network("mnli", scored=scored), classified)
        found += _embed(session, session.network("encoder", scored=scored), embedded)
    return found


def _classify(session: Session, network: Network, texts: Sequence[Text]) -> list[Row]:
    from benchmarks.compare.peers.openvino_runtime import OpenVino
    from benchmarks.compare.peers.ort_model import OrtModel
    from benchmarks.compare.peers.pipeline import Pipeline

    folder = peer_folder(
        session.folder / "peers" / f"classify-{network.scored}",
        network.exact.graph,
        _config(session, network),
        network.tokenizer,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    check_tokens(tokenizer, texts, FastTokenizer(network.tokenizer))
    peers: list[Pipeline | OrtModel | OpenVino] = [
        Pipeline(network.torch, tokenizer, texts),
        OrtModel(folder, tokenizer, texts),
        OpenVino(network.exact.graph, tokenizer, texts),
    ]
    with ExitStack() as stack:
        ours, timings = _race(session, network, texts, peers, stack)
        mine = decide(np.stack([answer["logits"] for answer in ours.outputs()]))
    return [
        _row(
            session,
            network,
            ours,
            texts,
            peer.name,
            timings,
            f"classify {len(texts):,} texts of mixed lengths",
            scores=(accuracy(network, texts, mine), accuracy(network, texts, peer.decisions)),
            equal_predictions=100
            * float(np.mean([a.label == b.label for a, b in zip(mine, peer.decisions, strict=True)])),
            largest_difference=max(
                abs(a.probability - b.probability) for a, b in zip(mine, peer.decisions, strict=True)
            ),
            metric=["accuracy on the XNLI pairs among them"],
        )
        for peer in peers
    ]


def _embed(session: Session, network: Network, texts: Sequence[Text]) -> list[Row]:
    from benchmarks.compare.peers.sentence_encoder import SentenceEncoder

    graph = token_graph(session, network)
    config = _config(session, network)
    config.num_hidden_layers = network.depth
    folder = peer_folder(session.folder / "peers" / f"embed-{network.scored}", graph, config, network.tokenizer)
    check_tokens(AutoTokenizer.from_pretrained(folder, local_files_only=True), texts, FastTokenizer(network.tokenizer))
    peer = SentenceEncoder(folder, network.shape.width, texts)
    with ExitStack() as stack:
        ours, timings = _race(session, network, texts, [peer], stack)
        mine = np.stack([answer["embedding"] for answer in ours.outputs()])
    return [
        _row(
            session,
            network,
            ours,
            texts,
            peer.name,
            timings,
            f"embed {len(texts):,} texts of mixed lengths",
            scores=tuple(translations(texts, vectors) for vectors in (mine, peer.vectors)),
            equal_predictions=100 * float(np.mean(np.abs(mine - peer.vectors).max(axis=1) < EQUAL)),
            largest_difference=float(np.abs(mine - peer.vectors).max()),
            metric=["accuracy of the Tatoeba pairs among them, percent of English sentences"],
        )
    ]


def _race(
    session: Session, network: Network, texts: Sequence[Text], peers: Sequence[Any], stack: ExitStack
) -> tuple[FromText, dict[str, Timing]]:
    endpoint = stack.enter_context(OnnxEndpoint.for_batches(network.exact))
    folder = session.folder / "journals" / f"mixed-{network.finetune.name}-{network.scored}"
    ours, again = (FromText(name, endpoint, network, texts, network.tokenizer, folder) for name in ("first", "again"))
    order = twice([ours], [again], peers)
    with session.progress.step(f"mixed lengths, {network.finetune.name}", 2 * len(order), "runs") as advance:
        timings = alternate(order, warmup=1, repeats=1, advance=advance)
    return ours, timings


def _row(
    session: Session,
    network: Network,
    ours: FromText,
    texts: Sequence[Text],
    peer: str,
    timings: dict[str, Timing],
    work: str,
    *,
    scores: tuple[float | None, ...],
    **details: Any,
) -> Row:
    useful = sum(len(feature.input_ids) for feature in ours.features())
    timing = both(timings, "first", "again")
    numbers = scores if network.scored else (None, None)
    named = "sample data, " if session.is_sample_data else ""
    plan = ours.plan()
    done = cost(network.shape, network.depth, plan)
    return rate_row(
        f"{named}{work} from text, {network.label}, fp32, {network.depth} layers",
        useful,
        UNIT,
        Side("ours", timing, numbers[0]),
        Side(peer, timings[peer], numbers[1]),
        target=None if network.scored else TARGET,
        padding={"ours": round(done.padded_tokens / useful, 4)},
        operations_per_second=done.operations / timing.median,
        variant="fp32",
        weights="trained" if network.scored else "random",
        **details,
    )


def accuracy(network: Network, texts: Sequence[Text], decisions: Sequence[LabelDecision]) -> float | None:
    """Return the share of labelled texts that got their label, in percent; None where none is labelled."""
    head = network.finetune.head
    assert isinstance(head, SequenceClassification)
    right = [
        head.labels[decision.label] == text.label
        for text, decision in zip(texts, decisions, strict=True)
        if text.label is not None
    ]
    return 100 * float(np.mean(right)) if right else None


def translations(texts: Sequence[Text], vectors: NDArray[np.float32]) -> float | None:
    """Return how many sentences find their translation among those of its language, in percent."""
    hits: list[bool] = []
    groups = sorted({text.group for text in texts if text.group})
    for group in groups:
        queries = [row for row, text in enumerate(texts) if text.group == group and text.query]
        candidates = [row for row, text in enumerate(texts) if text.group == group and not text.query]
        found = (vectors[queries] @ vectors[candidates].T).argmax(axis=1)
        hits += [texts[candidates[index]].name in texts[row].gold for row, index in zip(queries, found, strict=True)]
    return 100 * float(np.mean(hits)) if hits else None


def token_graph(session: Session, network: Network) -> Path:
    """Return the graph of token vectors, as deep as the network's own graph, for the library that pools itself."""
    if not network.scored:
        return session.random.token_graph(network.depth)
    return trained_token_graph(session.model, network, session.workspace, session.folder)


def _config(session: Session, network: Network) -> XLMRobertaConfig:
    if not network.scored:
        return session.random.config(network.finetune.head)
    return XLMRobertaConfig.from_pretrained(_checkpoint(session.workspace, session.model, network))


def _checkpoint(workspace: Workspace, model: str, network: Network) -> Path:
    return workspace.checkpoints / model / "target" / network.finetune.name


def check_tokens(peer: PreTrainedTokenizerBase, texts: Sequence[Text], tokenizer: FastTokenizer) -> None:
    """Refuse a comparison in which a peer would answer other rows.

    Raises:
        ArtifactError: names the first text whose ids differ.
    """
    for text, ours in zip(texts, tokenize(texts, tokenizer), strict=True):
        theirs = peer(text.first, text.second)["input_ids"]
        if list(theirs) != ours.input_ids.tolist():
            message = (
                f"transformers makes {len(theirs)} tokens of {text.first[:40]!r}, the harness {len(ours.input_ids)} "
                f"or others; the tokenizer.json of this model is not one that its peers read alike"
            )
            raise ArtifactError(message)
