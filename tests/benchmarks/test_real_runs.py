"""Plans, recordings and figures of `benchmarks/real_runs.py`, and two short runs on a real Spark."""

import json
import re
import signal
import socket
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from benchmarks.against import bodies
from benchmarks.real.applications import APPLICATIONS, SCALE_OUTS, Size
from benchmarks.real.executors import executor_seconds, executors_of
from benchmarks.real.intervals import mean_interval, ratio_interval, wilson
from benchmarks.real.loop import (
    DYNAMIC_ALLOCATION,
    LEARNERS,
    OURS,
    POLICIES,
    LoopPlan,
    LoopRun,
    _check_conditions,
    _of,
    failures,
    left_over,
    loop_plan,
    loop_runs,
)
from benchmarks.real.plan import EVERY, Disturbance, PlannedRun, plan
from benchmarks.real.platform import (
    Interference,
    NotMeasured,
    RunFailed,
    algorithm_of,
    running_platform,
    submission,
)
from benchmarks.real.progress import Progress, carry_out
from benchmarks.real.recording import recording_of
from benchmarks.real.recordings import (
    NotAnonymous,
    Recording,
    Store,
    check_anonymous,
    missing,
    recordings,
)
from benchmarks.real.report import complete_rounds, figures
from benchmarks.real.tap import running_tap
from benchmarks.real.targets import target_of
from benchmarks.real_runs import RECORDINGS
from benchmarks.reporting import open_console
from benchmarks.staged_application import make_runs
from common.executions.documents import ApplicationExecution, JobExecution
from common.processes.guarded import free_port
from common.settings.group import PROJECT_ROOT
from training.history.from_documents import to_run_record
from training.history.values import RunRecord

NAMES = list(APPLICATIONS)


def recording(run: RunRecord, planned: PlannedRun) -> Recording:
    """As the plugin would have reported a run."""
    start, *ends = bodies("execution", run)
    jobs = [end["updates"] for end in ends]
    end_time = start["updates"]["start_time"] + round(1000 * (run.runtime_seconds or 0))
    specs = submission(planned.application, APPLICATIONS[planned.application].sizes[planned.size])
    return Recording(
        planned=planned,
        submission=specs,
        started=start["updates"],
        jobs=jobs,
        ended={"outcome": "COMPLETED", "end_time": end_time, "ended_jobs": len(jobs)},
        runtime_seconds=run.runtime_seconds or 0.0,
        executor_seconds=4 * (run.runtime_seconds or 0.0),
        injected={"neighbour": False},
    )


# --- the plan -----------------------------------------------------------------------------------


def test_any_prefix_of_the_plan_is_balanced() -> None:
    runs = plan(NAMES, 60, seed=0)
    for length in range(1, len(runs) + 1):
        of_application = Counter(run.application for run in runs[:length])
        assert max(of_application.values()) - min(of_application[name] for name in NAMES) <= 1
    for name in NAMES:
        own = [run for run in runs if run.application == name]
        assert [run.number for run in own] == list(range(60))
        for length in range(1, len(own) + 1):
            scale_outs = Counter(run.scale_out for run in own[:length])
            sizes = Counter(run.size for run in own[:length])
            assert max(scale_outs.values()) - min(scale_outs[x] for x in SCALE_OUTS) <= 1
            assert max(sizes.values()) - min(sizes[size] for size in range(3)) <= 2
        for first in range(0, 54, 18):
            assert len({(run.scale_out, run.size) for run in own[first : first + 18]}) == 18
        for first in range(0, 56, EVERY):
            disturbed = Counter(run.disturbance for run in own[first : first + EVERY])
            assert disturbed[Disturbance.EXECUTOR_KILLED] == disturbed[Disturbance.NEIGHBOUR] == 1
            assert sum(run.rescale_to is not None for run in own[first : first + EVERY]) == 1
    assert all(run.rescale_to != run.scale_out for run in runs)


def test_more_runs_only_add_to_the_plan() -> None:
    assert plan(NAMES, 60, seed=3)[: 5 * 7] == plan(NAMES, 7, seed=3)
    assert plan(NAMES, 7, seed=4) != plan(NAMES, 7, seed=3)


