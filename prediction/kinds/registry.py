"""Every kind of model: the one place that knows which there are."""

from collections.abc import Callable

from common.executions.repository import ExecutionRepository
from common.settings.training import TrainingSettings
from prediction.kinds.kind import ModelKind
from prediction.kinds.online_predictor import OnlinePredictor
from training.kinds import Kinds

KINDS: tuple[Callable[[ExecutionRepository, TrainingSettings], ModelKind], ...] = (OnlinePredictor,)
"""How each is made; the first one is meant where nobody names one."""


def model_kinds(executions: ExecutionRepository, settings: TrainingSettings) -> Kinds[ModelKind]:
    """The kinds of models of a service with these settings."""
    return Kinds([make(executions, settings) for make in KINDS])
