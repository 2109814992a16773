"""The artifact: a trained model, what describes it, and the files it is stored as."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from training.evidence.graph import CONTEXT_BUCKETS
from training.evidence.parts import evidence_from_parts, evidence_to_parts
from training.evidence.run_effects import RunEffects, estimate_run_effects
from training.evidence.stage_names import lasting_name
from training.evidence.table import Evidence
from training.history.values import METRIC_NAMES
from training.runtime_model.laws import Calibration, Prior, fit_prior
from training.runtime_model.network import EMBEDDING, FEATURES, RuntimeModel
from training.runtime_model.similar_runs import SimilarRuns
from training.statistics.predictive_std import LeftOutErrors, Trust

RUNTIME_MODEL_SCHEMA_VERSION = 1

RUNTIME_MODEL_KIND = "onlinepredictor"

LASTING_NAMES = "lasting"
"""How names of stages are encoded: by `training.evidence.stage_names`, then hashed."""

STORED_CALIBRATION = {
    "change_point_log_scale_out": "cliff_place",
    "change_point_jump": "cliff_jump",
    "change_point_width": "cliff_width",
    "change_point_level": "cliff_level",
    "change_point_slope": "cliff_slope",
    "change_point_mean_deviation": "cliff_spread",
}
"""What fields of a calibration are called in `model.json`, where that differs: files do not change."""

STORED_LEFT_OUT = {"error": "error", "cut": "cut", "log_scale_out": "place", "run": "run"}
"""What columns of `LeftOutErrors` are called among the tensors, behind `left_out.`."""

STORED_LATENESS = "left_out.lateness"
"""Column of left-out errors that models made before 2026-11-30 do not have."""


class ArtifactInvalid(ValueError):
    """Stored files are not a model of this kind and version, or are damaged."""


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters that the search varies; everything else of the design is fixed."""

    learning_rate: float = 5e-3
    weight_decay: float = 1e-3
    dropout: float = 0.1
    hidden_dim: int = 32
    correction_limit: float = 0.3
    """Bound of the network's log correction of a node's runtime."""
    noise: float = 0.05
    """Standard deviation of the augmentation of node features."""

    def __post_init__(self) -> None:
        values = (self.learning_rate, self.weight_decay, self.dropout, self.correction_limit, self.noise)
        if not all(np.isfinite(values)) or min(values) < 0 or self.learning_rate > 1 or self.dropout >= 1:
            raise ValueError(f"impossible hyperparameters: {self}")
        if self.correction_limit > 2 or not 4 <= self.hidden_dim <= 256 or self.hidden_dim % 2:
            raise ValueError("hidden_dim is even, 4 to 256; correction_limit is at most 2")


