"""What the service has opened, for handlers: one object, whose type says what is there."""

import asyncio
from dataclasses import dataclass

from common.access.control import AccessControl
from common.executions.repository import ExecutionRepository
from common.instruments import Instruments
from common.mongo.types import Client
from common.workspaces.workspaces import Workspaces
from prediction.initial import InitialScaleOutChooser
from prediction.predictor import Predictor
from prediction.serving.models import Models
from prediction.serving.worker_pool import WorkerPool
from submission.accuracy.watch import AccuracyWatch
from submission.environments.environments import Environments
from submission.messages.opened import TrainingMessages
from submission.pipelines.digits import DigitsExample
from submission.pipelines.pipelines import Pipelines
from submission.programs.opened import OpenPrograms
from submission.schedules import SubmissionSchedules
from submission.service import SubmissionService
from submission.serving.opened import OpenServing
from training.event_logs.importing import RunImporter
from training.runs.pretraining import Pretraining
from training.runs.publishing import Publisher
from training.runs.schedules import PeriodicTrainings


@dataclass(frozen=True)
class ServiceState:
    """Everything that a request may need; under `service` in the state of each."""

    mongo: Client
    instruments: Instruments
    access: AccessControl
    executions: ExecutionRepository
    predictor: Predictor
    chooser: InitialScaleOutChooser
    models: Models
    workers: WorkerPool
    importer: RunImporter
    pretraining: Pretraining
    publisher: Publisher
    periodic_trainings: PeriodicTrainings
    accuracy: AccuracyWatch
    environments: Environments
    submissions: SubmissionService
    submission_schedules: SubmissionSchedules
    workspaces: Workspaces
    programs: OpenPrograms
    pipelines: Pipelines
    messages: TrainingMessages
    digits: DigitsExample
    serving: OpenServing
    executor_hour_price: float | None
    """What one executor costs for an hour, in whatever currency; None: nobody said."""
    stopping: asyncio.Event
    """Set when the service is asked to stop: answers that have no end of their own come to one."""
