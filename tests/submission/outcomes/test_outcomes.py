"""Whether Spark carried a decision out, told from what jobs and stages reported."""

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from common.executions.candidate import Candidate
from common.executions.documents import (
    ApplicationExecution,
    ApplicationState,
    JobSummary,
    ScalingDecision,
    StageSpan,
)
from submission.outcomes.outcomes import Fulfilment, RunTimeline, outcome_of, replacements
from submission.outcomes.picture import draw_run
from tests.support.samples import specs

START = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def job(job_id: int, start: float, end: float, scale_outs: tuple[int, int], *stages: StageSpan) -> JobSummary:
    return JobSummary(
        job_id=job_id,
        start_time=at(start),
        end_time=at(end),
        start_scale_out=scale_outs[0],
        end_scale_out=scale_outs[1],
        stages=len(stages),
        spans=list(stages),
    )


def stage(start: float, end: float, start_scale_out: int, end_scale_out: int) -> StageSpan:
    return StageSpan(
        start_time=at(start), end_time=at(end), start_scale_out=start_scale_out, end_scale_out=end_scale_out
    )


def decided(job_id: int, elapsed: float, current: int, chosen: int, **fields: Any) -> ScalingDecision:
    return ScalingDecision(
        id=f"decision-{job_id:03}",
        application_execution_id="e",
        job_id=job_id,
        decided_at=at(elapsed),
        elapsed_seconds=elapsed,
        current_scale_out=current,
        target_seconds=60.0,
        candidates=[Candidate(scale_out=n, remaining_seconds=100.0 / n) for n in (2, 3, 4, 5)],
        chosen_scale_out=chosen,
        reason="test",
        **fields,
    )


def run(state: ApplicationState = ApplicationState.COMPLETED, **fields: Any) -> ApplicationExecution:
    end = at(50) if state.is_final else None
    return ApplicationExecution(id="e", state=state, start_time=START, end_time=end, **specs(), **fields)


JOBS = [
    job(0, 2, 10, (2, 2)),
    job(1, 11, 25, (2, 4), stage(11, 15, 2, 3), stage(15, 20, 3, 4), stage(20, 25, 4, 4)),
    job(2, 26, 45, (4, 3)),
]


def outcomes(
    *decisions: ScalingDecision,
    jobs: list[JobSummary] = JOBS,
    state: ApplicationState = ApplicationState.COMPLETED,
) -> list[Fulfilment]:
    timeline = RunTimeline(run(state), jobs)
    replaced = replacements(decisions, timeline)
    return [outcome_of(each, replaced.get(each.id), timeline).status for each in decisions]


def test_the_moment_is_the_first_stage_that_saw_so_many_executors() -> None:
    decision = decided(0, 10, 2, 4)
    outcome = outcome_of(decision, None, RunTimeline(run(), JOBS))
    assert (outcome.status, outcome.carried_out, outcome.carried_out_at) == ("carried_out", True, at(20))
    assert outcome.carried_out_scale_out == 3, "what it had at the end"
    assert outcome.predicted_remaining_seconds == outcome.predicted_with_actual_scale_out_seconds == 25.0
    assert outcome.real_remaining_seconds == 40.0


def test_the_order_in_which_jobs_were_reported_does_not_matter() -> None:
    decision = decided(0, 10, 2, 4)
    forwards = outcome_of(decision, None, RunTimeline(run(), JOBS))
    assert outcome_of(decision, None, RunTimeline(run(), JOBS[::-1])) == forwards


def test_what_became_of_a_row_of_decisions() -> None:
    assert outcomes(
        decided(-1, 0, 2, 2), decided(0, 10, 2, 4), decided(1, 25, 4, 3), decided(2, 45, 3, 3)
    ) == ["carried_out", "carried_out", "carried_out", "unchanged"]
    assert outcomes(decided(-1, 0, 3, 5), decided(0, 10, 2, 4)) == ["replaced", "carried_out"]
    assert outcomes(decided(0, 10, 2, 5)) == ["not_carried_out"]
    assert outcomes(decided(0, 10, 2, 5), state=ApplicationState.RUNNING) == ["pending"]


def test_the_same_choice_again_replaces_nothing() -> None:
    assert outcomes(decided(0, 10, 2, 4), decided(1, 12, 2, 4), decided(2, 25, 4, 4)) == [
        "carried_out",
        "carried_out",
        "unchanged",
    ]


def test_what_happened_after_another_choice_is_not_the_first_one_s_merit() -> None:
    first, second = decided(0, 10, 2, 3), decided(1, 14, 2, 5)
    timeline = RunTimeline(run(), JOBS)
    outcome = outcome_of(first, replacements([first, second], timeline)[first.id], timeline)
    assert (outcome.status, outcome.carried_out, outcome.carried_out_at) == ("replaced", False, None)
    assert outcome.predicted_with_actual_scale_out_seconds == 50.0, "it had two until then"


