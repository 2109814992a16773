"""Training in parallel on Spark, from partitions to a version: the second step of `pipeline.yaml`.

`TorchDistributor` starts a process on each of so many executors, all at once or none; `worker.py` is what
they do. By hand: `spark-submit --master 'local[2]' train.py --processes 2 --data output/result.json`.
"""

import argparse
import json
import os
import re
import shutil
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import checkpoints
import model
import stores
import worker
from checkpoints import Checkpoints, key_of
from contract import Heartbeat, feedback_folder, input_folder, leave, output_folder, tell
from evaluation import evaluate
from feedback import read_feedback
from model import WEIGHTS, DigitNetwork
from parent import parent_weights
from pyspark import cloudpickle
from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession
from safetensors.torch import save_file
from slots import wait_for_slots
from stores import Store
from worker import Work, read_partitions

_HERE = Path(__file__).resolve().parent
_NEEDED_TO_READ = ("model.py", "predict.py")
_ERROR = re.compile(r"(?:\[rank\d+\]:\s*)?((?:\w+\.)*\w*(?:Error|Exception): .+)")


class TrainingFailed(Exception):
    """A process of the training failed; the message says of what."""


class Relay:
    """Passes on what the first process leaves word of: only the driver can write ENEL_PROGRESS_FILE."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._epoch = -1
        self.begun_at = 0
        """Epochs that an earlier start of the training had made."""

    def look(self) -> None:
        """Tell what is new; a store that is away for a moment harms nothing."""
        try:
            said = self._work.checkpoints.told(self._work.run, "progress")
        except Exception as error:
            print(f"the training's progress cannot be read: {error}", flush=True)
            return
        if said is None:
            return
        if self._epoch < 0:
            self.begun_at = self._epoch = said["begun_at"]
        epochs = self._work.hyperparameters["epochs"]
        for figures in said["history"]:
            epoch = int(figures["epoch"])
            if epoch > self._epoch:
                self._epoch = epoch
                metrics = {name: figures[name] for name in ("loss", "training_accuracy")}
                message = (
                    f"epoch {epoch} of {epochs}: loss {figures['loss']:.4f} ({figures['seconds']:.1f} s)"
                )
                tell(progress=0.1 + 0.8 * epoch / epochs, message=message, step=epoch, metrics=metrics)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2, help="at most executors × their cores")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--batch-size", type=int, default=128, help="of all processes together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from-parent", action="store_true", help="go on from the version that serves")
    parser.add_argument("--data", type=Path, default=input_folder("processing") / "result.json")
    args = parser.parse_args(arguments)
    if not 1 <= args.processes <= args.batch_size:
        parser.error("--processes: from 1 to --batch-size")
    if args.epochs < 1 or not 0 < args.learning_rate < 1:
        parser.error("--epochs is at least 1, and --learning-rate between 0 and 1")
    if not args.data.is_file():
        parser.error(f"--data {args.data}: process.py leaves such a file")
    return args


def plan(args: argparse.Namespace, data: dict[str, Any]) -> Work:
    """What the processes are told; the parent's weights become the checkpoint to begin with."""
    parent, weights = parent_weights() if args.from_parent else (None, None)
    partitions = data["train"]["partitions"]
    said = read_feedback(feedback_folder(), tuple(data["shape"]))
    if args.processes > len(partitions):
        raise TrainingFailed(f"{args.processes} processes cannot share {len(partitions)} partitions.")
    hyperparameters = {
        "epochs": args.epochs,
        "learning_rate": args.learning_rate,
        "batch_size": args.batch_size,
        "seed": args.seed,
        "parent": parent,
        "feedback": said.checksum(),
    }
    store = Store(data["location"], data["webhdfs"])
    there = Checkpoints(store, key_of(data["checksum"], hyperparameters))
    if weights is not None and there.latest() is None:
        there.save(0, {"network": weights, "optimizer": {}, "history": []})
    shape = tuple(data["shape"])
    return Work(store, there, uuid.uuid4().hex, partitions, shape, hyperparameters, said.images, said.labels)


