"""The text model beside a served graph: a second Triton model that takes texts and gives answers.

It is data only, as the whole model repository: a config, and in the version's folder the graph's
tokenizer and `text.json`. The code is the `text` backend's (`backends/text/model.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from harness.artifacts.adapted import finetune_of
from harness.artifacts.store import TOKENIZER, Artifact
from harness.benchmark import finetunes
from harness.core.errors import ArtifactError, UsageError
from harness.core.heads import describe
from harness.core.records import to_json
from harness.serving.repository.config import Serving, render_text_config
from harness.serving.repository.layout import text_name
from harness.text.declaration import TextDeclaration

DECLARATION = "text.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextModel:
    """What lies in the model repository for one version of a text model."""

    name: str
    #: The whole config.pbtxt, for both profiles of the graph.
    config: str
    #: Files of the version's folder, by name.
    files: Mapping[str, bytes]
    #: A question that the model must be able to answer: the texts of one row, by input.
    question: Mapping[str, list[str]]


def declaration(artifact: Artifact) -> TextDeclaration:
    """Return what turns texts into an artifact's rows: its finetune's own featurizer and postprocessor.

    Labels are the artifact's where its manifest has them: a finetune may take its labels from the
    training data.

    Raises:
        ArtifactError: no finetune declares the graph.
    """
    try:
        finetune = finetunes.load(artifact.finetune)
    except UsageError as error:
        message = f"graph {artifact.name!r} takes no text: {error}"
        raise ArtifactError(message) from error
    recorded, adapted = artifact.manifest.head, finetune_of(artifact, finetune)
    vector = [spec.name for spec in artifact.signature.outputs] == ["embedding"]
    return TextDeclaration(
        graph=artifact.name,
        finetune=artifact.finetune,
        head=describe(finetune.head) if recorded is None else to_json(recorded),
        signature=artifact.signature,
        featurizer=adapted.featurizer,
        postprocess=None if vector else adapted.postprocess,
    )


def text_model(artifact: Artifact, version: int, serving: Serving) -> TextModel:
    """Return the text model of one version of a served graph.

    Args:
        artifact: the graph.
        version: the graph's version, and the text model's: each calls its own version of the graph.
        serving: batching and queue of the profile online.

    Raises:
        ArtifactError: no finetune declares the graph, or its tokenizer is missing.
    """
    declared = declaration(artifact)
    try:
        tokenizer = artifact.tokenizer.read_bytes()
    except OSError as error:
        message = (
            f"{artifact.tokenizer} cannot be read ({error.strerror}); export the model again with `harness export`"
        )
        raise ArtifactError(message) from error
    form, name = declared.form, text_name(artifact.name)
    return TextModel(
        name=name,
        config=render_text_config(
            name,
            declared,
            serving,
            parameters={"graph_sha256": artifact.graph_sha256, "tokenizer_sha256": artifact.tokenizer_sha256},
            version=version,
        ),
        files={
            TOKENIZER: tokenizer,
            DECLARATION: (json.dumps(declared.to_json(), ensure_ascii=False, indent=1) + "\n").encode(),
        },
        question={key: list(texts) for key, texts in form.known.items()},
    )
