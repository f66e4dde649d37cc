"""The networks that both sides run: a trained one for scores, one of random weights for speed."""

import shutil
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from onnx.external_data_helper import set_external_data
from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaForQuestionAnswering,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

from benchmarks.compare.gated import Choice, fastest
from benchmarks.contenders.baseshape import Shape, apply_steps, configuration, vocabulary_size
from benchmarks.contenders.eager import load_model
from exporters.modules import Embedding, HeadModule, Labels, Loaded, Spans, load_module
from exporters.onnx import write_graph
from exporters.variants import VARIANTS
from harness.artifacts.manifest import MANIFEST
from harness.artifacts.store import GRAPH, TOKENIZER, Artifact, read_artifact, weights_file
from harness.artifacts.workspace import Workspace
from harness.core.errors import ArtifactError, UsageError
from harness.core.files import file_sha256, link_or_copy, write_json
from harness.core.heads import Head, SentenceEmbedding, SequenceClassification, SpanExtraction, describe
from harness.core.machine import cores
from harness.core.task import AnyFinetune
from harness.core.tensors import ENCODER_INPUTS, GraphSignature, TensorSpec
from harness.serving.repository.config import Serving
from harness.serving.repository.layout import selected
from harness.serving.repository.store import publish
from training.checkpoint import read_checkpoint
from training.encoders.networks import networks_of

EXACT = "fp32"
SEED = 0
#: Rows of the embedding table while a graph is traced and quantised: of XLM-R base's 1.1 GB the table is
#: 0.77, costs no products, and is the same in every graph. No other tensor may have so many rows.
TRACED = 97
#: The whole table, beside each graph, as ONNX's external data.
TABLE = "words.bin"
#: Standard deviation of random weights (transformers' `initializer_range`).
DEVIATION = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One set of weights with one head: transformers' network, and the graphs of it."""

    #: For titles.
    label: str
    #: Whether the weights are trained, so that a score means something.
    scored: bool
    finetune: AnyFinetune
    shape: Shape
    #: Its `tokenizer.json`.
    tokenizer: Path
    #: As transformers itself runs it; a part of it may be shared with other networks.
    torch: nn.Module
    #: The hidden state that sentences are compared by; None for other heads.
    layer: int | None
    #: Variant -> graph; fp32, and the fastest gated one if there is one.
    graphs: Mapping[str, Artifact]
    #: Why faster variants are not among them.
    reasons: tuple[str, ...]

    @property
    def exact(self) -> Artifact:
        """Return the fp32 graph."""
        return self.graphs[EXACT]

    @property
    def depth(self) -> int:
        """Return the layers that the graphs compute."""
        return self.shape.layers if self.layer is None else self.layer


def trained(model: str, finetune: AnyFinetune, workspace: Workspace) -> Network:
    """Return a trained model: its graphs, and the very checkpoint that they were exported from.

    Raises:
        UsageError, ArtifactError: there is no such graph, or its checkpoint has been trained again since.
        CheckpointError: the checkpoint is missing or damaged.
    """
    exact = workspace.artifacts.find(model, finetune.name, EXACT)
    checkpoint = read_checkpoint(workspace.checkpoints / model / "target" / finetune.name)
    if checkpoint.digest != exact.manifest.checkpoint.digest:
        message = (
            f"graph {exact.graph} was exported from another checkpoint than {checkpoint.directory}; "
            f"export it again with `harness export --model {model}`"
        )
        raise ArtifactError(message)
    choice: Choice = fastest(workspace.artifacts, model, exact)
    found = {} if choice.artifact is None else {choice.artifact.variant: choice.artifact}
    config = XLMRobertaConfig.from_pretrained(checkpoint.directory)
    return Network(
        label=f"trained encoder {model}",
        scored=True,
        finetune=finetune,
        shape=Shape(
            name=model,
            layers=config.num_hidden_layers,
            width=config.hidden_size,
            heads=config.num_attention_heads,
            feed_forward=config.intermediate_size,
            positions=config.max_position_embeddings,
        ),
        tokenizer=exact.tokenizer,
        torch=load_model(checkpoint.directory, finetune.head),
        layer=exact.manifest.retrieval_layer,
        graphs={EXACT: exact, **found},
        reasons=choice.reasons,
    )


