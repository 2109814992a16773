"""Answers a file of questions, on Spark: a program of a workspace, beside `bundle.zip` and `bulk.json`.

Each executor's Python starts the model once, in a process of its own, and asks it batch after batch. What a
row fails with is its line's `error`. Not imported by the service, and standard library and Spark alone until
the bundle is unpacked.
"""

import asyncio
import csv
import hashlib
import io
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pyspark import SparkFiles
from pyspark.sql import SparkSession

_BUNDLE = "bundle.zip"
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
_TOLD_EVERY = 500
_PART_BYTES = 32 << 20
"""Of questions that a task is sent: Spark sends no more than 128 MiB (spark.rpc.message.maxSize), and may put
twice as many into one part as into another."""

Question = dict[str, Any]
"""`values`, `files` and `is_text` of a row, or the `error` that it has already."""


class Answering:
    """One model in one Python process of an executor."""

    def __init__(self, said: dict[str, Any]) -> None:
        """Unpack, start, load. Raises what the model fails with."""
        # Spark's own folder on this machine: it goes when the application does.
        folder = Path(tempfile.mkdtemp(prefix="bulk-", dir=SparkFiles.getRootDirectory()))
        with zipfile.ZipFile(SparkFiles.get(_BUNDLE)) as bundle:
            bundle.extractall(folder)
        sys.path.insert(0, str(folder / "modules"))
        from prediction.inference.declaration.declaration import Declaration
        from prediction.inference.model_process.child import ModelConfig, ModelProcess

        self._said = said
        self._loop = asyncio.new_event_loop()
        self._declaration = Declaration.parse(said["signature"])
        plan = self._declaration.plan()
        config = ModelConfig(said["kind"], folder / "version", said["file"], said["threads"], plan)

        async def start() -> Any:
            return await ModelProcess.start(
                config, None, said["memory_limit_bytes"], said["load_limit_seconds"]
            )

        self._start = start
        self._model = self._loop.run_until_complete(start())

    def answer(self, questions: list[Question]) -> list[dict[str, Any]]:
        """What each row is answered, or its error."""
        from prediction.inference.declaration.problems import Guesses
        from prediction.inference.model_process.frames import Answer, Row, decode_answers, encode_request

        guesses = Guesses()
        rows = [self._row(question, guesses) for question in questions]
        good = [row for row in rows if isinstance(row, Row)]
        found: Iterator[Any] = iter(())
        if good:
            try:
                found = iter(decode_answers(self._ask(encode_request(good))).answers)
            except Exception as error:  # the process is gone: each row by itself, once
                if len(good) > 1:
                    return [answer for question in questions for answer in self.answer([question])]
                found = iter([Answer(error=str(error)[:1000])])
        return [self._said_of(next(found)) if isinstance(row, Row) else {"error": row} for row in rows]

    def _ask(self, frame: bytes) -> bytes:
        if self._model.has_ended:
            self._model = self._loop.run_until_complete(self._start())
        asking = self._model.ask(frame, self._said["time_limit_seconds"])
        answer: bytes = self._loop.run_until_complete(asking)
        return answer

    def _row(self, question: Question, guesses: Any) -> Any:
        if "error" in question:
            return question["error"]
        try:
            return self._declaration.row(
                question["values"], question["files"], lenient=question["is_text"], guesses=guesses
            )
        except Exception as error:
            return str(error)[:1000]

    def _said_of(self, answer: Any) -> dict[str, Any]:
        if answer.error is not None:
            return {"error": answer.error}
        from prediction.inference.model_process.plain import said_by

        value = said_by(answer)
        try:
            meaning = self._declaration.interpret(value)
        except Exception as error:
            return {"error": str(error)[:1000]}
        return {"answer": value, "label": meaning.label, "confidence": meaning.confidence}


_answering: dict[str, Answering] = {}
"""Kept as long as Spark keeps this Python: a model is loaded once, and not for each partition."""


