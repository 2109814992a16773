"""The form that asks a model: an input for each field it declares, pairs of any keys, and what they say."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData, UploadFile

from app.dashboard.submission_form import FormError, typed_in
from common.errors import InvalidRequest, ServiceError
from prediction.inference.declaration.declaration import Declaration, FieldDescription
from prediction.inference.declaration.problems import InvalidInputs, shown_name
from prediction.inference.questions import Question
from routers.serving.reading import rows_of

VALUE, FILE, KEY, TEXT = "value.", "file.", "key.", "text."
"""What names of inputs begin with: a field's value, its image, and the halves of a pair."""

_MOST_PAIRS = 200
_ONE_LINE = 200
"""Characters up to which a text has one line to be typed in."""


@dataclass(frozen=True)
class Input:
    """An input of the form."""

    field: FieldDescription
    kind: str
    """`number`, `choice`, `flag`, `text`, `lines`, `json` or `image`."""
    text: str
    """What stands in it."""
    choices: Sequence[str] = ()

    @property
    def name(self) -> str:
        return f"{FILE if self.kind == 'image' else VALUE}{self.field.name}"


@dataclass(frozen=True)
class Pair:
    """A key with its value, where a model takes any."""

    number: int
    key: str = ""
    text: str = ""


@dataclass(frozen=True)
class Asked:
    """What the form asks: a row, or one for each image that was chosen."""

    questions: Sequence[Question]
    names: Sequence[str]
    """Of each row's image; empty where there is none."""


def inputs_of(declaration: Declaration, typed: Mapping[str, str] | None = None) -> list[Input]:
    """One for each field, in the order of declaration.

    Args:
        typed: What stands in them; None: defaults do.
    """
    return [_input(field, typed) for field in declaration.fields]


def pairs_of(typed: Mapping[str, str]) -> list[Pair]:
    """Pairs of a form, also those that are empty yet, in order. Raises InvalidRequest: They are too many."""
    numbers = {
        int(found[1])
        for name in typed
        if (found := re.fullmatch(r"(?:key|text)\.([0-9]{1,6})", name)) is not None
    }
    if len(numbers) > _MOST_PAIRS:
        raise InvalidRequest(f"A model is asked with at most {_MOST_PAIRS} pairs of keys and values.")
    return [
        Pair(number, typed.get(f"{KEY}{number}", "").strip(), _text(typed.get(f"{TEXT}{number}", "")))
        for number in sorted(numbers)
    ]


def asked_by(form: FormData, inputs: Sequence[Input]) -> Asked:
    """The rows that a form asks. Raises FormError or InvalidRequest."""
    typed = typed_in(form)
    values = {
        each.field.name: text for each in inputs if (text := _value(each, typed.get(each.name))) is not None
    }
    for pair in pairs_of(typed):
        if not pair.key and not pair.text.strip():
            continue
        if not pair.key:
            raise FormError({f"{KEY}{pair.number}": "Give the value a name."})
        if pair.key in values or any(pair.key == each.field.name for each in inputs):
            raise FormError({f"{KEY}{pair.number}": f"{shown_name(pair.key)} is there already."})
        values[pair.key] = pair.text
    contents: dict[str, list[bytes]] = {}
    names: dict[str, list[str]] = {}
    for name, file in form.multi_items():
        if isinstance(file, UploadFile) and file.filename and name.startswith(FILE):
            contents.setdefault(name[len(FILE) :], []).append(file.file.read())  # in memory: one body
            names.setdefault(name[len(FILE) :], []).append(file.filename)
    longest = max(names.values(), key=len, default=[])
    questions = rows_of(values, contents)
    return Asked(questions, longest if len(longest) == len(questions) else [""] * len(questions))


def errors_by_input(
    error: ServiceError, inputs: Sequence[Input], pairs: Sequence[Pair], question: Question
) -> dict[str, str]:
    """What is wrong with which input; of an image that was sent nothing, as that is told beside the image."""
    places = {shown_name(pair.key): f"{KEY}{pair.number}" for pair in pairs if pair.key}
    places |= {shown_name(one.field.name): one.name for one in inputs}
    sent = {shown_name(name) for name in question.files}
    found: dict[str, str] = {}
    for each in error.problems if isinstance(error, InvalidInputs) else ():
        if each.field in places and each.field not in sent:
            found[places[each.field]] = f"{each.problem[:1].upper()}{each.problem[1:]}."
    return found


def _input(field: FieldDescription, typed: Mapping[str, str] | None) -> Input:
    kind, choices = _kind(field)
    text = "" if kind == "image" else _shown(field.default)
    if typed is not None:
        text = typed.get(f"{VALUE}{field.name}", "false" if kind == "flag" else "")
    return Input(field, kind, text, choices)


def _kind(field: FieldDescription) -> tuple[str, Sequence[str]]:
    if field.choices is not None:
        return "choice", [_shown(each) for each in field.choices]
    match field.type:
        case "integer" | "number":
            return "number", ()
        case "boolean" if field.required or field.default is not None:
            return "flag", ()
        case "boolean":
            return "choice", ["true", "false"]
        case "image":
            return "image", ()
        case "string":
            short = field.max_length is not None and field.max_length <= _ONE_LINE
            return ("text" if short else "lines"), ()
        case _:
            return "json", ()


def _value(each: Input, text: str | None) -> str | None:
    """What is asked by an input; None: nothing."""
    if each.kind == "image":
        return None
    if each.kind == "flag":
        return "false" if text is None else "true"
    if text is None or (not text and each.kind not in ("text", "lines")):
        return None
    return _text(text)


def _text(typed: str) -> str:
    """With the ends of lines as they were typed: forms send others."""
    return typed.replace("\r\n", "\n")


def _shown(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
