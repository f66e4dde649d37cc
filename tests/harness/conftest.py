"""Tiny graphs of every head, written with onnx.helper, and one local Triton that serves some of them."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from harness.artifacts.checkpoint import CheckpointMetadata
from harness.artifacts.manifest import MANIFEST, ArtifactManifest, CheckpointReference
from harness.artifacts.store import Artifact, graph_digests, read_artifact, weights_file
from harness.benchmark import finetunes
from harness.core.files import file_sha256
from harness.core.heads import (
    ChoiceScore,
    DualEncoder,
    Head,
    SentenceEmbedding,
    SequenceClassification,
    SpanExtraction,
    TokenClassification,
)
from harness.core.layout import Layout
from harness.core.tensors import TOKEN_TYPES, GraphSignature
from harness.tokenization.tokenizer import FastTokenizer

VOCABULARY = 50
HIDDEN = 8
PROBE = [0, 5, 6, 7, 2]

HEADS: dict[str, Head] = {
    "sequence": SequenceClassification(("entailment", "neutral", "contradiction")),
    "choice": ChoiceScore(),
    "token": TokenClassification(("NOUN", "VERB", "X", "PUNCT")),
    "span": SpanExtraction(),
    "embedding": SentenceEmbedding(layers={}),
    "dual": DualEncoder(),
}


def write_graph(path: Path, signature: GraphSignature, seed: int) -> None:
    """Write a graph of the signature: a table of vectors, their masked mean, and a product for each output."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    numbers = np.random.default_rng(seed)
    weights = {
        "table": numbers.standard_normal((VOCABULARY, HIDDEN)).astype(np.float32),
        "last": np.array([2]),
        "tokens": np.array([1]),
    }
    words, sums = "vectors", []
    if TOKEN_TYPES in signature.inputs:
        weights["types"] = numbers.standard_normal((2, HIDDEN)).astype(np.float32)
        words = "words"
        sums = [
            helper.make_node("Gather", ["types", "token_type_ids"], ["kinds"]),
            helper.make_node("Add", ["words", "kinds"], ["vectors"]),
        ]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], [words]),
        *sums,
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["vectors", "column"], ["attended"]),
        helper.make_node("ReduceSum", ["attended", "tokens"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["column", "tokens"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
    ]
    for spec in signature.outputs:
        size = spec.axes[-1] if isinstance(spec.axes[-1], int) else 1
        weights[f"w_{spec.name}"] = numbers.standard_normal((HIDDEN, size)).astype(np.float32)
        squeezed = spec.axes[-1] == "tokens"
        source, product = ("vectors" if spec.per_token else "mean"), (f"p_{spec.name}" if squeezed else spec.name)
        nodes.append(helper.make_node("MatMul", [source, f"w_{spec.name}"], [product]))
        if squeezed:
            nodes.append(helper.make_node("Squeeze", [product, "last"], [spec.name]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(s.name, TensorProto.INT64, s.axes) for s in signature.inputs],
        [helper.make_tensor_value_info(s.name, TensorProto.FLOAT, s.axes) for s in signature.outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    path.unlink(missing_ok=True)  # a published graph is a link to this file
    onnx.save(model, path)


def make_artifact(
    folder: Path,
    kind: str,
    *,
    model: str = "tiny",
    seed: int = 0,
    vocabulary: bool = False,
    token_types: bool = False,
) -> Artifact:
    signature = HEADS[kind].signature(HIDDEN, token_types=token_types)
    directory = folder / model / kind / "fp32"
    directory.mkdir(parents=True, exist_ok=True)
    write_graph(directory / "model.onnx", signature, seed)
    digest, tokenizer = file_sha256(directory / "model.onnx"), "0" * 64
    manifest = ArtifactManifest(
        model=model,
        finetune=kind,
        variant="fp32",
        signature=signature,
        graph_sha256=digest,
        tokenizer_sha256=tokenizer,
        hidden=HIDDEN,
        pad_id=1,
        vocabulary=VOCABULARY if vocabulary else None,
        checkpoint=CheckpointReference(
            digest="c" * 64, metadata=CheckpointMetadata(phase="target", model=model, seen={})
        ),
    )
    return Artifact(directory, manifest)


def set_weights_apart(artifact: Artifact) -> Artifact:
    """Put the weights of a tiny graph into a file beside it, as an export does with more than 2 GiB."""
    import onnx

    model = onnx.load(artifact.graph)
    artifact.graph.unlink()  # a published graph is a link to this file
    weights_file(artifact.graph).unlink(missing_ok=True)
    onnx.save(
        model,
        artifact.graph,
        save_as_external_data=True,
        location=weights_file(artifact.graph).name,
        size_threshold=100,  # the table and the products; what shapes are inferred from stays
    )
    digests = graph_digests(artifact.graph)
    manifest = msgspec.structs.replace(artifact.manifest, **digests)
    if (artifact.directory / MANIFEST).is_file():
        written = json.loads((artifact.directory / MANIFEST).read_text(encoding="utf-8"))
        (artifact.directory / MANIFEST).write_text(json.dumps({**written, **digests}), encoding="utf-8")
    return dataclasses.replace(artifact, manifest=manifest)


@pytest.fixture
def apart() -> Callable[[Artifact], Artifact]:
    """Put the weights of an artifact's graph into a file beside it: ``apart(artifact())``."""
    return set_weights_apart


@pytest.fixture(scope="session")
def probe() -> list[int]:
    return PROBE


@pytest.fixture
def artifact(tmp_path: Path) -> Callable[..., Artifact]:
    """Write a tiny artifact: ``artifact("token", seed=1)``."""
    return lambda kind="embedding", **options: make_artifact(tmp_path / "artifacts", kind, **options)


class Served(NamedTuple):
    """A running server and what it serves, by kind of head; "bounded" knows its vocabulary."""

    hosts: list[str]
    artifacts: dict[str, Artifact]
    server: object
    repository: Path


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    from harness.inference.endpoints.triton import parse_hosts
    from harness.serving.repository.config import Serving
    from harness.serving.repository.store import publish
    from harness.serving.server.local import LocalTriton

    root = tmp_path_factory.mktemp("served")
    artifacts = {kind: make_artifact(root, kind) for kind in HEADS}
    artifacts["bounded"] = make_artifact(root, "embedding", model="bounded", vocabulary=True)
    # A delay, so that requests that are sent together are answered together.
    serving = Serving(max_batch_size=32, threads=1, queue_delay_us=100_000)
    for each in artifacts.values():
        publish(each, root / "repository", serving, probe_ids=PROBE)
    names = [each.name for each in artifacts.values()]
    with LocalTriton(root / "repository", names, log=root / "triton.log") as server:
        yield Served(parse_hosts(server.uri), artifacts, server, root / "repository")


@pytest.fixture(scope="session")
def session_members() -> Callable[[int], dict[int, str]]:
    """Processes of a session, by number, with their programs; dead ones that init has still to reap do not count."""

    def members(session: int) -> dict[int, str]:
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                state, _parent, _group, its_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                program = (entry / "cmdline").read_text().partition("\0")[0]
            except OSError:
                continue
            if int(its_session) == session and state != "Z":
                found[int(entry.name)] = Path(program).name
        return found

    return members


PIECES = ["<s>", "<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz0123456789.,?!"]


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer in which each letter is a piece, with XLM-R's frame; U+200B leaves no piece."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    toy = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(PIECES)}, unk_token="<unk>"))
    toy.normalizer = normalizers.Replace("\u200b", "")
    toy.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    toy.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    toy.save(str(path))
    return path


@pytest.fixture(scope="session")
def tokenizer(tokenizer_file: Path) -> FastTokenizer:
    return FastTokenizer(tokenizer_file)


@pytest.fixture(scope="session")
def bert_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> FastTokenizer:
    """A tokenizer of the same letters with BERT's frame: one separator between two sequences, and token types."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *PIECES[4:]]
    toy = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    toy.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    toy.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    path = tmp_path_factory.mktemp("bert") / "tokenizer.json"
    toy.save(str(path))
    return FastTokenizer(path)


@pytest.fixture(scope="session")
def spell() -> Callable[[Iterable[int]], str]:
    """Read a row of the toy tokenizer: special tokens as they are, letters without spaces."""
    return lambda ids: "".join(PIECES[int(number)] for number in ids)


@pytest.fixture
def tiny_graph(tmp_path: Path) -> Callable[..., bytes]:
    """The bytes of a graph that answers: ``tiny_graph(signature, seed=1)``."""

    def make(signature: GraphSignature, seed: int = 0) -> bytes:
        path = tmp_path / "tiny.onnx"
        write_graph(path, signature, seed)
        return path.read_bytes()

    return make


@pytest.fixture
def graph_of(tmp_path: Path, tokenizer_file: Path) -> Callable[..., Artifact]:
    """Write an artifact whose graph is never run: ``graph_of("mnli")`` under tmp_path/artifacts."""

    def make(
        finetune: str,
        *,
        model: str = "tiny",
        hidden: int = 4,
        graph: bytes = b"graph",
        seen: dict[str, dict[str, int]] | None = None,
    ) -> Artifact:
        directory = tmp_path / "artifacts" / model / finetune / "fp32"
        directory.mkdir(parents=True)
        (directory / "model.onnx").write_bytes(graph)
        shutil.copy(tokenizer_file, directory / "tokenizer.json")
        manifest = {
            "model": model,
            "finetune": finetune,
            "variant": "fp32",
            "signature": finetunes.load(finetune).head.signature(hidden).to_json(),
            "graph_sha256": file_sha256(directory / "model.onnx"),
            "tokenizer_sha256": file_sha256(directory / "tokenizer.json"),
            "hidden": hidden,
            "pad_id": 1,
            "checkpoint": {"digest": "c" * 64, "account": {"phase": "target", "model": model, "seen": seen or {}}},
        }
        (directory / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        return read_artifact(directory)

    return make


@pytest.fixture(scope="session")
def sample_data(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The sample's evaluation files as `harness.sample.write` writes them first, in a fraction of its time."""
    from harness.sample.writers import SampleWriter

    sample = SampleWriter(tmp_path_factory.mktemp("data") / "sample")
    sample.evaluation()
    sample.coverage()
    return Layout.at(sample.folder)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file below tmp_path/data/xtreme byte by byte: ``write("xnli/test-ru.tsv", "...")``."""

    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / "data" / "xtreme" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """The data folder that `write` fills."""
    (tmp_path / "data" / "xtreme").mkdir(parents=True, exist_ok=True)
    return Layout.at(tmp_path / "data")


@pytest.fixture
def install_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a package of one module with entry points on the path, as pip would: ``install_package(entries, code)``."""

    def make(entries: str, code: str, package: str = "toy-tasks") -> None:
        module = package.replace("-", "_")
        described = tmp_path / package / f"{module}-1.0.dist-info"
        described.mkdir(parents=True)
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (described / "entry_points.txt").write_text(entries)
        (tmp_path / package / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path / package))
        monkeypatch.delitem(sys.modules, module, raising=False)

    return make
