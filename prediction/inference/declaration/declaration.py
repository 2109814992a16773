"""What a version is asked with, as its signature.json declares it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prediction.inference.declaration.anything import HintField
from prediction.inference.declaration.arrays import ArrayField
from prediction.inference.declaration.checks import Check
from prediction.inference.declaration.field import InputField, Reading
from prediction.inference.declaration.output import Interpretation, Output
from prediction.inference.declaration.parsing import parse
from prediction.inference.declaration.pictures import ImageField
from prediction.inference.declaration.problems import Guesses
from prediction.inference.declaration.rows import read_row
from prediction.inference.images.limits import ImageLimits
from prediction.inference.model_process.frames import Row


@dataclass(frozen=True)
class FieldDescription:
    """A field, as pages show it."""

    name: str
    type: str
    required: bool
    default: Any
    example: Any
    description: str
    choices: Sequence[Any] | None
    minimum: float | None
    maximum: float | None
    max_length: int | None
    shape: Sequence[int] | None
    """Of an array, or of the array that an image is made into; -1 is any number."""


@dataclass(frozen=True)
class TensorForm:
    """An input in terms of the Open Inference Protocol; -1 is any number."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Declaration:
    """How a version is asked, and what its answers mean."""

    inputs: Mapping[str, InputField]
    extra_inputs: bool
    """Whether any further key is taken, with any JSON."""
    output: Output
    checks: Sequence[Check] = field(default=(), compare=False)
    """What it is asked before it answers."""
    warnings: Sequence[str] = field(default=(), compare=False)
    """Keys of signature.json that nobody reads."""

    @classmethod
    def parse(cls, signature: Mapping[str, Any] | None) -> "Declaration":
        """What a signature.json says; None: there is none, and any keys are taken.

        Raises:
            DeclarationError: It cannot be read; the message says where.
        """
        parsed = parse(signature)
        checks, warnings = tuple(parsed.checks), tuple(parsed.warnings)
        return cls(parsed.fields, parsed.extra_inputs, parsed.output, checks, warnings)

    def row(
        self,
        values: Mapping[str, Any],
        files: Mapping[str, bytes] | None = None,
        *,
        lenient: bool = False,
        limits: ImageLimits | None = None,
        guesses: Guesses | None = None,
    ) -> Row:
        """What the model is given, in the order of declaration. It decodes images: call it in a thread.

        Args:
            values: JSON by field. null stands for a value that is left out.
            files: Images by field; where there is exactly one, it may be called any of UPLOAD_NAMES, too.
            lenient: Whether texts may stand for numbers, booleans and lists, and an empty one for nothing,
                as forms send them.
            limits: Of each image.
            guesses: What is left of them for further rows of a request; otherwise it is the only one.
        Raises:
            InvalidInputs: Something is missing, unknown or not of its type; all of it is said at once.
        """
        reading = Reading(lenient, limits or ImageLimits(), guesses or Guesses())
        return read_row(self.inputs, self.extra_inputs, values, files or {}, reading)

    def interpret(self, answer: Any) -> Interpretation:
        """Label and confidence of one row's answer.

        Raises:
            AnswerMismatch: It is not what signature.json says: asking again changes nothing.
        """
        return self.output.interpret(answer)

    def plan(self) -> dict[str, Any]:
        """How an ONNX model's inputs are made from fields, for the process that runs it."""
        inputs: dict[str, dict[str, list[str]]] = {}
        for name, each in self.inputs.items():
            if each.tensor is not None:
                inputs.setdefault(each.tensor, {"from": []})["from"].append(name)
        images = {
            name: each.preprocessing() for name, each in self.inputs.items() if isinstance(each, ImageField)
        }
        return {"inputs": inputs, "images": images}

    @property
    def fields(self) -> list[FieldDescription]:
        """The fields as pages show them, in the order of declaration."""
        return [_described(name, each) for name, each in self.inputs.items()]

    def example(self) -> dict[str, Any]:
        """A body that is taken."""
        return {name: each.shown_example() for name, each in self.inputs.items()}

    def tensors(self) -> list[TensorForm]:
        """The fields as inputs of the Open Inference Protocol; none where any key is taken."""
        return [TensorForm(name, *each.tensor_form()) for name, each in self.inputs.items()]


def _described(name: str, each: InputField) -> FieldDescription:
    return FieldDescription(
        name=name,
        type=each.hint if isinstance(each, HintField) else each.type,
        required=each.required,
        default=each.default,
        example=each.shown_example(),
        description=each.description,
        choices=getattr(each, "choices", None),
        minimum=getattr(each, "minimum", None),
        maximum=getattr(each, "maximum", None),
        max_length=getattr(each, "max_length", None),
        shape=_shape(each),
    )


def _shape(each: InputField) -> Sequence[int] | None:
    if isinstance(each, ImageField):
        return each.tensor_form()[1][1:]
    return each.shape if isinstance(each, ArrayField) else None
