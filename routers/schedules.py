"""Recurring submissions."""

import contextlib
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Response, status
from pydantic import Field

from common.auth import Principal
from common.errors import InvalidRequest
from common.mongo.document import UtcTime, utc_now
from common.wire.specs import Name, WireModel
from common.wire.unknown import warnings_about
from routers.dependencies import (
    REPLAYED,
    AccessDep,
    ExecutionsDep,
    IdempotencyKey,
    ProgramsDep,
    SubmissionSchedulesDep,
)
from routers.media.submissions import SubmissionRoute
from routers.pagination import Hint, Unreadable, hint_for
from routers.principal import READS, SUBMITS, PrincipalDep
from routers.schemas import examples
from routers.schemas.applications import SubmitResponse, links_of
from submission.manifest.unknown import unknown_values
from submission.schedule_documents import ScheduleNotFound, ScheduleSpec, SubmissionSchedule
from submission.schedules import SubmissionSchedules

router = APIRouter(prefix="/schedules", route_class=SubmissionRoute)

_DUE_SHOWN = 5


class CreateSchedule(ScheduleSpec):
    """A submission, and when it recurs."""

    name: Name


class ScheduleList(WireModel):
    items: list[SubmissionSchedule]
    """By name."""
    hint: Hint = None
    unreadable: Unreadable


class WithDueTimes(SubmissionSchedule):
    """A schedule, and what its expression comes to."""

    recurs: str = ""
    """The expression in words, which show how its two fields of days meet."""
    next_due_times: list[UtcTime] = Field(default_factory=list)
    """The next five, the soonest first, in UTC; empty where it is paused."""

    @classmethod
    def fields_of(cls, schedule: SubmissionSchedule) -> dict[str, Any]:
        """With which any schedule that shows this is made."""
        fields = schedule.model_dump(by_alias=False)
        with contextlib.suppress(InvalidRequest):  # another version may have taken what this one does not
            due = [] if schedule.paused else schedule.next_due(utc_now(), _DUE_SHOWN)
            return {**fields, "recurs": schedule.in_words, "next_due_times": due}
        return fields


class ScheduleDetails(WithDueTimes):
    active: list[str]
    """Ids of its application executions that have not ended, oldest first."""


class AcceptedSchedule(WithDueTimes):
    """A schedule as it was made or changed, and what of the request nobody reads."""

    warnings: list[str]
    """Fields that are ignored, the first ten; empty where all are known."""

    @classmethod
    def of(cls, schedule: SubmissionSchedule, request: ScheduleSpec) -> "AcceptedSchedule":
        # Who changes a schedule may send all that was shown.
        shown = {*ScheduleDetails.model_fields, *cls.model_fields, "name"}
        values = request.submission.spark_template_values
        unknown = chain(request.unknown_fields(elsewhere=shown), unknown_values(values, "submission."))
        return cls(**cls.fields_of(schedule), warnings=warnings_about(unknown))


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    dependencies=SUBMITS,
    responses={200: {"model": AcceptedSchedule, "description": "It was there, and says the same"}},
)
async def create_schedule(
    request: Annotated[CreateSchedule, examples.NEW_SCHEDULE],
    schedules: SubmissionSchedulesDep,
    programs: ProgramsDep,
    principal: PrincipalDep,
    response: Response,
) -> AcceptedSchedule:
    """Submit again and again, so that history builds up by itself.

    The same schedule again changes nothing (200); another one of the same name is refused (409).
    """
    await programs.rights.check_may_run(request.submission, principal)
    schedule, is_new = await schedules.create(request.name, request, principal.name)
    if not is_new:
        response.status_code = status.HTTP_200_OK
    response.headers["Location"] = f"/submission/schedules/{request.name}"
    return AcceptedSchedule.of(schedule, request)


@router.put("/{name}", dependencies=SUBMITS)
async def replace_schedule(
    name: Name,
    request: Annotated[ScheduleSpec, examples.SCHEDULE],
    schedules: SubmissionSchedulesDep,
    programs: ProgramsDep,
    principal: PrincipalDep,
) -> AcceptedSchedule:
    """Create a schedule, or change what it says; its history stays. An operator may change others', too."""
    with contextlib.suppress(ScheduleNotFound):
        await _check_owner(principal, name, schedules)
    await programs.rights.check_may_run(request.submission, principal)
    return AcceptedSchedule.of(await schedules.replace(name, request, principal.name), request)


@router.get("", dependencies=READS)
async def list_schedules(schedules: SubmissionSchedulesDep) -> ScheduleList:
    """All recurring submissions: when next, and what came of the last time."""
    found = await schedules.all()
    hint = hint_for(found, "POST /submission/schedules makes one.")
    return ScheduleList(items=found, hint=hint, unreadable=found.unreadable)


@router.get("/{name}", dependencies=READS)
async def get_schedule(
    name: str, schedules: SubmissionSchedulesDep, executions: ExecutionsDep
) -> ScheduleDetails:
    """One recurring submission; its applications are `/submission/applications?schedule_name=…`."""
    schedule = await schedules.get(name)
    active = await executions.active_of_schedule(name)
    return ScheduleDetails(**ScheduleDetails.fields_of(schedule), active=active)


@router.delete("/{name}", dependencies=SUBMITS)
async def delete_schedule(
    name: str, schedules: SubmissionSchedulesDep, principal: PrincipalDep
) -> SubmissionSchedule:
    """Submit no more; its applications stay, and go on."""
    await _check_owner(principal, name, schedules)
    return await schedules.delete(name)


@router.post("/{name}/pause", dependencies=SUBMITS)
async def pause_schedule(
    name: str, schedules: SubmissionSchedulesDep, principal: PrincipalDep
) -> SubmissionSchedule:
    """Submit no more until it is resumed; repeating it is safe."""
    await _check_owner(principal, name, schedules)
    return await schedules.pause(name, principal.name)


@router.post("/{name}/resume", dependencies=SUBMITS)
async def resume_schedule(
    name: str, schedules: SubmissionSchedulesDep, principal: PrincipalDep
) -> SubmissionSchedule:
    """Go on with the next due time; those of the pause are not made up for."""
    await _check_owner(principal, name, schedules)
    return await schedules.resume(name, principal.name)


@router.post("/{name}/run", dependencies=SUBMITS)
async def run_schedule(
    name: str,
    schedules: SubmissionSchedulesDep,
    principal: PrincipalDep,
    access: AccessDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> SubmitResponse:
    """Submit at once, paused or not; the due times stay as they are.

    The concurrency policy holds: `forbid` answers 409 while an application of the schedule has not ended.
    """
    await _check_owner(principal, name, schedules)
    async with access.submitting(principal):
        submission = await schedules.run_now(name, idempotency_key, principal.name)
    if submission.replayed:
        response.headers[REPLAYED] = "true"
    response.headers["Location"] = links_of(submission.execution.id)["self"]
    return SubmitResponse.of(submission)


async def _check_owner(principal: Principal, name: str, schedules: SubmissionSchedules) -> None:
    principal.check_owner(await schedules.created_by(name), f"The schedule {name!r}")
