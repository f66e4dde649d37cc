"""What `harness export` checks first, and what it says at the end."""

from types import SimpleNamespace

import pytest

from exporters.export import GateRefusal
from exporters.run import Published, Wanted, summary
from harness.core.errors import UsageError


def test_device_is_checked_before_anything_is_read() -> None:
    Wanted(device="gpu").check()
    with pytest.raises(UsageError, match="no device 'gpus', did you mean 'gpu'; it is cpu or gpu"):
        Wanted(device="gpus").check()  # type: ignore[arg-type]


def published(variant: str, count: int) -> list[Published]:
    return [Published(SimpleNamespace(variant=variant), 1, written=True) for _ in range(count)]


def refusal(finetune: str, variant: str) -> GateRefusal:
    return GateRefusal(finetune, variant, "at chance", f"use fp32 for {finetune}")


@pytest.mark.parametrize(
    ("done", "refused", "words"),
    [
        (
            published("int8", 5),
            [refusal("pawsx", "int8")],
            "5 int8 graphs published, 1 refused: pawsx (at chance); use fp32 for pawsx",
        ),
        (
            published("int8", 1),
            [refusal("pawsx", "int8")],
            "1 int8 graph published, 1 refused: pawsx (at chance); use fp32 for pawsx",
        ),
        ([], [refusal("pawsx", "int8")], "no graphs published, 1 refused: pawsx (at chance); use fp32 for pawsx"),
        (
            [*published("fp32", 10), *published("int8", 4)],
            [refusal("pawsx", "int8"), refusal("copa", "int8")],
            "10 fp32 and 4 int8 graphs published, 2 refused: pawsx in int8 (at chance), copa in int8 (at chance); "
            "for pawsx: use fp32 for pawsx",
        ),
    ],
)
def test_export_with_refusals_ends_with_what_was_published_and_why_not_the_rest(
    done: list[Published], refused: list[GateRefusal], words: str
) -> None:
    assert summary(done, refused) == words