@dataclass(frozen=True)
class TrainedModel:
    """Weights and description of one application's model; never changed once made."""

    evidence: Evidence
    calibration: Calibration
    hyperparameters: Hyperparameters
    validation: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    left_out: LeftOutErrors | None = None
    """Errors about runs left out; None with a single run, and of earlier versions."""

    @cached_property
    def run_effects(self) -> RunEffects:
        """Random effects of the runs of the history."""
        return estimate_run_effects(self.evidence)

    @cached_property
    def prior(self) -> Prior:
        """Laws of the whole history."""
        return fit_prior(self.evidence, self.run_effects, self.calibration)

    @cached_property
    def network(self) -> RuntimeModel:
        """The pretrained network, for inference; copy it before changing it."""
        network = make_network(self.evidence, self.hyperparameters)
        network.load_state_dict(dict(self.weights))
        return network.eval().requires_grad_(False)

    @property
    def network_serves(self) -> bool:
        """Whether the network corrects the laws; where laws alone predict as well, they serve."""
        return float(self.weights["gate"]) > 0

    @cached_property
    def similar_runs(self) -> SimilarRuns:
        """History as whole runs rather than jobs, for forecasts by similar runs."""
        return SimilarRuns(
            self.evidence, self.run_effects, self.prior.size_exponent, self.calibration.change_point
        )

    @cached_property
    def trust(self) -> Trust:
        """Weight of similar runs, and standard deviations by cut for models without left-out errors."""
        stds = self.validation.get("log_error_stds") or [self.log_error_std]
        return Trust(float(self.validation.get("similar_runs_share", 0.0)), tuple(map(float, stds)))

    @property
    def log_error_std(self) -> float:
        """Standard deviation of log measured over predicted remaining runtime, over all cuts."""
        return float(self.validation["log_error_std"])

    def to_files(self) -> dict[str, bytes]:
        """Write the files of the artifact, by name: weights and tables, and a description."""
        structure, arrays = evidence_to_parts(self.evidence)
        tensors = {f"network.{name}": value.contiguous() for name, value in self.weights.items()}
        tensors |= {f"evidence.{name}": torch.from_numpy(array.copy()) for name, array in arrays.items()}
        if self.left_out is not None:
            tensors |= {
                f"left_out.{stored}": torch.from_numpy(np.array(getattr(self.left_out, name)))
                for name, stored in STORED_LEFT_OUT.items()
            }
            if self.left_out.lateness is not None:
                tensors[STORED_LATENESS] = torch.from_numpy(np.array(self.left_out.lateness))
        description = {
            "schema_version": RUNTIME_MODEL_SCHEMA_VERSION,
            "kind": RUNTIME_MODEL_KIND,
            "config": _config(self.evidence),
            "hyperparameters": asdict(self.hyperparameters),
            "profile": {
                "structure": structure,
                "calibration": _to_stored(self.calibration._asdict(), STORED_CALIBRATION),
            },
            "validation": dict(self.validation),
        }
        return {
            "weights.safetensors": save(tensors),
            "model.json": json.dumps(description, indent=1, allow_nan=False).encode(),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> "TrainedModel":
        """Read a model from what `to_files` wrote; nothing is unpickled.

        Raises:
            ArtifactInvalid: A file is missing, damaged, of another kind or version, or its parts
                do not fit together.
        """
        try:
            description = json.loads(files["model.json"])
            tensors = load(files["weights.safetensors"])
        except KeyError as error:
            raise ArtifactInvalid(f"the artifact has no {error.args[0]}") from error
        except Exception as error:  # safetensors raises its own type and many of Python's
            raise ArtifactInvalid(f"the artifact cannot be read: {error}") from error
        if not isinstance(description, dict) or description.get("kind") != RUNTIME_MODEL_KIND:
            raise ArtifactInvalid(f"the artifact is not of kind {RUNTIME_MODEL_KIND}")
        if description.get("schema_version") != RUNTIME_MODEL_SCHEMA_VERSION:
            version = description.get("schema_version")
            raise ArtifactInvalid(
                f"schema version {version} is not supported, only {RUNTIME_MODEL_SCHEMA_VERSION}"
            )
        try:
            weights = _under("network.", tensors)
            if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
                raise ArtifactInvalid("the artifact has weights that are not finite")
            arrays = {name: value.double().numpy() for name, value in _under("evidence.", tensors).items()}
            evidence = evidence_from_parts(description["profile"]["structure"], arrays)
            # What lasts of a name may be less by now than when the model was made.
            if description.get("config") not in (_INPUTS, _LASTING_INPUTS):
                raise ArtifactInvalid("the artifact was made by a model with other inputs")
            model = cls(
                evidence,
                Calibration(**_from_stored(description["profile"]["calibration"], STORED_CALIBRATION)),
                Hyperparameters(**description["hyperparameters"]),
                description["validation"],
                weights,
                _left_out_errors(_under("left_out.", tensors), evidence),
            )
            trust = model.trust
            figures = [*model.calibration, model.log_error_std, trust.share, *trust.log_error_stds]
            if not np.isfinite(figures).all():
                raise ArtifactInvalid("the artifact has figures that are not finite")
            _ = model.network
            _ = model.prior
        except ArtifactInvalid:
            raise
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            raise ArtifactInvalid(f"the artifact's parts do not fit together: {error!r}") from error
        return model


def _to_stored(values: Mapping[str, Any], stored_names: Mapping[str, str]) -> dict[str, Any]:
    """Values by the names that files have for them."""
    return {stored_names.get(name, name): value for name, value in values.items()}


def _from_stored(values: Mapping[str, Any], stored_names: Mapping[str, str]) -> dict[str, Any]:
    """Values of a file by our names for them."""
    names = {stored: name for name, stored in stored_names.items()}
    return {names.get(stored, stored): value for stored, value in values.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _left_out_errors(tensors: Mapping[str, Tensor], evidence: Evidence) -> LeftOutErrors | None:
    """Read left-out errors of the runs of a history; None where an earlier version stored none.

    Models made before 2026-11-25 divided the errors of unusual runs: they are a little surer of those. Those
    made before 2026-11-30 do not say how late runs were: they are as sure of late runs as of others.

    Raises:
        KeyError, ArtifactInvalid: The columns are not those of one table.
    """
    if not tensors:
        return None
    error, log_scale_out = (
        tensors[STORED_LEFT_OUT[name]].double().numpy() for name in ("error", "log_scale_out")
    )
    cut, run = (tensors[STORED_LEFT_OUT[name]].long().numpy() for name in ("cut", "run"))
    stored = tensors.get(STORED_LATENESS.removeprefix("left_out."))
    lateness = None if stored is None else stored.double().numpy()
    columns = [error, log_scale_out, cut, run] + ([] if lateness is None else [lateness])
    if error.ndim != 1 or not len(error) or any(column.shape != error.shape for column in columns):
        raise ArtifactInvalid("the artifact's left-out errors are not a table")
    jobs, runs = len(evidence.graph.job_ids), len(evidence.contexts)
    if min(run.min(), cut.min() + 1) < 0 or run.max() >= runs or cut.max() >= jobs:
        raise ArtifactInvalid("the artifact's left-out errors are not of its runs")
    if not all(np.isfinite(column).all() for column in columns):
        raise ArtifactInvalid("the artifact has figures that are not finite")
    if lateness is not None and lateness.min() < 0:
        raise ArtifactInvalid("the artifact has runs that were less than not late")
    return LeftOutErrors(error, cut, log_scale_out, run, jobs, lateness)


_INPUTS = {
    "features": FEATURES,
    "context_buckets": CONTEXT_BUCKETS,
    "embedding": EMBEDDING,
    "metrics": list(METRIC_NAMES),
}
_LASTING_INPUTS = {**_INPUTS, "stage_names": LASTING_NAMES}


def _config(evidence: Evidence) -> dict[str, Any]:
    """What the network reads.

    Models made before 2026-11-29 read names of stages as Spark had reported them, and do not say how they
    are encoded. They go on reading those of their own graph: nothing else is hashed.
    """
    lasting = all(not name or lasting_name(name) == name for name in evidence.graph.names)
    return dict(_LASTING_INPUTS if lasting else _INPUTS)


def make_network(evidence: Evidence, hyperparameters: Hyperparameters) -> RuntimeModel:
    """Make an untrained network for a history; its weights come from torch's random state."""
    return RuntimeModel(
        evidence.graph,
        hyperparameters.hidden_dim,
        hyperparameters.dropout,
        hyperparameters.correction_limit,
    )