class TokenVectors(HeadModule):
    """`last_hidden_state` (rows, tokens, hidden): what sentence-transformers pools by itself."""

    decision = "neighbour"

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """See `HeadModule.forward`; XLM-R's networks take no token types."""
        return {"last_hidden_state": self.network(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state}


def token_signature(hidden: int) -> GraphSignature:
    """Return inputs and outputs of a graph of `TokenVectors`."""
    return GraphSignature(ENCODER_INPUTS, (TensorSpec("last_hidden_state", "float32", ("rows", "tokens", hidden)),))


def trained_token_graph(model: str, network: Network, workspace: Workspace, folder: Path) -> Path:
    """Return the graph of token vectors of a trained encoder, as deep as its graph for retrieval."""
    checkpoint = read_checkpoint(workspace.checkpoints / model / "target" / network.finetune.name)
    cut = load_module(checkpoint, network.finetune.head).module.network
    graph = folder / "trained" / GRAPH
    graph.parent.mkdir()
    write_graph(TokenVectors(cut).eval(), token_signature(network.shape.width), graph)
    return graph


class RandomNetworks:
    """Networks of one shape with random weights, one encoder under all heads, exported on demand.

    Optimum traces and ONNX Runtime quantises each graph with a table of `TRACED` words; the whole table is
    put beside it afterwards, so that what is measured is the shape with the tokenizer's own vocabulary.
    """

    def __init__(self, shape: Shape, tokenizer: Path, folder: Path) -> None:
        """Draw the weights.

        Args:
            shape: of the encoder.
            tokenizer: a tokenizer.json; it says how many words the table has.
            folder: gets the graphs.
        """
        self.shape, self._tokenizer, self._folder = shape, tokenizer, folder
        self._vocabulary = max(TRACED + 1, vocabulary_size(tokenizer))
        torch.manual_seed(SEED)
        config = configuration(shape, TRACED)
        # Optimum traces eager attention, and transformers by itself runs the fused one: both from one set of weights.
        config._attn_implementation = "eager"
        self._traced = XLMRobertaModel(config, add_pooling_layer=False).eval()
        self._table = nn.Embedding(self._vocabulary, shape.width, padding_idx=config.pad_token_id)
        with torch.no_grad():
            self._table.weight.normal_(std=DEVIATION)[config.pad_token_id].zero_()
            self._table.weight[:TRACED] = self._traced.embeddings.word_embeddings.weight
        own = configuration(shape, TRACED)
        self._encoder = XLMRobertaModel(own, add_pooling_layer=False).eval()
        self._encoder.load_state_dict(self._traced.state_dict(), assign=True)
        self._encoder.embeddings.word_embeddings = self._table
        self._encoder.config.vocab_size = self._vocabulary
        self._folder.mkdir(parents=True, exist_ok=True)
        self._table.weight.detach().numpy().astype("<f4").tofile(folder / TABLE)

    def network(self, finetune: AnyFinetune, choice: Choice) -> Network:
        """Return the network of a finetune, with a graph in fp32 and in the variant that was chosen."""
        variants = [EXACT, *([] if choice.artifact is None else [choice.artifact.variant])]
        layer = self._layer(finetune.head)
        return Network(
            label=f"{self.shape.name}, {self.shape.describe()}, random weights, no score",
            scored=False,
            finetune=finetune,
            shape=self.shape,
            tokenizer=self._tokenizer,
            torch=self.torch(finetune),
            layer=layer,
            graphs={variant: self._artifact(finetune, variant) for variant in variants},
            reasons=choice.reasons,
        )

    def torch(self, finetune: AnyFinetune) -> PreTrainedModel:
        """Return transformers' own network with the head of a finetune."""
        if isinstance(finetune.head, SentenceEmbedding):
            return self._encoder
        return self._head(finetune, self._encoder)

    def token_graph(self, layer: int) -> Path:
        """Return a graph of token vectors that stops at a layer."""
        graph = self._folder / "tokens" / GRAPH
        graph.parent.mkdir()
        write_graph(TokenVectors(self._cut(layer)).eval(), token_signature(self.shape.width), graph)
        self._whole(graph)
        return graph

    def config(self, head: Head, layers: int | None = None) -> XLMRobertaConfig:
        """Return the configuration of the whole network, as a checkpoint of it would hold it."""
        config = _labelled(configuration(self.shape, self._vocabulary), head)
        config.num_hidden_layers = layers or self.shape.layers
        return config

    def published(self, artifact: Artifact, repository: Path, probe: Sequence[int]) -> None:
        """Publish a graph to a model repository, its table beside it."""
        publish(artifact, repository, Serving(threads=cores()), probe_ids=probe)
        model = repository / artifact.name
        link_or_copy(self._folder / TABLE, model / str(selected(model / "config.pbtxt")) / TABLE)

    def _layer(self, head: Head) -> int | None:
        if not isinstance(head, SentenceEmbedding):
            return None
        # A shape that the head does not know stops where the 12-layer one does: after two thirds.
        return head.layers.get(self.shape.layers, -(-2 * self.shape.layers // 3))

    def _head(self, finetune: AnyFinetune, encoder: XLMRobertaModel) -> PreTrainedModel:
        """Return an encoder with the head of a finetune, whose weights are the same at every call."""
        torch.manual_seed(SEED)
        config = _labelled(configuration(self.shape, 2), finetune.head)
        # The encoder is put in afterwards.
        config.num_hidden_layers = 0
        network = _empty(finetune.head, config).eval()
        network.roberta = encoder
        network.config = _labelled(deepcopy(encoder.config), finetune.head)
        return network

    def _cut(self, layer: int) -> XLMRobertaModel:
        """Return the traced encoder up to a layer, without touching the whole one."""
        config = deepcopy(self._traced.config)
        config.num_hidden_layers = 0
        shell = XLMRobertaModel(config, add_pooling_layer=False).eval()
        shell.config.num_hidden_layers = layer
        shell.embeddings = self._traced.embeddings
        shell.encoder.layer = self._traced.encoder.layer[:layer]
        return shell

    def _module(self, finetune: AnyFinetune) -> HeadModule:
        layer = self._layer(finetune.head)
        if layer is not None and isinstance(finetune.head, SentenceEmbedding):
            return Embedding(self._cut(layer), layer, finetune.head.pooling).eval()
        return _wrapped(finetune.head, self._head(finetune, self._traced)).eval()

    def _artifact(self, finetune: AnyFinetune, variant: str) -> Artifact:
        folder = self._folder / "artifacts" / self.shape.name / finetune.name / variant
        if not (folder / MANIFEST).is_file():
            self._export(finetune, variant, folder)
        return read_artifact(folder)

    def _export(self, finetune: AnyFinetune, variant: str, folder: Path) -> None:
        """Write one graph with what a manifest needs for serving and for a run."""
        chosen, layer = VARIANTS[variant], self._layer(finetune.head)
        folder.mkdir(parents=True)
        signature = finetune.head.signature(self.shape.width)
        traced = self._folder / f"{finetune.name}.onnx"
        family = networks_of(self._traced.config.model_type).family
        loaded = Loaded(
            module=self._module(finetune),
            family=family,
            signature=signature,
            products=family.products(self._traced.config.to_dict()),
            hidden=self.shape.width,
            layers=self.shape.layers,
            vocabulary=self._vocabulary,
            pad_id=self._traced.config.pad_token_id,
            max_tokens=self.shape.positions - self._traced.config.pad_token_id - 1,
            retrieval_layer=layer,
        )
        if not traced.is_file():
            write_graph(loaded.module, signature, traced)
        with TemporaryDirectory(dir=folder) as steps:
            shutil.copyfile(apply_steps(chosen, traced, Path(steps), loaded), folder / GRAPH)
        self._whole(folder / GRAPH)
        shutil.copyfile(self._tokenizer, folder / TOKENIZER)
        manifest = {
            "model": self.shape.name,
            "finetune": finetune.name,
            "variant": variant,
            "batch_dependent": chosen.batch_dependent,
            "head": describe(finetune.head),
            "signature": signature.to_json(),
            "graph_sha256": file_sha256(folder / GRAPH),
            "tokenizer_sha256": file_sha256(folder / TOKENIZER),
            "vocabulary": self._vocabulary,
            "pad_id": loaded.pad_id,
            "hidden": loaded.hidden,
            "layers": loaded.layers,
            "max_tokens": loaded.max_tokens,
            "retrieval_layer": layer,
            "checkpoint": {
                "digest": "random weights",
                "account": {
                    "phase": "target",
                    "model": self.shape.name,
                    "seen": {},
                    "recipe": {"name": self.shape.name},
                },
            },
        }
        write_json(folder / MANIFEST, manifest)

    def _whole(self, graph: Path) -> None:
        """Replace the traced table of a graph by the whole one.

        Raises:
            ArtifactError: the graph has no such table, or several.
        """
        model = onnx.load(graph)
        tables = [each for each in model.graph.initializer if list(each.dims) == [TRACED, self.shape.width]]
        if len(tables) != 1:
            message = f"{graph} has {len(tables)} tables of {TRACED} words, not 1; use the versions of constraints.txt"
            raise ArtifactError(message)
        (table,) = tables
        table.dims[0] = self._vocabulary
        table.ClearField("raw_data")
        table.ClearField("float_data")
        # The bytes are in the file already; the helper wants to see that a tensor has some.
        table.raw_data = b""
        set_external_data(table, location=TABLE, offset=0, length=self._vocabulary * self.shape.width * 4)
        table.ClearField("raw_data")
        table.data_location = onnx.TensorProto.EXTERNAL
        graph.write_bytes(model.SerializeToString())
        link_or_copy(self._folder / TABLE, graph.with_name(TABLE))


def peer_folder(folder: Path, graph: Path, config: XLMRobertaConfig, tokenizer: Path) -> Path:
    """Return a folder as peers expect a local model: graph, config.json and tokenizer files.

    Args:
        folder: is made.
        graph: linked, with its table if it has one beside it.
        config: of the network.
        tokenizer: a tokenizer.json.
    """
    from transformers import XLMRobertaTokenizerFast

    folder.mkdir(parents=True)
    link_or_copy(graph, folder / GRAPH)
    for beside in (graph.with_name(TABLE), weights_file(graph)):
        if beside.is_file():
            link_or_copy(beside, folder / beside.name)
    config.save_pretrained(folder)
    longest = config.max_position_embeddings - config.pad_token_id - 1
    XLMRobertaTokenizerFast(tokenizer_file=str(tokenizer), model_max_length=longest).save_pretrained(folder)
    return folder


def _labelled(config: XLMRobertaConfig, head: Head) -> XLMRobertaConfig:
    """Return a configuration that names the labels of a head; the given one where it has none."""
    if isinstance(head, SequenceClassification):
        config.num_labels = len(head.labels)
        config.id2label = dict(enumerate(head.labels))
        config.label2id = {label: number for number, label in enumerate(head.labels)}
    if isinstance(head, SpanExtraction):
        config.num_labels = 2
    return config


@singledispatch
def _empty(head: object, config: XLMRobertaConfig) -> PreTrainedModel:
    message = f"random weights are made for classification, spans and embeddings, not {type(head).__name__}"
    raise UsageError(message)


@_empty.register
def _(head: SequenceClassification, config: XLMRobertaConfig) -> PreTrainedModel:
    return XLMRobertaForSequenceClassification(config)


@_empty.register
def _(head: SpanExtraction, config: XLMRobertaConfig) -> PreTrainedModel:
    return XLMRobertaForQuestionAnswering(config)


def _wrapped(head: Head, network: PreTrainedModel) -> HeadModule:
    return Spans(network) if isinstance(head, SpanExtraction) else Labels(network)
