"""What an answer means: its label, and how sure the model is of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from prediction.inference.declaration.hints import is_label, type_of_hint
from prediction.inference.declaration.problems import AnswerMismatch, DeclarationError
from prediction.inference.declaration.scores import scores_by_label, share

LONGEST_LABEL = 200
"""Characters of a label; what is longer is no name of a class."""

_LABELS = ("label", "class", "prediction", "category", "output_label")
_CONFIDENCES = ("confidence", "probability", "score")
_SCORES = ("output_probability", "probabilities")
"""What answers call these where signature.json does not say; `output_…` are of scikit-learn's exports."""


@dataclass(frozen=True)
class Interpretation:
    label: str | None = None
    confidence: float | None = None
    """From 0 to 1."""
    scores: dict[str, float] | None = None
    """By label, the highest first."""


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Output(BaseModel):
    """What signature.json says of answers: under which keys, or in which output of an ONNX model, is what."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    label: str | None = None
    confidence: str | None = None
    scores: str | None = None
    labels: list[Annotated[str, BeforeValidator(_as_text)]] | None = Field(default=None, min_length=1)
    """Of the scores, in their order."""
    activation: Literal["none", "softmax"] = "none"

    @field_validator("labels")
    @classmethod
    def _all_different(cls, labels: list[str] | None) -> list[str] | None:
        if labels is not None and len(set(labels)) < len(labels):
            raise ValueError("a label is there twice")
        return labels

    def interpret(self, answer: Any) -> Interpretation:
        """Label and confidence of a version's answer; None each where it has none.

        Raises:
            AnswerMismatch: Its scores are none, or not as many as its labels.
        """
        scores = self._scores(answer)
        label = self._text(self._label(answer))
        if scores:
            label = next(iter(scores)) if label is None else label
            return Interpretation(label, share(self._confidence(answer, scores.get(label))), scores)
        return Interpretation(label, share(self._confidence(answer, None)))

    def check_outputs(self, shapes: Mapping[str, Sequence[Any]]) -> None:
        """Look whether outputs of an ONNX model are what is declared, once they are known.

        Args:
            shapes: By the output's name; what is no integer in them is any size.
        Raises:
            DeclarationError: There is no such output, or its size is not the number of labels.
        """
        for key, name in (("label", self.label), ("confidence", self.confidence), ("scores", self.scores)):
            if name is not None and name not in shapes:
                known = ", ".join(shapes)
                raise DeclarationError(f"signature.json: output.{key}: no output is called {name}: {known}.")
        name = self.scores or (next(iter(shapes)) if len(shapes) == 1 else None)
        shape = shapes.get(name, ()) if name is not None else ()
        size = shape[-1] if len(shape) > 1 else None
        if self.labels is not None and isinstance(size, int) and size > 0 and size != len(self.labels):
            raise DeclarationError(
                f"signature.json: output.labels: {len(self.labels)} labels for {size} scores of {name}."
            )

    @property
    def _declares_scores(self) -> bool:
        return self.scores is not None or self.labels is not None or self.activation == "softmax"

    def _scores(self, answer: Any) -> dict[str, float] | None:
        if self._declares_scores:
            found = self._declared_scores(answer)
            return (
                None if found is None else scores_by_label(found, self.labels, self.activation == "softmax")
            )
        if not isinstance(answer, dict) or self.label is not None or self.confidence is not None:
            return None
        found = next((answer[key] for key in _SCORES if isinstance(answer.get(key), list | dict)), None)
        try:
            return None if found is None else scores_by_label(found, None, False)
        except AnswerMismatch:  # nobody has said that these are scores
            return None

    def _declared_scores(self, answer: Any) -> Any:
        if not isinstance(answer, dict):
            return answer if isinstance(answer, list) else None
        if self.scores is not None:
            return answer.get(self.scores)
        others = (self.label, self.confidence)
        lists = [each for key, each in answer.items() if key not in others and isinstance(each, list | dict)]
        return lists[0] if len(lists) == 1 else None

    def _label(self, answer: Any) -> Any:
        scores = self._declared_scores(answer) if self._declares_scores else None
        if not isinstance(answer, dict):
            return None if scores is not None else answer
        if self.label is not None:
            return answer.get(self.label)
        if self.scores is not None:
            return None
        found = next((answer[key] for key in _LABELS if key in answer), None)
        return None if scores is not None and found is scores else found

    def _confidence(self, answer: Any, score: float | None) -> Any:
        if isinstance(answer, dict):
            if self.confidence is not None:
                return answer.get(self.confidence)
            if score is None:
                return next((answer[key] for key in _CONFIDENCES if key in answer), None)
        return score

    def _text(self, value: Any) -> str | None:
        while isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            named = self.labels is not None and str(value) not in self.labels and isinstance(value, int)
            if named and self.labels is not None and 0 <= value < len(self.labels):
                return self.labels[int(value)]
            return str(value)
        return value if isinstance(value, str) and len(value) <= LONGEST_LABEL else None


def output_of_hints(declared: Mapping[str, Any]) -> Output:
    """What is said by types of an answer's keys, such as `{"digit": "int", "probability": "float"}`."""
    hints = {str(key): hint for key, hint in declared.items() if isinstance(hint, str)}
    confidence = next((key for key in _CONFIDENCES if key in hints), None)
    label = next((key for key in _LABELS if key in hints), None)
    if label is None:
        label = next((key for key, hint in hints.items() if key != confidence and is_label(hint)), None)
    return Output(label=label, confidence=confidence)


def is_of_hints(declared: Mapping[str, Any]) -> bool:
    """Whether an object says types of an answer's keys, and not which of its keys is what."""
    if {"scores", "labels", "activation"} & declared.keys():
        return False
    roles = [declared[key] for key in ("label", "confidence") if key in declared]
    return not roles or all(isinstance(each, str) and type_of_hint(each) is not Any for each in roles)
