import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.core.features import Feature
from harness.core.heads import SentenceEmbedding, SequenceClassification, SpanExtraction, TokenClassification
from harness.core.tensors import GraphSignature
from harness.evaluation.answers import pack, unpack
from harness.evaluation.journal import BatchRecord, Journal, claimed

HEADS = {
    "sequence": SequenceClassification(("a", "b", "c")),
    "token": TokenClassification(("a", "b")),
    "span": SpanExtraction(),
    "embedding": SentenceEmbedding(layers={}),
}
LABELS = HEADS["sequence"].signature(4)
COST = BatchRecord(rows=1, width=4, useful_tokens=3, seconds=0.5)


def feature(*ids: int, example: int = 0) -> Feature:
    return Feature(example, np.array(ids))


def blob(*values: float) -> bytes:
    return np.array(values, dtype="<f4").tobytes()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "run" / "journal.sqlite") as opened:
        yield opened


def batch_of(signature: GraphSignature, rows: int, width: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = {"rows": rows, "tokens": width}
    return {
        spec.name: rng.standard_normal([sizes.get(axis, axis) for axis in spec.axes]).astype(np.float32)
        for spec in signature.outputs
    }


@pytest.mark.parametrize("kind", HEADS)
def test_unpacking_gives_a_rows_outputs_without_padding(kind: str) -> None:
    signature = HEADS[kind].signature(4)
    tensors = batch_of(signature, rows=3, width=7)
    read = unpack(pack([7, 5, 3], tensors, signature)[1], 5, signature)
    for spec in signature.outputs:
        expected = tensors[spec.name][1][:5] if spec.per_token else tensors[spec.name][1]
        np.testing.assert_array_equal(read[spec.name], expected)


def test_answer_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="5 numbers does not fit"):
        unpack(blob(1, 2, 3, 4, 5), 9, LABELS)


def test_half_precision_outputs_are_kept_as_float32() -> None:
    (packed,) = pack([3], {"logits": np.array([[1, 2, 3]], dtype=np.float16)}, LABELS)
    assert unpack(packed, 3, LABELS)["logits"].tolist() == [1, 2, 3]


def test_answers_are_read_in_the_order_of_the_features(journal: Journal) -> None:
    journal.record("g", [feature(1), feature(2)], [blob(1, 1, 1), blob(2, 2, 2)], COST)
    read = journal.outputs("g", [feature(2).key, feature(1).key, feature(2).key], LABELS)
    assert [output["logits"][0] for output in read] == [2, 1, 2]


def test_first_answer_stays(journal: Journal) -> None:
    journal.record("g", [feature(1)], [blob(1, 1, 1)], COST)
    journal.record("g", [feature(1)], [blob(2, 2, 2)], COST)
    assert journal.outputs("g", [feature(1).key], LABELS)[0]["logits"][0] == 1


def test_graphs_answer_for_themselves_only(journal: Journal) -> None:
    journal.record("g", [feature(1)], [blob(1, 1, 1)], COST)
    assert journal.answered("other") == set()


def test_feature_without_an_answer_has_no_outputs(journal: Journal) -> None:
    with pytest.raises(KeyError):
        journal.outputs("g", [feature(1).key], LABELS)


def test_answers_are_there_after_opening_again(journal: Journal) -> None:
    journal.record("g", [feature(1)], [blob(1, 1, 1)], COST)
    with Journal(journal.path) as again:
        assert again.answered("g") == {feature(1).key}


def test_batch_of_unequal_lengths_leaves_nothing(journal: Journal) -> None:
    with pytest.raises(ValueError, match="not of one batch"):
        journal.record("g", [feature(1), feature(2)], [blob(1, 1, 1)], COST)
    assert journal.answered("g") == set()


def test_run_of_the_same_model_goes_on(journal: Journal) -> None:
    journal.claim_run({"model": "english", "variant": "fp32"})
    journal.claim_run({"model": "english", "variant": "fp32"})


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        ({"model": "mixed", "variant": "fp32"}, "holds a run with model 'english', not 'mixed'"),
        ({"model": "english", "variant": "int8"}, "holds a run with variant 'fp32', not 'int8'"),
    ],
    ids=["model", "variant"],
)
def test_journal_of_another_run_is_refused(journal: Journal, identity: dict[str, str], message: str) -> None:
    journal.claim_run({"model": "english", "variant": "fp32"})
    with pytest.raises(UsageError, match=f"{message}; give another folder with `--output`"):
        journal.claim_run(identity)


def test_refused_run_leaves_the_identity(journal: Journal) -> None:
    journal.claim_run({"model": "english"})
    with pytest.raises(UsageError):
        journal.claim_run({"variant": "int8", "model": "mixed"})
    journal.claim_run({"model": "english", "variant": "fp32"})


def test_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"not a database, but long enough to be read as one" * 50)
    with pytest.raises(UsageError, match="is not a journal"):
        Journal(tmp_path / "journal.sqlite")