def test_policies_take_turns_and_lose_executors_in_the_same_runs() -> None:
    runs, each_round = list(loop_plan(["KMeans", "MPC"], 20)), 2 * len(POLICIES)
    rounds = [runs[first : first + each_round] for first in range(0, len(runs), each_round)]
    assert all(
        {(run.policy, run.number) for run in each} == {(p, n) for p in POLICIES}
        for n, each in enumerate(rounds)
    )
    killed = {
        policy: [r.number for r in runs if r.policy == policy and r.executor_killed] for policy in POLICIES
    }
    assert all(numbers == killed[OURS] for numbers in killed.values())
    assert [number // 5 for number in sorted(set(killed[OURS]))] == [0, 1, 2, 3]
    # Neither the place in a round nor who went before stands for a policy, or for a kill.
    places = {policy: {[r.policy for r in each].index(policy) for each in rounds} for policy in POLICIES}
    assert all(len(found) >= 4 for found in places.values())
    before = {(one.policy, other.policy) for each in rounds for one, other in pairwise(each[::2])}
    assert len(before) > 2 * len(POLICIES)
    assert list(loop_plan(["KMeans", "MPC"], 7)) == runs[: 7 * each_round]


# --- recordings ---------------------------------------------------------------------------------


def test_a_stored_run_reads_back_as_the_run_that_it_was(tmp_path: Path) -> None:
    store, runs = Store(tmp_path), make_runs(3)
    for number, run in enumerate(runs):
        planned = PlannedRun("KMeans", number, run.jobs[0].start_scale_out, 1)
        store.add("KMeans", recording(run, planned).document())
    for stored, run in zip(recordings(store, "KMeans"), runs, strict=True):
        found = stored.record()
        assert found.run_id == str(stored.planned.number)
        assert found.context.algorithm_args == tuple(map(str, APPLICATIONS["KMeans"].sizes[1].arguments))
        assert found.runtime_seconds == pytest.approx(run.runtime_seconds, abs=0.002)
        assert len(found.jobs) == len(run.jobs)
        for job, true in zip(found.jobs, run.jobs, strict=True):
            assert job.start_seconds == pytest.approx(true.start_seconds, abs=0.002)
            assert job.runtime_seconds == pytest.approx(true.runtime_seconds, abs=0.002)
            assert (job.start_scale_out, job.end_scale_out) == (true.start_scale_out, true.end_scale_out)
            for stage, known in zip(job.stages, true.stages, strict=True):
                assert (stage.name, stage.num_tasks, stage.parent_ids) == (
                    known.name, known.num_tasks, known.parent_ids,
                )  # fmt: skip
                assert stage.runtime_seconds == pytest.approx(known.runtime_seconds, abs=0.002)
                assert stage.metrics == pytest.approx(known.metrics, abs=1e-8)


def test_what_is_recorded_is_not_recorded_again(tmp_path: Path) -> None:
    store, planned = Store(tmp_path), plan(["KMeans", "MPC"], 3, seed=0)
    run = make_runs(1, jobs=2)[0]
    for done in (planned[1], planned[4]):
        store.add(done.application, recording(run, done).document())
    assert missing(planned, store) == [planned[0], planned[2], planned[3], planned[5]]
    with pytest.raises(SystemExit, match="another seed"):
        missing([replace(planned[1], scale_out=planned[1].scale_out % 6 + 1)], store)


def test_a_file_that_was_being_written_loses_nothing(tmp_path: Path) -> None:
    store, run = Store(tmp_path), make_runs(1, jobs=2)[0]
    first = recording(run, PlannedRun("MPC", 0, 1, 0))
    store.add("MPC", first.document())
    (tmp_path / "MPC.jsonl.tmp").write_bytes(b"half of it")
    assert [each.planned.number for each in recordings(store, "MPC")] == [0]
    store.add("MPC", replace(first, planned=PlannedRun("MPC", 1, 1, 0)).document())
    assert [each.planned.number for each in recordings(store, "MPC")] == [0, 1]
    assert store.applications() == ["MPC"]


def test_recordings_say_nothing_of_the_machine() -> None:
    run = make_runs(1, jobs=2)[0]
    made = recording(run, PlannedRun("Sales", 0, 2, 1))
    stage = next(iter(made.jobs[0]["stages"].values()))
    stage["stage_name"] = f"collect at {PROJECT_ROOT}/examples/sales.py:80"
    assert "collect at examples/sales.py:80" in json.dumps(made.document())
    stage["stage_name"] = "map at /usr/lib/python3/site-packages/pyspark/rdd.py:3"
    assert "map at pyspark/rdd.py:3" in json.dumps(made.document())
    lost = "FetchFailed: java.nio.file.NoSuchFileException: /tmp/spark-1/blockmgr-2/26/shuffle_5_89_0.index"
    stage["failure_reason"] = f"{lost}\n\tat java.base/sun.nio.fs.UnixException.translate"
    first = next(iter(made.document()["jobs"][0]["stages"].values()))
    assert first["failure_reason"].endswith("NoSuchFileException: shuffle_5_89_0.index")
    stage["stage_name"] = "collect at /home/somebody/sales.py:80"
    with pytest.raises(NotAnonymous, match="/home/somebody"):
        made.document()


def test_recordings_that_are_kept_say_nothing_of_a_machine() -> None:
    store = Store(RECORDINGS)
    assert (RECORDINGS / "README.md").is_file()
    for application in store.applications():
        assert application in APPLICATIONS
        for document in store.documents(application):
            check_anonymous(document)
            text = json.dumps(document)
            assert not re.search(r"/(home|root|tmp|usr|opt|work|var|Users)/", text)


def test_executor_seconds_are_the_integral_of_the_executors() -> None:
    log = """\
2026-11-29T10:00:01.000 INFO Worker: Asked to launch executor app-1/0 for KMeans
2026-11-29T10:00:01.000 INFO Worker: Asked to launch executor app-1/1 for KMeans
2026-11-29T10:00:02.000 INFO Worker: Asked to launch executor app-2/0 for Other
2026-11-29T10:00:06.500 INFO Worker: Executor app-1/0 finished with state KILLED exitStatus 137
2026-11-29T10:00:07.000 INFO Worker: Asked to launch executor app-1/2 for KMeans
""".splitlines()
    found = executors_of("app-1", log)
    ended_at = found[2].launched_at + 4.0
    assert executor_seconds(found.values(), ended_at) == pytest.approx(5.5 + 10.0 + 4.0)


# --- the loop -----------------------------------------------------------------------------------


def plain(scale_out: int, seconds: float, number: int = 0) -> Recording:
    made = recording(make_runs(1, jobs=2)[0], PlannedRun("KMeans", number, scale_out, 1))
    return replace(made, runtime_seconds=seconds)


def test_the_target_is_kept_by_some_scale_outs() -> None:
    recorded = [plain(x, 6.0 + 36.0 / x) for x in SCALE_OUTS]
    slow = [
        replace(each, planned=replace(each.planned, disturbance=Disturbance.NEIGHBOUR)) for each in recorded
    ]
    target = target_of([*recorded, *(replace(each, runtime_seconds=900.0) for each in slow)])
    assert target.seconds == pytest.approx(1.1 * 18.0, abs=0.2)
    assert target.static_scale_out == 3
    assert target.share_met == {1: 0.0, 2: 0.0, 3: 1.0, 4: 1.0, 5: 1.0, 6: 1.0}
    assert target.separates
    assert not target_of([plain(x, 20.0) for x in SCALE_OUTS]).separates
    assert not target_of([plain(x, 20.0 + 5.0 * x) for x in SCALE_OUTS]).separates  # one executor is best
    with pytest.raises(SystemExit, match="record more"):
        target_of(recorded[:2])


def loop_run(policy: str, number: int, seconds: float, used: float) -> LoopRun:
    made = replace(plain(2, seconds, number), executor_seconds=used)
    return LoopRun(policy, number, 20.0, number % 5 == 4, 3, 1, made)


def test_the_loop_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    store, planned = Store(tmp_path), list(loop_plan(["KMeans"], 2))
    done = loop_run(planned[0].policy, 0, 18.0, 60.0)
    store.add("KMeans", done.document())
    assert left_over(planned, store) == planned[1:]
    (stored,) = loop_runs(store, "KMeans")
    assert stored == LoopRun.of(done.document())
    assert (stored.met, len(stored.recording.record().jobs)) == (True, len(done.recording.jobs))


def test_what_did_not_complete_is_missed_and_not_run_again(tmp_path: Path) -> None:
    store, planned, said = Store(tmp_path), list(loop_plan(["KMeans"], 1)), []

    def run(each: LoopPlan) -> str:
        if each.policy == OURS:
            raise RunFailed("it ended as FAILED")
        if each.policy == DYNAMIC_ALLOCATION:
            raise NotMeasured("its driver has not reported its end")
        store.add("KMeans", loop_run(each.policy, each.number, 18.0, 60.0).document())
        return "met"

    def failed(each: LoopPlan, failure: RunFailed) -> None:
        said.append((each.policy, str(failure)))
        Store(tmp_path / "failed").add("KMeans", {"policy": each.policy, "number": each.number})

    carry_out(planned, lambda each: each.policy, run, open_console(), failed)
    assert said == [(OURS, "it ended as FAILED")]
    assert [each.policy for each in left_over(planned, store)] == [DYNAMIC_ALLOCATION]
    assert failures(store, "KMeans") == {OURS: 1}
    runs = [loop_run(policy, n, 18.0, 50.0) for policy in POLICIES for n in range(9)]
    found = figures(complete_rounds(runs), {OURS: 1})
    assert (found[OURS]["met"]["value"], found[OURS]["failed"]) == (0.9, 1)
    assert found[DYNAMIC_ALLOCATION]["met"]["value"] == 1.0


def test_a_loop_goes_on_under_its_own_conditions_alone(tmp_path: Path) -> None:
    store, history = Store(tmp_path), [plain(x, 6.0 + 36.0 / x) for x in SCALE_OUTS]
    target = target_of(history)
    for _ in range(2):
        _check_conditions(store, "KMeans", target, history, 8)
    with pytest.raises(SystemExit, match="trials"):
        _check_conditions(store, "KMeans", target, history, 9)
    more = [*history, plain(3, 30.0)]
    with pytest.raises(SystemExit, match=r"target_seconds.*recordings.*sha256"):
        _check_conditions(store, "KMeans", target_of(more), more, 8)


def test_a_run_belongs_to_the_history_of_each_learner() -> None:
    made = plain(3, 18.0)
    pieces = [_of(algorithm_of("KMeans", learner), made) for learner in LEARNERS.values()]
    names = [piece["specs"]["global_specs"]["algorithm_name"] for piece in pieces]
    assert names == ["KMeans-ours", "KMeans-margin", "KMeans-ellis"]
    assert len({piece["started"]["application_id"] for piece in pieces}) == 3
    assert made.submission["global_specs"]["algorithm_name"] == "KMeans"
    body = submission("KMeans", APPLICATIONS["KMeans"].sizes[1], "ours")
    assert body["spark_template_values"]["main_application_file"].endswith("kmeans.py")


def test_figures_of_policies_have_known_values() -> None:
    runs = [
        loop_run(policy, number, 18.0 if number % 2 else 22.0, 50.0 if policy == OURS else 100.0)
        for policy in POLICIES
        for number in range(10)
    ]
    by = complete_rounds([*runs, loop_run(OURS, 10, 1.0, 1.0)])  # a round that is not complete counts nowhere
    found = figures(by)
    assert found[OURS]["runs"] == 10
    assert found[OURS]["met"]["value"] == 0.5
    assert found[OURS]["over_dynamic_allocation"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert found[DYNAMIC_ALLOCATION]["executor_seconds"]["value"] == 100.0
    assert found[OURS]["met_killed"]["value"] == 0.5
    assert complete_rounds([loop_run(OURS, 0, 18.0, 50.0)]) == {}


def test_intervals_have_known_values() -> None:
    # Wilson's, as in tables of it.
    assert (wilson(8, 10).low, wilson(8, 10).high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert (wilson(0, 20).low, wilson(0, 20).high) == pytest.approx((0.0, 0.1611), abs=1e-4)
    values = [float(value) for value in range(1, 101)]
    mean = mean_interval(values)
    assert mean.value == 50.5
    # The mean's standard error is 2.887.
    assert (mean.low, mean.high) == pytest.approx((50.5 - 1.96 * 2.887, 50.5 + 1.96 * 2.887), abs=0.3)
    # Rounds are drawn together: what is proportional has no uncertainty.
    ratio = ratio_interval([2 * value for value in values], values)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2.0, 2.0, 2.0))
    for wrong in (lambda: wilson(1, 0), lambda: mean_interval([]), lambda: ratio_interval([1.0], [0.0])):
        with pytest.raises(ValueError, match=r"share|mean|positive"):
            wrong()


def test_progress_says_what_is_left() -> None:
    now = iter([0.0, 60.0, 180.0])
    console = open_console()
    progress = Progress(console, 3, lambda: next(now))
    with console.capture() as said:
        progress.done("first", "20.0 s")
        progress.done("second", "40.0 s")
    assert said.get().splitlines() == [
        "first: 20.0 s. 2 left, about 2 min.",
        "second: 40.0 s. 1 left, about 2 min.",
    ]


def test_a_report_that_was_cut_is_no_report() -> None:
    """And the next one is answered, also of a run that the service knows nothing of."""
    with running_tap(free_port()) as tap, httpx.Client(base_url=f"http://127.0.0.1:{tap.port}") as http:
        watched = tap.watch("plain-1")
        watched.known_to_service = False
        start, job, *_ = bodies("plain-1", make_runs(1, jobs=2)[0])
        with socket.create_connection(("127.0.0.1", tap.port)) as cut:
            cut.sendall(b"POST /training/update_information HTTP/1.1\r\nContent-Length: 900\r\n\r\n{")
        assert http.post("/training/update_information", json=start).is_success
        asked = http.post("/prediction/online_scale_out_prediction", json={**job, "predict": True})
        assert asked.json()["best_predicted_scale_out_per_job"] == []
        watched.rescale_to = 5
        asked = http.post("/prediction/online_scale_out_prediction", json={**job, "predict": True})
        assert asked.json()["best_predicted_scale_out_per_job"][0] == [1, 5]
        order = []
        watched.after_job = order.append
        for path in ("/training/update_information",) * 2:  # the same again, too
            assert http.post(path, json=job).is_success
        assert order == [0, 0]
    assert watched.started == start["updates"] | {"application_id": "spark-plain-1"}
    assert (list(watched.jobs), watched.asked) == ([0], [5])


# --- on a real Spark ----------------------------------------------------------------------------


@pytest.mark.spark
@pytest.mark.service
@pytest.mark.long
@pytest.mark.timeout(480)
def test_runs_of_the_service_and_past_it_are_measured_alike(tmp_path: Path) -> None:
    """One is rescaled and loses an executor; the other is run by Spark's own dynamic allocation."""
    tiny = Size(("--iterations", 5, "--partitions", 6, "--read-seconds-per-partition", 0.3), 1, "tiny")
    body = submission("KMeans", tiny)
    body["global_specs"] |= {"solution_name": "enel"}
    store, interrupted = Store(tmp_path), signal.getsignal(signal.SIGINT)
    with running_platform() as platform:
        asked = {**body, "initial_scale_out_policy": "requested"}
        measured = platform.submit(asked, Interference(Disturbance.EXECUTOR_KILLED, 1, rescale_to=2))
        store.add("KMeans", recording_of(PlannedRun("KMeans", 0, 1, 0), measured).document())
        known = platform.client.applications()["items"][0]
        execution = ApplicationExecution.model_validate(platform.client.application(known["_id"]))
        jobs = platform.client.jobs(known["_id"])["items"]
        piece = recordings(store, "KMeans")[0].piece
        imported = platform.client.import_run(
            {**piece, "started": {**piece["started"], "application_id": "app-1"}}
        )
        assert (imported["state"], imported["jobs"]) == ("COMPLETED", len(jobs))
        again = platform.client.jobs(imported["application_execution_id"])["items"]
        past = platform.submit_to_spark(body, Interference())
        assert len(platform.client.applications()["items"]) == 2  # the one that it ran, and what was imported
    assert signal.getsignal(signal.SIGINT) is interrupted
    assert measured.watched.asked
    assert set(measured.watched.asked) == {2}
    assert "executor_killed_seconds" in measured.injected
    # What is stored is what the service has learned from.
    stored = recordings(store, "KMeans")[0]
    found = stored.record()
    true = to_run_record(execution, [JobExecution.model_validate(job) for job in jobs])
    assert replace(found, run_id=true.run_id, jobs=()) == replace(true, jobs=())
    assert [len(job["stages"]) for job in again] == [len(job["stages"]) for job in jobs]
    names = {stage.name.rpartition("/")[2] for job in true.jobs for stage in job.stages}
    assert {stage.name.rpartition("/")[2] for job in found.jobs for stage in job.stages} == names
    assert [job.end_scale_out for job in found.jobs] == [job.end_scale_out for job in true.jobs]
    # The second run, which nobody but Spark has rescaled.
    assert len(past.watched.jobs) == len(measured.watched.jobs)
    assert not past.watched.asked
    scale_outs = [job["start_scale_out"] for _, job in sorted(past.watched.jobs.items())]
    assert scale_outs == sorted(scale_outs)
    assert scale_outs[0] < past.executors  # it began with few, and asked for more
    # Nor was it kept waiting for executors that dynamic allocation does not ask for.
    first = min(job["start_time"] for job in past.watched.jobs.values())
    assert first / 1000 - past.started_at < 25.0
    for run in (measured, past):
        most = max(job["end_scale_out"] for job in run.watched.jobs.values())
        assert 0 < run.executor_seconds <= (most + 1) * run.runtime_seconds
