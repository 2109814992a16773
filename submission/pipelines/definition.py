"""A pipeline as a workspace's YAML file declares it.

parameters:
  images: digits.npz
steps:
  processing:
    file: process.py
    files: [process.py, "lib/*.py"]
    arguments: [--images, {parameter: images}]
  training:
    needs: [processing]
    file: train.py
    output: version
result: training
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

import yaml
from pydantic import Field, StringConstraints, ValidationError

from common.errors import InvalidRequest
from common.wire.specs import LONG_TEXT, Name, ProgramOutput, RequestModel
from common.workspaces.documents import StoredFile
from submission.program_requests import StartProgram

MOST_BYTES = 64 << 10
MOST_STEPS = 32

_NOT_FOR_STEPS = {"folder", "inputs", "snapshot_id", "name"}
"""Fields of a program's start that the pipeline decides."""


class InvalidPipeline(InvalidRequest):
    title = "This is no pipeline"


Scalar = Annotated[str, StringConstraints(max_length=LONG_TEXT)] | bool | int | float


class Step(StartProgram):
    """A program; what it says is what starting it by itself would say."""

    needs: list[Name] = Field(default_factory=list)
    """Steps that have to have ended well; what each has left lies in ENEL_INPUT_DIR, by the step's name."""
    files: Annotated[list[Annotated[str, StringConstraints(min_length=1)]], Field(max_length=100)] = Field(
        default_factory=lambda: ["*"]
    )
    """Those that it is given, `*` standing for anything: it runs again where one of them has changed."""
    output: ProgramOutput = "kept"
    feedback: bool = False
    """Whether it learns from what people have said of its model (ENEL_FEEDBACK_DIR): then it runs again where
    somebody has said more."""


class Pipeline(RequestModel):
    """Steps by their names, in the order in which they are written."""

    parameters: Annotated[dict[Name, Scalar], Field(max_length=64)] = Field(default_factory=dict)
    """What an argument `{parameter: NAME}` stands for, where the request says nothing else."""
    steps: Annotated[dict[Name, Step], Field(min_length=1, max_length=MOST_STEPS)]
    result: Name | None = None
    """The step whose result is that of the pipeline; null: the last one."""

    def with_parameters(self, given: Mapping[str, Scalar]) -> "Pipeline":
        """The same with values in place of parameters.

        Raises:
            InvalidPipeline: One that was given, or that an argument asks for, is none of the pipeline's.
        """
        known = ", ".join(self.parameters) or "none"
        for name in given.keys() - self.parameters.keys():
            raise InvalidPipeline(f"parameters.{name}: the pipeline has no such parameter (it has {known}).")
        values = {**self.parameters, **given}
        steps: dict[str, Step] = {}
        for name, step in self.steps.items():
            arguments = [_value(argument, values, name) for argument in step.arguments]
            # Set by name, so that it is among what was said of the step.
            steps[name] = Step.model_validate({**as_stored(step), "arguments": arguments})
        return self.model_copy(update={"steps": steps})

    @property
    def result_step(self) -> str:
        return self.result or list(self.steps)[-1]


def parse_pipeline(content: bytes, path: str) -> Pipeline:
    """Read the file.

    Raises:
        InvalidPipeline: Names what is wrong, and where.
    """
    if len(content) > MOST_BYTES:
        raise InvalidPipeline(f"{path} is larger than {MOST_BYTES:,} bytes.")
    try:
        text = content.decode()
        if any(isinstance(token, yaml.AnchorToken | yaml.AliasToken) for token in yaml.scan(text)):
            raise InvalidPipeline(f"{path}: anchors and aliases (& and *) are not read: quote such values.")
        document = yaml.safe_load(text)
    except (UnicodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidPipeline(f"{path} is no YAML: {' '.join(str(error).split())[:500]}") from error
    try:
        pipeline = Pipeline.model_validate(document)
    except ValidationError as error:
        raise InvalidPipeline(f"{path}: {_told(error)}") from error
    _check(pipeline, path)
    return pipeline


def _value(argument: Any, values: Mapping[str, Scalar], step: str) -> Any:
    if not isinstance(argument, dict):
        return argument
    name = argument.get("parameter")
    if len(argument) != 1 or not isinstance(name, str) or name not in values:
        raise InvalidPipeline(
            f"steps.{step}.arguments: {argument!r} is neither a value nor {{parameter: NAME}} of one that the"
            " pipeline has."
        )
    return values[name]


def _told(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def _check(pipeline: Pipeline, path: str) -> None:
    seen: set[str] = set()
    for name, step in pipeline.steps.items():
        for field in sorted(_NOT_FOR_STEPS & step.model_fields_set):
            raise InvalidPipeline(f"{path}: steps.{name}.{field}: the pipeline decides that.")
        for unknown in step.unknown_fields(f"steps.{name}."):
            raise InvalidPipeline(f"{path}: {unknown.place}{unknown.name} is not known.")
        for need in step.needs:
            if need not in seen:
                raise InvalidPipeline(f"{path}: steps.{name}.needs: {need!r} is no step before it.")
        seen.add(name)
    if pipeline.result_step not in seen:
        raise InvalidPipeline(f"{path}: result: there is no step {pipeline.result_step!r}.")


def chosen(files: list[StoredFile], step: Step) -> list[StoredFile]:
    """Files that a step is given."""
    return [file for file in files if any(fnmatchcase(file.path, pattern) for pattern in step.files)]


def as_stored(step: Step) -> dict[str, Any]:
    """What was said of a step, to be read again as a `Step`."""
    return step.model_dump(mode="json", exclude_unset=True)
