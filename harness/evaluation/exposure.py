"""What a model was taught before it meets a task in a language, so that zero-shot is never claimed wrongly."""

from collections.abc import Mapping

from harness.artifacts.run import Exposure
from harness.core.task import AnyTask

#: Family of training sets -> language -> training examples: `seen` in checkpoints and manifests.
Taught = Mapping[str, Mapping[str, int]]

#: How tables mark a cell.
MARKS: Mapping[Exposure, str] = {"unseen": "", "language seen": "*", "task and language seen": "**"}


def exposure(task: AnyTask, language: str, taught: Taught) -> Exposure:
    """Return whether a model has seen labelled data in a language, and of this task's family.

    Parallel text (family "alignment") makes a language seen for the tasks it teaches, the retrieval of
    translations, and for no other: no label of theirs is in it.
    """
    if taught.get(task.finetune.family, {}).get(language):
        return "task and language seen"
    labelled = (languages for family, languages in taught.items() if family != "alignment")
    return "language seen" if any(languages.get(language) for languages in labelled) else "unseen"