def test_predictions_keep_the_examples_order_and_ids(journal: Journal) -> None:
    ids = [str(number) for number in range(12)]
    journal.write_predictions("t", "ru", ids, ["да", ("a", "b"), *range(10)], np.ones((12, 2)))
    assert journal.predictions("t", "ru")[:3] == [("0", "да"), ("1", ["a", "b"]), ("2", 0)]


def test_predictions_are_replaced_whole(journal: Journal) -> None:
    journal.write_predictions("t", "ru", ["0", "1"], ["a", "b"], np.ones((2, 2)))
    journal.write_predictions("t", "ru", ["0"], ["c"], np.ones((1, 2)))
    assert journal.predictions("t", "ru") == [("0", "c")]


def test_padding_sums_over_batches(journal: Journal) -> None:
    journal.record("g", [feature(1, 2, 3)], [blob(1, 1, 1)], BatchRecord(2, 10, 15, 0.25))
    journal.record("g", [feature(4, 5)], [blob(1, 1, 1)], BatchRecord(1, 5, 5, 0.5))
    assert journal.padding() == {
        "padded_tokens": 25, "useful_tokens": 20, "ratio": 1.25, "batches": 2, "rows": 3, "graph_seconds": 0.75,
    }  # fmt: skip


def test_padding_of_no_batch_is_one(journal: Journal) -> None:
    assert journal.padding()["ratio"] == 1.0


KILLED = """
import sys
from pathlib import Path
import numpy as np
from harness.core.features import Feature
from harness.evaluation.journal import BatchRecord, Journal
with Journal(Path(sys.argv[1])) as journal:
    journal.claim_run({"model": "english"})
    for number in range(100_000):
        row = Feature(0, np.array([number, number + 1]))
        journal.record("g", [row], [np.zeros(3, dtype="<f4").tobytes()], BatchRecord(1, 2, 2, 0.0))
        if number == 20:
            print("going", flush=True)
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The journal of a process that was killed while it wrote."""
    path = tmp_path / "journal.sqlite"
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    return path


def test_killed_run_leaves_whole_answers(killed: Path) -> None:
    with Journal(killed) as journal:
        count = journal.padding()["batches"]
        rows = [Feature(0, np.array([number, number + 1])) for number in range(count)]
        assert count > 20
        assert len(journal.outputs("g", [row.key for row in rows], LABELS)) == count
        # It may have died between an answer and its cost.
        assert count <= len(journal.answered("g")) <= count + 1


def test_run_that_another_process_writes_is_refused(tmp_path: Path) -> None:
    said = f"is being written by process {os.getpid()}; wait"
    with claimed(tmp_path / "run"), pytest.raises(UsageError, match=said), claimed(tmp_path / "run"):
        pass
    with claimed(tmp_path / "run"):
        pass


def test_killed_run_can_go_on(killed: Path) -> None:
    with Journal(killed) as journal:
        journal.claim_run({"model": "english"})
        journal.record("g", [feature(9, 9, 9)], [blob(1, 2, 3)], COST)
        assert journal.outputs("g", [feature(9, 9, 9).key], LABELS)[0]["logits"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("page", [1, 2, 4, 6])
def test_damaged_page_of_a_journal_is_one_sentence(tmp_path: Path, page: int) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        for number in range(40):
            journal.record("g", [feature(number)], [blob(1, 1, 1)], COST)
            journal.write_predictions("t", f"l{number}", ["0"], ["x" * 500], np.ones((1, 2)))
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 + (100 if page == 1 else 0) : page * 4096] = b"\xa5" * (4096 - (100 if page == 1 else 0))
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"is damaged|is not a journal"):
        use(path)


def use(path: Path) -> None:
    """Read and write all of a journal."""
    with Journal(path) as journal:
        journal.metadata()
        journal.padding()
        journal.clear_predictions()
        journal.write_predictions("t", "ru", ["0"], ["x" * 500], np.ones((1, 2)))
        for number in range(40):
            journal.predictions("t", f"l{number}")
            journal.record("g", [feature(number, 1)], [blob(1, 1, 1)], COST)


def test_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite", tmp_path / "answers") as journal:
        journal.record("g", [feature(1)], [blob(1, 1, 1)], COST)
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], cwd=Path(__file__).parents[3], capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith("answers cannot be written to ")
    assert "what was answered before is kept" in done.stdout
    with Journal(tmp_path / "journal.sqlite", tmp_path / "answers") as journal:
        assert journal.outputs("g", [feature(1).key], LABELS)[0]["logits"].tolist() == [1, 1, 1]


#: No file may grow beyond 400 KB, as on a disk that fills up.
FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from harness.core.errors import UsageError
from harness.core.features import Feature
from harness.evaluation.journal import BatchRecord, Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
folder = Path(sys.argv[1])
try:
    with Journal(folder / "journal.sqlite", folder / "answers") as journal:
        for number in range(2, 2_000):
            row = Feature(0, np.array([number]))
            journal.record("g", [row], [np.zeros(3_000, dtype="<f4").tobytes()], BatchRecord(1, 1, 1, 0.0))
except UsageError as error:
    print(error)
    sys.exit(2)
"""
