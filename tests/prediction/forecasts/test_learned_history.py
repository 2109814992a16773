"""What a worker keeps of a history: the same forecasts as from the history itself, and no run sent twice."""

from dataclasses import replace
from typing import Any

import pytest

from common.executions.repository import ExecutionRepository
from prediction.forecaster import Forecaster
from prediction.forecasts import learned_history
from prediction.forecasts.by_context import ContextFits, same_context
from prediction.forecasts.by_curve import CurveRequest, forecast_with_curve
from prediction.forecasts.learned_history import (
    HistoryNeeded,
    HistoryQuestion,
    KnownHistories,
    LearnedHistory,
    answer_about,
    learn,
)
from prediction.forecasts.method import Method
from prediction.forecasts.whole_run import WholeRunForecast, WholeRunRequest, answer_whole_run
from prediction.forecasts.whole_run import forecast_whole_run as forecast
from prediction.serving.worker_pool import WorkerPool
from tests.support.finished_runs import store_history
from tests.support.odd_histories import CANDIDATES, make_odd_history
from tests.support.samples import execution
from tests.support.synthetic import make_run
from training.evidence.table import MAX_HISTORY_RUNS
from training.history.condensed import History, condensed, packed
from training.history.from_documents import to_run_context

RUNS = make_odd_history(0, None)
CONTEXT = RUNS[-1].context
CONTEXTS = [CONTEXT, replace(CONTEXT, data_size_mb=9999), replace(CONTEXT, machine_name="other"), CONTEXT]


def history(key: str) -> History:
    return History(key, tuple(packed(condensed(run)) for run in RUNS))


def whole_run() -> WholeRunRequest:
    return WholeRunRequest((), CONTEXT, CANDIDATES)


def test_forecasts_from_what_was_learned_before_are_those_from_the_runs() -> None:
    learned = LearnedHistory(RUNS)
    for context in CONTEXTS:
        for candidates in (CANDIDATES, (3,)):
            assert forecast(learned, None, context, candidates) == forecast(RUNS, None, context, candidates)


def test_models_are_fitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[int] = []
    fit = learned_history.ContextFits.__init__.__globals__["_fit"]

    def noted(runs: Any, like: Any = None) -> Any:
        fitted.append(len(runs))
        return fit(runs, like)

    monkeypatch.setitem(ContextFits.__init__.__globals__, "_fit", noted)
    learned = LearnedHistory(RUNS)
    forecast(learned, None, CONTEXT, CANDIDATES)
    once = len(fitted)
    assert once > 1
    for _ in range(3):
        forecast(learned, None, CONTEXT, CANDIDATES)
    assert len(fitted) == once


@pytest.mark.parametrize("method", [Method.ERNEST_PER_JOB, Method.BELL])
def test_curves_know_a_run_by_its_condensed_jobs(method: Method) -> None:
    request = CurveRequest(method, (), CONTEXT, 3, CANDIDATES, RUNS[0].jobs[:4])
    found = answer_about(HistoryQuestion(forecast_with_curve, request, "curves", history("curves")))
    expected = forecast_with_curve(replace(request, history=tuple(RUNS)))
    assert found.job_ids
    assert found == expected


def test_a_worker_asks_for_what_it_does_not_know() -> None:
    question = HistoryQuestion(answer_whole_run, whole_run(), "asked")
    assert isinstance(answer_about(question), HistoryNeeded)
    found = answer_about(replace(question, history=history("asked")))
    assert found == answer_about(question) == forecast(RUNS, None, CONTEXT, CANDIDATES)


def test_what_was_used_least_is_forgotten() -> None:
    known = KnownHistories(most=2)
    for key in ("a", "b"):
        known.add(history(key))
    assert known.find("a")
    known.add(history("c"))
    assert [key for key in "abc" if known.find(key)] == ["a", "c"]
    small = KnownHistories(most_bytes=1)
    small.add(history("a"))
    small.add(history("b"))
    assert [key for key in "ab" if small.find(key)] == ["b"]


