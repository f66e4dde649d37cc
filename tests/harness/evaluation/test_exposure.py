import pytest

from harness.benchmark import tasks
from harness.evaluation.exposure import exposure


@pytest.mark.parametrize(
    ("task", "language", "taught", "reported"),
    [
        ("xnli", "ru", {}, "unseen"),
        ("xnli", "ru", {"inference": {"en": 9}}, "unseen"),
        ("xnli", "en", {"inference": {"en": 9}}, "task and language seen"),
        ("xnli", "ru", {"inference": {"ru": 1}}, "task and language seen"),
        ("xnli", "ru", {"reading": {"ru": 1}}, "language seen"),
        ("xnli", "ru", {"reading": {"ru": 0}}, "unseen"),
        ("mlqa", "zh", {"reading": {"zh": 1}}, "task and language seen"),
        ("lareqa", "zh", {"reading": {"zh": 1}}, "task and language seen"),
        ("tatoeba", "ru", {"alignment": {"ru": 5}}, "task and language seen"),
        ("bucc2018", "ru", {"inference": {"ru": 5}}, "language seen"),
        ("xnli", "ru", {"alignment": {"ru": 5}}, "unseen"),
    ],
)
def test_exposure_follows_from_what_was_taught(task: str, language: str, taught: dict, reported: str) -> None:
    assert exposure(tasks.load(task), language, taught) == reported