def answers_of(numbered: Iterable[tuple[int, Question]], said: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """The lines of a partition, with their numbers."""
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    batch: list[tuple[int, Question]] = []

    def through() -> Iterator[tuple[int, str]]:
        if key not in _answering:
            _answering[key] = Answering(said)
        found = _answering[key].answer([question for _, question in batch])
        for (number, _), answer in zip(batch, found, strict=True):
            yield number, json.dumps({"row": number, **answer})
        batch.clear()

    for each in numbered:
        batch.append(each)
        if len(batch) == said["batch_rows"]:
            yield from through()
    if batch:
        yield from through()


def is_error(number: int, line: str) -> bool:
    """Whether a line of `answers_of` says why its row has no answer; an answer may hold an `error`, too."""
    return line.startswith(f'{{"row": {number}, "error":')


def question_of_line(line: str) -> Question:
    """Of a line of JSON."""
    try:
        values = json.loads(line)
    except ValueError as error:
        return {"error": f"the line is no JSON: {error}"}
    if isinstance(values, dict) and isinstance(values.get("inputs"), dict):
        values = values["inputs"]
    if not isinstance(values, dict):
        return {"error": "the line is no object of values"}
    return {"values": values, "files": {}, "is_text": False}


def question_of_image(content: bytes) -> Question:
    return {"values": {}, "files": {"": bytes(content)}, "is_text": False}


def read_here(path: Path) -> list[Question]:
    """Questions of a file, or of a folder of images, on this machine."""
    if path.is_dir():
        images = sorted(each for each in path.rglob("*") if each.suffix.lower() in _IMAGES)
        return [question_of_image(each.read_bytes()) for each in images]
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() == ".csv":
        return [
            {"values": dict(row), "files": {}, "is_text": True} for row in csv.DictReader(io.StringIO(text))
        ]
    return [question_of_line(line) for line in text.split("\n") if line.strip()]


def parts_of(questions: list[Question], wanted: int) -> int:
    """How many parts there are to be, so that each of them can be sent."""
    largest = max((sum(map(len, each.get("files", {}).values())) for each in questions), default=0)
    in_a_part = max(1, _PART_BYTES // max(1, largest))
    return max(1, min(len(questions), max(wanted, -(-len(questions) // in_a_part))))


def questions_in(spark: SparkSession, said: dict[str, Any]) -> Any:
    """All questions with their numbers, as an RDD, and how many there are (None: not known yet)."""
    context = spark.sparkContext
    partitions = max(context.defaultParallelism, 2 * said["executors"])
    if "://" not in said["input"]:
        questions = read_here(Path(said["input"]))
        parts = parts_of(questions, partitions)
        return context.parallelize(list(enumerate(questions)), parts), len(questions)
    if said["input"].lower().endswith((".jsonl", ".ndjson", ".json")):
        lines = context.textFile(said["input"], partitions).filter(lambda line: bool(line.strip()))
        return lines.map(question_of_line).zipWithIndex().map(lambda each: (each[1], each[0])), None
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(said["input"])
    images = files.filter("length > 0").orderBy("path").select("content").rdd
    numbered = images.map(lambda row: question_of_image(row.content)).zipWithIndex()
    return numbered.map(lambda each: (each[1], each[0])), None


def tell(**line: Any) -> None:
    if path := os.environ.get("ENEL_PROGRESS_FILE"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def main() -> int:
    said = json.loads(Path("bulk.json").read_text(encoding="utf-8"))
    output = Path(os.environ.get("ENEL_OUTPUT_DIR", "output"))
    output.mkdir(parents=True, exist_ok=True)
    with SparkSession.builder.appName(f"answers of {said['model']}").getOrCreate() as spark:
        spark.sparkContext.addFile(str(Path(_BUNDLE).resolve()))
        numbered, count = questions_in(spark, said)
        lines = numbered.mapPartitions(lambda part: answers_of(part, said))
        if said["output"] is not None:
            lines.values().saveAsTextFile(said["output"])
            result = {"output": said["output"]}
        else:
            result = write(lines, output / "answers.jsonl", count)
    (output / "result.json").write_text(
        json.dumps({"model": said["model"], "version": said["version"], **result})
    )
    tell(progress=1.0, message=f"answered: {json.dumps(result)}")
    return 0


def write(lines: Any, path: Path, count: int | None) -> dict[str, int]:
    """Answers in the order of their questions; how many, and how many errors."""
    rows = errors = 0
    with path.open("w", encoding="utf-8") as file:
        for number, line in lines.toLocalIterator():
            file.write(line + "\n")
            rows += 1
            errors += is_error(number, line)
            if rows % _TOLD_EVERY == 0:
                tell(message=f"{rows:,} rows", **({"progress": rows / count} if count else {}))
    return {"rows": rows, "errors": errors}


if __name__ == "__main__":
    sys.exit(main())
