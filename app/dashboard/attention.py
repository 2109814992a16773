"""What somebody should look at: parts that cannot be reached, what waits for them, what failed lately."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from pymongo.errors import PyMongoError

from app.dashboard.rendering import counted
from common.executions.documents import ApplicationState
from common.executions.filter import ExecutionFilter
from common.models.artifacts import StoreUnavailable
from common.mongo.document import utc_now
from common.mongo.stored import unreadable_counts
from routers.state import ServiceState
from training.runs.documents import TrainingState

_SECONDS = 5.0
"""For each question; what takes longer is not in order either."""


@dataclass(frozen=True)
class Note:
    """One thing to look at, where, and whether something is broken."""

    text: str
    page: str = ""
    """Below the root of the pages; empty: there is none."""
    is_fault: bool = False


async def attention(state: ServiceState) -> list[Note]:
    """Faults first. Asks all parts at once, none for longer than a few seconds."""
    asked = [_asked(name, question(state)) for name, question in _QUESTIONS.items()]
    notes = [note for found in await asyncio.gather(*asked) for note in found]
    return sorted(notes, key=lambda note: not note.is_fault)


async def _asked(name: str, answer: Awaitable[list[Note]]) -> list[Note]:
    try:
        async with asyncio.timeout(_SECONDS):
            return await answer
    except (PyMongoError, TimeoutError) as error:
        return [Note(f"{name} cannot be told: {type(error).__name__}.", is_fault=True)]


async def _model_store(state: ServiceState) -> list[Note]:
    try:
        await state.models.check_store()
    except StoreUnavailable as error:
        return [Note(f"The model store cannot be reached: {error}", "/models", is_fault=True)]
    return []


async def _trainings(state: ServiceState) -> list[Note]:
    waiting = await state.pretraining.runs.newest(state=TrainingState.PUBLISHING, limit=5)
    failed = await state.pretraining.runs.newest(state=TrainingState.FAILED, limit=5)
    recent = utc_now() - timedelta(days=1)
    return [
        *(
            Note(
                f"The model of {run.algorithm_name} waits to be published: {run.detail}",
                f"/trainings/{run.id}",
                True,
            )
            for run in waiting
            if run.detail
        ),
        *(
            Note(_because(f"A training of {run.algorithm_name} failed", run.detail), f"/trainings/{run.id}")
            for run in failed
            if run.created_at > recent
        ),
    ]


async def _schedules(state: ServiceState) -> list[Note]:
    found = await state.submission_schedules.all()
    return [
        Note(f"The schedule {each.id} did not get through: {each.last_error}", f"/schedules/{each.id}", True)
        for each in found
        if each.last_error
    ]


async def _applications(state: ServiceState) -> list[Note]:
    failed = await state.executions.newest(
        ExecutionFilter(
            states=(ApplicationState.FAILED, ApplicationState.SUBMISSION_FAILED),
            created_from=utc_now() - timedelta(days=1),
        ),
        limit=5,
    )
    return [
        Note(
            _because(
                f"{run.name or run.global_specs.algorithm_name}"
                f" {'ended unseen' if run.outcome_unknown else 'failed'}",
                run.state_reason,
            ),
            f"/applications/{run.id}",
        )
        for run in failed
    ]


def _because(what: str, why: str) -> str:
    return f"{what}: {why}" if why else f"{what}."


async def _unreadable(state: ServiceState) -> list[Note]:
    counts = unreadable_counts(state.executions.database)
    return [
        Note(f"{counted(count, 'document')} of {collection} cannot be read by this version.", is_fault=True)
        for collection, count in counts.items()
        if count
    ]


async def _drift(state: ServiceState) -> list[Note]:
    return [
        Note(f"{version.id} has drifted: {why}.", f"/models/{version.name}")
        for version, why in await state.accuracy.drifts()
    ]


_QUESTIONS: dict[str, Callable[[ServiceState], Awaitable[list[Note]]]] = {
    "The model store": _model_store,
    "Trainings": _trainings,
    "Drift": _drift,
    "Schedules": _schedules,
    "Applications": _applications,
    "Unreadable documents": _unreadable,
}
