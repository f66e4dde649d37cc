"""Tokenised rows on disk: made once for each tokenizer, data and featurizer, then mapped into memory.

Models that share a tokenizer share the rows, so the second one tokenizes nothing. A file is named by the
digest of everything that it depends on; whatever changes gives another name, so none is ever stale.
"""

import json
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.core.errors import HarnessError
from harness.core.features import Feature
from harness.core.files import code_sha256
from harness.core.registry import plugin_code

#: Counted up where the columns change their meaning.
FORMAT = 3
SUFFIX = ".arrow"
#: Bytes of the checksum behind a file.
_CHECKSUM = 4
#: What of the project decides how text becomes rows: a change there makes other rows.
_SOURCES = (
    "benchmark/featurizers",
    "benchmark/finetunes",
    "benchmark/sources",
    "benchmark/tasks",
    "core/examples.py",
    "core/features.py",
    "tokenization/tokenizer.py",
)
_PACKAGE = Path(__file__).parents[1]
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("example", pa.int32()),
        ("key", pa.binary(16)),
        ("input_ids", pa.list_(pa.int32())),
        # Flat; the last axis of an alignment of two axes is in `columns`, which is 0 for one axis.
        ("alignment", pa.list_(pa.int32())),
        ("columns", pa.int8()),
        # Empty where all are 0.
        ("token_types", pa.list_(pa.int8())),
    ]
)


class DamagedRows(HarnessError):
    """A file of rows is not what was written."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that were written together."""

    #: Of each row's example; empty where the rows were written without.
    ids: Sequence[str]
    features: Sequence[Feature]


def describe(value: object) -> str:
    """Return a dataclass's account of itself without addresses, which differ from process to process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


@dataclass(frozen=True, slots=True)
class TokenCache:
    """The files of tokenised rows under one folder; any of them may be deleted at any time."""

    folder: Path

    def path(self, **depends: Any) -> Path:
        """Return the file for rows that depend on these JSON values, on the code and on its packages."""
        inputs = {
            "format": FORMAT,
            "code": [code_sha256(_PACKAGE, _SOURCES), plugin_code()],
            "tokenizers": metadata.version("tokenizers"),
            **depends,
        }
        name = sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]
        return self.folder / f"{name}{SUFFIX}"

    def write(self, path: Path, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield the blocks, and write each; the file is there once the last one was taken, or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=self.folder) as folder:
            draft = Path(folder) / path.name
            with pa.OSFile(str(draft), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
                for block in blocks:
                    writer.write_batch(_to_arrow(block))
                    yield block
            checksum = _checksum(pa.memory_map(str(draft)).read_buffer())
            with draft.open("ab") as stream:
                stream.write(checksum)
            draft.replace(path)

    def read(self, path: Path) -> Iterator[Block] | None:
        """Return the blocks of a file, mapped into memory; None where it was never written.

        Raises:
            DamagedRows: the file is not what was written; it was removed, so that its rows are made again.
        """
        if not path.is_file():
            return None
        whole = pa.memory_map(str(path)).read_buffer()
        end = max(0, whole.size - _CHECKSUM)
        content, checksum = whole.slice(0, end), whole.slice(end).to_pybytes()
        if _checksum(content) != checksum:
            # Cut short by a full disk, or changed on it.
            path.unlink(missing_ok=True)
            message = f"{path} has another checksum than was written; it was removed, and its rows are made again"
            raise DamagedRows(message)
        reader = pa.ipc.open_file(pa.BufferReader(content))
        return (_from_arrow(reader.get_batch(place)) for place in range(reader.num_record_batches))

    def verify(self) -> Iterator[str]:
        """Compare the checksum of every file, remove what is damaged, and yield a line for each such file."""
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            try:
                self.read(path)
            except DamagedRows as error:
                yield str(error)


def _checksum(content: pa.Buffer) -> bytes:
    """Return the CRC-32 of a file, which stands behind it."""
    return zlib.crc32(content).to_bytes(_CHECKSUM, "little")


def _lists(
    arrays: Sequence[NDArray[np.signedinteger[Any]]], dtype: type[np.signedinteger[Any]] = np.int32
) -> pa.ListArray:
    offsets = np.zeros(len(arrays) + 1, dtype=np.int32)
    np.cumsum([array.size for array in arrays], out=offsets[1:])
    flat = np.concatenate([array.ravel() for array in arrays]) if arrays else np.empty(0)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat.astype(dtype)))


def _to_arrow(block: Block) -> pa.RecordBatch:
    features = block.features
    nothing = np.empty(0, dtype=np.int32)
    alignments = [feature.alignment for feature in features]
    columns = [-1 if found is None else 0 if found.ndim == 1 else found.shape[1] for found in alignments]
    return pa.record_batch(
        [
            pa.array(block.ids, pa.string()) if block.ids else pa.nulls(len(features), pa.string()),
            pa.array([feature.example for feature in features], pa.int32()),
            pa.array([feature.key for feature in features], pa.binary(16)),
            _lists([feature.input_ids for feature in features]),
            _lists([nothing if found is None else found for found in alignments]),
            pa.array(columns, pa.int8()),
            _lists([nothing if found.token_types is None else found.token_types for found in features], np.int8),
        ],
        schema=_SCHEMA,
    )


def _from_arrow(batch: pa.RecordBatch) -> Block:
    ids, examples, keys, rows, alignments, columns, types = (batch.column(place) for place in range(batch.num_columns))
    row_values, row_ends = _flat(rows)
    values, ends = _flat(alignments)
    type_values, type_ends = _flat(types)
    features = []
    for place, (example, key, width) in enumerate(
        zip(examples.to_pylist(), keys.to_pylist(), columns.to_pylist(), strict=True)
    ):
        alignment = None
        if width >= 0:
            flat = values[ends[place] : ends[place + 1]]
            alignment = flat.reshape(-1, width) if width else flat
        row = row_values[row_ends[place] : row_ends[place + 1]]
        own = type_values[type_ends[place] : type_ends[place + 1]]
        features.append(Feature(example, row, None, alignment, key, own if own.size else None))
    return Block([] if ids.null_count else ids.to_pylist(), features)


def _flat(lists: pa.ListArray) -> tuple[NDArray[np.signedinteger[Any]], list[int]]:
    """Return the values of a column of lists, without a copy, and where each list starts and ends."""
    return lists.values.to_numpy(zero_copy_only=True), lists.offsets.to_numpy().tolist()