async def test_runs_are_sent_once_and_again_to_a_new_worker(
    forecaster: Forecaster, pool: WorkerPool, executions: ExecutionRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_history(executions)
    sent: list[bool] = []
    run_timed = pool.run_timed

    async def noted(function: Any, request: Any) -> Any:
        sent.append(request.history is not None)
        return await run_timed(function, request)

    monkeypatch.setattr(pool, "run_timed", noted)

    async def ask() -> WholeRunForecast:
        run = execution()
        context = to_run_context(run)
        return await forecaster.before_run(Method.MODEL, run.global_specs, context, CANDIDATES)

    first = await ask()
    assert first.runs == 4
    assert await ask() == first
    assert sent == [False, True, False]
    for worker in tuple(pool._workers):
        worker.kill()
        worker._process.join()
    assert await ask() == first
    assert sent[3:] == [False, True]


def test_runs_in_the_context_are_lined_up_however_old_they_are() -> None:
    """A context that nothing ran in for a long time is not a new one."""
    newer = [
        replace(RUNS[0], run_id=f"newer-{number}", started_at=RUNS[-1].started_at + 60.0 * (number + 1))
        for number in range(MAX_HISTORY_RUNS + 40)
    ]
    elsewhere = [replace(run, context=replace(run.context, machine_name="other")) for run in newer]
    learned = LearnedHistory([*RUNS, *elsewhere])
    same = same_context(learned.runs, CONTEXT)
    table = learned.table(same)
    assert len(table.rows) == MAX_HISTORY_RUNS
    assert list(table.rows[: len(RUNS)]) == list(range(len(RUNS)))
    assert table.rows[-1] == len(learned.runs) - 1
    assert learned.table(same) is table
    found = forecast(learned, None, CONTEXT, CANDIDATES)
    alone = forecast(RUNS, None, CONTEXT, CANDIDATES)
    assert found.runtime_seconds == pytest.approx(alone.runtime_seconds, rel=0.1)
    assert f"{same.sum()} of {len(learned.runs)} earlier runs in this context" in found.description


async def test_histories_that_were_asked_about_are_learned_when_runs_end(
    forecaster: Forecaster, pool: WorkerPool, executions: ExecutionRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_history(executions)
    asked: list[tuple[Any, bool]] = []
    run_timed = pool.run_timed

    async def noted(function: Any, request: Any) -> Any:
        asked.append((request.function, request.history is not None))
        return await run_timed(function, request)

    monkeypatch.setattr(pool, "run_timed", noted)
    run = execution()
    ended = [each for each, _ in await executions.finished_runs("spark", run.global_specs.algorithm_name, 1)]
    await forecaster.prepare(ended)
    assert not asked, "nobody may ever ask"

    async def ask() -> WholeRunForecast:
        return await forecaster.before_run(Method.MODEL, run.global_specs, to_run_context(run), CANDIDATES)

    await ask()
    await store_history(executions)
    asked.clear()
    await forecaster.prepare(ended)
    assert asked == [(learn, False), (learn, True)]
    assert (await ask()).runs == 8
    assert asked[2:] == [(answer_whole_run, False)], "the worker knows it already"


@pytest.mark.parametrize("method", [Method.ERNEST_PER_JOB, Method.ERNEST])
def test_curves_know_the_runs_of_a_context_however_many_others_came_later(method: Method) -> None:
    """Only the latest runs are looked at, and those of other contexts do not take their place."""
    small, large = replace(CONTEXT, data_size_mb=1000), replace(CONTEXT, data_size_mb=64_000)
    mine = [make_run(n, x, context=small) for n, x in enumerate((2, 4, 8))]
    others = [make_run(10 + n, (2, 4, 8)[n % 3], context=large, factor=9.0) for n in range(70)]
    learned = LearnedHistory([*mine, *others])
    found = forecast_with_curve(CurveRequest(method, learned, small, -1, (4,)))
    assert found.remaining_seconds[0][0] == pytest.approx(mine[1].runtime_seconds, rel=0.15)
    assert found.seen_scale_out == 8
    more = LearnedHistory([*learned.records, make_run(99, 36, context=large)])
    asked = CurveRequest(method, more, small, -1, (4,))
    assert forecast_with_curve(asked).seen_scale_out == 36, "of the application, in whatever context"
