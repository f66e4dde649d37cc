"""One JSON object from question ids to answers; labels are SQuAD JSON (XQuAD, MLQA, TyDi QA)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.sources.squad_json import read_questions
from harness.benchmark.submissions import reading
from harness.core.errors import DataError
from harness.core.examples import QuestionExample
from harness.core.gold import GoldErrors
from harness.core.task import Tally


@dataclass(frozen=True, slots=True)
class Answers:
    """Predictions are texts; an empty one is an answer, None a question without one."""

    suffix: str = "json"
    #: Collects gold answers that contradict their context; None refuses them.
    allowed: GoldErrors | None = None

    def render(self, examples: Sequence[QuestionExample], predictions: Sequence[str | None]) -> str:
        """See `harness.core.task.Submission`."""
        answers = {example.id: text for example, text in zip(examples, predictions, strict=True) if text is not None}
        return json.dumps(answers, indent=1) + "\n"

    def labels_of(self, examples: Sequence[QuestionExample]) -> str:
        """See `harness.core.task.Submission`."""
        paragraphs = [
            {
                "context": example.context,
                "qas": [
                    {
                        "id": example.id,
                        "question": example.question,
                        "answers": [{"text": answer.text, "answer_start": answer.start} for answer in example.answers],
                    }
                ],
            }
            for example in examples
        ]
        return json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}, ensure_ascii=False) + "\n"

    def read(
        self, labels: Path, predictions: Path, tally: Tally | None
    ) -> tuple[list[QuestionExample], list[str | None]]:
        """See `harness.core.task.Submission`."""
        examples = read_questions(reading.present(labels, "labels"), allowed=self.allowed)
        answers = reading.json_object(predictions, "predictions")
        for name, text in answers.items():
            if not isinstance(text, str):
                message = f"{predictions}: the answer to {name!r} is {text!r}; a text is expected"
                raise DataError(message)
        return examples, reading.by_id(predictions, answers, labels, [example.id for example in examples], tally)