def test_a_driver_that_was_replaced_is_no_witness() -> None:
    restarted = run(ApplicationState.RUNNING).model_copy(update={"start_time": at(300)})
    decision = decided(0, 10, 2, 4)
    timeline = RunTimeline(restarted, [job(0, 302, 310, (4, 4))])
    assert outcome_of(decision, None, timeline).status == "unknown"


@pytest.mark.parametrize("state", [ApplicationState.KILLED, ApplicationState.FAILED])
def test_a_run_that_did_not_complete_has_no_real_remaining_runtime(state: ApplicationState) -> None:
    decision = decided(0, 10, 2, 4)
    assert outcome_of(decision, None, RunTimeline(run(state), JOBS)).real_remaining_seconds is None


def test_interval_and_chance_follow_from_what_is_stored() -> None:
    candidate = Candidate(4, 50.0, 0.2).within(50.0)
    assert candidate.probability == pytest.approx(0.5)
    assert candidate.lower_seconds is not None
    assert candidate.upper_seconds is not None
    assert candidate.lower_seconds * candidate.upper_seconds == pytest.approx(50.0**2)
    assert 65 < candidate.upper_seconds < 75
    skewed = Candidate(scale_out=4, remaining_seconds=50.0, log_std=0.2, early_log_std=0.1)
    assert skewed.within(50.0).upper_seconds == candidate.upper_seconds
    assert skewed.within(50.0).lower_seconds == pytest.approx(50.0 * math.exp(-0.1 * 1.645), rel=1e-3)
    plain = Candidate(scale_out=4, remaining_seconds=50.0)
    assert plain.within(50.0) == plain


@pytest.mark.parametrize("jobs", [[], JOBS], ids=["nothing", "jobs"])
@pytest.mark.parametrize("state", [ApplicationState.RUNNING, ApplicationState.COMPLETED])
def test_the_picture_is_one_whatever_is_known(jobs: list[JobSummary], state: ApplicationState) -> None:
    decisions = [decided(-1, 0, 2, 2), decided(0, 10, 2, 4)] if jobs else []
    picture = ElementTree.fromstring(draw_run(RunTimeline(run(state), jobs), decisions))
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert ("chosen" in texts) == bool(jobs)
    assert ("real" in texts) == (state is ApplicationState.COMPLETED)
    marks = list(picture.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(marks) == 2 * len(decisions), "each decision with its choice and its forecast"


def heights_of_predictions(*decisions: ScalingDecision) -> list[float]:
    picture = ElementTree.fromstring(draw_run(RunTimeline(run(), JOBS), decisions))
    marks = list(picture.iter("{http://www.w3.org/2000/svg}circle"))
    return [float(each.attrib["cy"]) for each in marks[len(decisions) :]]


def test_the_picture_compares_with_what_was_expected_of_the_executors_that_the_run_had() -> None:
    """In shadow mode, and where a choice was not carried out, it had others than were chosen."""
    shadow = decided(2, 45, 3, 5).model_copy(update={"shadow": True})
    [unchanged] = heights_of_predictions(decided(2, 45, 3, 3))
    assert heights_of_predictions(shadow) == heights_of_predictions(decided(2, 45, 3, 5)) == [unchanged]


def test_decisions_are_told_apart_by_their_driver_and_counted_from_the_first_start() -> None:
    """A second driver started after 10 s; whatever was decided for the first one is not seen in its jobs."""
    retried = run(application_id="spark-2", first_start_time=at(-10))
    first = decided(0, 5, 2, 4, application_id="spark-1")
    second = decided(0, 20, 2, 4, application_id="spark-2")
    timeline = RunTimeline(retried, JOBS)
    replaced = replacements([first, second], timeline)
    found = [outcome_of(each, replaced.get(each.id), timeline) for each in (first, second)]
    assert [each.status for each in found] == ["unknown", "carried_out"]
    assert (timeline.moment_of(second), found[1].carried_out_at) == (at(10), at(20))
    assert found[1].real_remaining_seconds == 40.0


def test_one_pass_finds_what_a_search_for_each_decision_does() -> None:
    timeline = RunTimeline(run(ApplicationState.RUNNING), JOBS)
    choices = random.Random(0).choices([None, 2, 3, 4], k=300)
    row = [
        decided(number, float(number), 2, 2).model_copy(update={"chosen_scale_out": choice})
        for number, choice in enumerate(choices)
    ]
    expected = {}
    for number, decision in enumerate(row):
        others = (None, decision.chosen_scale_out)
        later = next((each for each in row[number + 1 :] if each.chosen_scale_out not in others), None)
        if later is not None and decision.chosen_scale_out is not None:
            expected[decision.id] = timeline.moment_of(later)
    assert replacements(row, timeline) == expected
    assert len(expected) > 100