def distribute(spark: SparkSession, work: Work, processes: int) -> None:
    """Let so many processes train. Raises TrainingFailed."""
    # The processes are started by an executor's Python, which does not tell them of the modules it has.
    for module in (checkpoints, model, stores, worker):
        cloudpickle.register_pickle_by_value(module)
    # A failed process stops all, and Spark starts them anew, some times: from the last checkpoint.
    distributor = TorchDistributor(num_processes=processes, local_mode=False, use_gpu=False)
    try:
        distributor.run(unpack_and_train, cloudpickle.dumps((worker.train, work)))
    except Exception as error:
        raise TrainingFailed(cause_of(error, work)) from None


def unpack_and_train(packed: bytes) -> None:
    """In the process that trains; those between Spark and it pass on bytes, and need no torch for that."""
    from pyspark import cloudpickle

    train, work = cloudpickle.loads(packed)
    train(work)


def cause_of(error: Exception, work: Work) -> str:
    """What the first process that failed has said, in a line: the rest is on its executor's stdout alone."""
    said = work.checkpoints.told(work.run, "error")
    if said is not None:
        return f"process {said['rank']}: {' '.join(said['error'].split())[:800]}"
    lines = [match[1] for line in str(error).splitlines() if (match := _ERROR.search(line.strip()))]
    return lines[-1][:800] if lines else " ".join(str(error).split())[-800:]


def keep(network: DigitNetwork, figures: dict[str, Any], result: dict[str, Any], shape: list[int]) -> None:
    """Leave the version: weights, what reads them, figures, and what it is asked with."""
    folder = output_folder()
    save_file(network.state_dict(), folder / WEIGHTS)
    for name in _NEEDED_TO_READ:
        shutil.copyfile(_HERE / name, folder / name)
    leave("metrics.json", figures)
    leave("result.json", result)
    leave(
        "signature.json",
        {
            "inputs": {
                "image": {
                    "type": "image",
                    "mode": "L",
                    "height": shape[0],
                    "width": shape[1],
                    "background": "#000000",
                    "description": "a bright digit on a dark ground",
                }
            },
            "output": {"label": "digit", "confidence": "probability"},
        },
    )


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    data = json.loads(args.data.read_text(encoding="utf-8"))
    work = plan(args, data)
    began = time.monotonic()
    # Of a last epoch that cannot be read, the processes make it again, from the one before.
    there = work.checkpoints.latest()
    done = there[0] if there else 0
    how = f"goes on from the checkpoint of epoch {done}" if done else "begins"
    tell(progress=0.0, message=f"the training {how} ({work.checkpoints.folder})", data=data["checksum"])
    relay = Relay(work)
    with SparkSession.builder.appName("digits: training").getOrCreate() as spark, Heartbeat(relay.look):
        wait_for_slots(spark, args.processes)
        tell(progress=0.1, message=f"{args.processes} processes start after {time.monotonic() - began:.0f} s")
        if done < args.epochs:
            distribute(spark, work, args.processes)
    found = work.checkpoints.latest()
    if found is None or found[0] != args.epochs:
        raise TrainingFailed("The last epoch has left no checkpoint that can be read.")
    network = DigitNetwork()
    network.load_state_dict(found[1]["network"])
    figures = evaluate(network, *read_partitions(work.store, data["test"]["partitions"], work.shape))
    result = {
        **{name: figures[name] for name in ("accuracy", "loss", "test_images")},
        "seconds": time.monotonic() - began,
        "processes": args.processes,
        "partitions": len(work.partitions),
        "images_of_feedback": len(work.said_labels),
        "resumed_from_epoch": done or None,
        "hyperparameters": dict(work.hyperparameters),
        "history": found[1]["history"],
    }
    keep(network, figures, result, data["shape"])
    work.checkpoints.forget()
    tell(
        progress=1.0, message=f"accuracy {figures['accuracy']:.2%}", metrics={"accuracy": figures["accuracy"]}
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
