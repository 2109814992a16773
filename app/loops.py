"""What goes on in the background: every loop with its pause, in one place."""

from collections.abc import Awaitable, Callable, Sequence

from common.loops import Loop
from submission.accuracy.watch import AccuracyWatch
from submission.runners import Runner
from submission.schedules import SubmissionSchedules
from submission.service import SubmissionService
from training.runs.publishing import Publisher
from training.runs.schedules import PeriodicTrainings
from training.runs.supervisor import TrainingSupervisor

_FIRST_COLLECTION_SECONDS = 30.0
"""After the start, when publications that were cut short have been finished."""

_COLLECTION_SECONDS = 3600.0

_SCHEDULE_SECONDS = 2.0
"""Between two looks at recurring submissions: what is due starts that late at most."""

_RECONCILE_SECONDS = 30.0

_ACCURACY_SECONDS = 15.0

_PROGRAM_SECONDS = 2.0


def every_loop(
    supervisor: TrainingSupervisor,
    publisher: Publisher,
    periodic_trainings: PeriodicTrainings,
    collect_garbage: Callable[[], Awaitable[list[str]]],
    submissions: SubmissionService,
    submission_schedules: SubmissionSchedules,
    runner: Runner,
    accuracy: AccuracyWatch,
    *,
    of_teams: Sequence[Loop],
    collect_contents: Callable[[], Awaitable[float | None]],
    collect_outputs: Callable[[], Awaitable[object]],
    collect_ended_tokens: Callable[[], Awaitable[object]],
    heartbeat_seconds: float,
) -> list[Loop]:
    """The loops of a service.

    | loop | turn | pause |
    | --- | --- | --- |
    | trainings | carries out one queued training | a heartbeat, or until one is queued |
    | publishing | publishes what is trained | a heartbeat; longer while something waits |
    | models that wait | signs of life for these | a heartbeat |
    | periodic trainings | queues what is due | a heartbeat |
    | garbage | deletes what belongs to no version | an hour |
    | outputs of programs | removes those that nobody will ask for | an hour |
    | contents of workspaces | deletes what no file and no snapshot refers to | an hour |
    | listeners' tokens | deletes those of ended applications | an hour |
    | recurring submissions | submits what is due | 2 s |
    | abandoned submissions | hands over what was only stored | 30 s |
    | programs that wait | hands over those whose environments are built | 2 s |
    | sign of the runner | says that this service lives, and ends what others had to give up | 10 s |
    | pipelines | starts the steps whose turn it is | 1 s |
    | versions of programs | makes versions of what programs have left | 2 s |
    | broker of messages | asks whether it answers, where one is configured | 5 s |
    | replies to messages | sends states and results of runs that messages started | 1 s |
    | logs by message | follows these runs' logs, where a topic is set for them | 2 s |
    | accuracy of forecasts | measures runs that have ended | 15 s |
    | environments | builds one that is queued | a heartbeat, or until one is queued |
    | cache of environments | evicts what was not used for longest, removes leftovers | a minute |
    | of the runner | follows applications where the platform does not report | its own |

    Args:
        of_teams: What goes on about programs of workspaces: environments, versions, pipelines.
        collect_contents: Of workspaces; returns a shorter pause where one is worth it.
        collect_outputs: Of programs.
        collect_ended_tokens: Of listeners whose applications have ended.
        heartbeat_seconds: Between two signs of life of a training.
    """
    loops = [
        supervisor.loop(),
        *publisher.loops(),
        Loop("garbage", collect_garbage, _COLLECTION_SECONDS, _FIRST_COLLECTION_SECONDS),
        Loop("contents of workspaces", collect_contents, _COLLECTION_SECONDS, _FIRST_COLLECTION_SECONDS),
        Loop("outputs of programs", collect_outputs, _COLLECTION_SECONDS, _FIRST_COLLECTION_SECONDS),
        Loop("listeners' tokens", collect_ended_tokens, _COLLECTION_SECONDS, _FIRST_COLLECTION_SECONDS),
        Loop("recurring submissions", submission_schedules.tick, _SCHEDULE_SECONDS, _SCHEDULE_SECONDS),
        Loop("abandoned submissions", submissions.reconcile, _RECONCILE_SECONDS, _RECONCILE_SECONDS),
        Loop("accuracy of forecasts", accuracy.tick, _ACCURACY_SECONDS, _ACCURACY_SECONDS),
        Loop("programs that wait", submissions.start_ready, _PROGRAM_SECONDS, _PROGRAM_SECONDS),
        *of_teams,
        *runner.loops(),
    ]
    if periodic_trainings.configured:
        tick = periodic_trainings.tick
        loops.append(Loop("periodic trainings", tick, heartbeat_seconds, heartbeat_seconds))
    return loops
