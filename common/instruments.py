"""What a service counts and times while it works, for `/metrics`; docs/metrics.md says what each means.

Labels take the values that are listed here and no others: names that users choose, as those of
algorithms, would make a time series each. All of them are shown from the start, so that the rate of
what has not happened yet is zero, and not missing.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from common.timing import FAILED, Timing

_ANSWER_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
_TRAINING_SECONDS = (1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0)
_ERROR_RATIOS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0)

MODEL, NONE, OTHER = "model", "none", "other"

SOURCES = (MODEL, "similar-runs", "context-model", "ernest", "bell", "ellis", OTHER)
"""What forecasts; `other` is what only another version of the service knows."""

PHASES = ("store", "read", "forecast", "wait", "fine_tune", "predict", "decide", "total")

UNKNOWN_EVENT = "unknown"
EVENTS = ("APPLICATION_START", "JOB_END", "APPLICATION_END", UNKNOWN_EVENT)

STORED, REPEATED = "stored", "repeated"
LATE_AFTER_END, LATE_ATTEMPT, LATE_JOB = "late_after_end", "late_of_earlier_attempt", "late_of_earlier_job"
REFUSED = "refused"
REPORT_RESULTS = (STORED, REPEATED, LATE_AFTER_END, LATE_ATTEMPT, LATE_JOB, REFUSED, FAILED)

MESSAGE_RESULTS = ("started", "repeated", "unreadable", "refused", "postponed")
SENT = ("request", "state", "result", "log", "dead_letter")
"""What the service sends to a broker."""

ANSWERED, NO_ANSWER, FULL = "answered", "no_answer", "full"
"""Of rows: answered; nothing that the model has an answer to; not taken, since too much waited."""

TRIAL_STATES = ("TERMINATED", "PRUNED", "ERROR", OTHER)

_VERDICTS: Mapping[bool | None, str] = {True: "met", False: "missed", None: NONE}

BUILD_READY, BUILD_FAILED, BUILD_LIMITED = "ready", "failed", "limit_reached"

_TRAINING_ENDS = ("SUCCEEDED", "FAILED", "CANCELLED")


class Instruments:
    """The counters and histograms of one service: several in a process do not add up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._make_of_answers()
        self._make_of_trainings()
        self._make_of_models()
        self._make_of_runs()
        self._make_of_environments()
        self._make_of_messages()
        self._make_of_serving()
        self.submissions = Gauge(
            "enel_submissions_in_progress", "Submissions that are being worked on.", registry=self.registry
        )

    def _make_of_answers(self) -> None:
        self._phases = self._histogram(
            "enel_recommendation_duration_seconds",
            "Duration of recommendations after a job, by phase.",
            _ANSWER_SECONDS,
            phase=PHASES,
        )
        self._recommendations = self._counter(
            "enel_recommendations_total",
            "Recommendations after a job, by what forecast the rest of the run.",
            source=(*SOURCES, NONE, FAILED),
        )
        self._first_choices = self._histogram(
            "enel_initial_scale_out_duration_seconds",
            "Duration of choices of a first scale-out, by what forecast the run.",
            _ANSWER_SECONDS,
            source=(*SOURCES, NONE, FAILED),
        )

    def _make_of_trainings(self) -> None:
        self.training_duration = self._histogram(
            "enel_training_duration_seconds",
            "Duration of trainings from the start of their last attempt, by the state they ended in.",
            _TRAINING_SECONDS,
            state=_TRAINING_ENDS,
        )
        self.training_wait = self._histogram(
            "enel_training_wait_seconds",
            "How long trainings were queued before their first attempt.",
            _TRAINING_SECONDS,
        )
        self._trials = self._counter(
            "enel_training_trials_total", "Trials of trainings, by how they ended.", state=TRIAL_STATES
        )
        self._promotions = self._counter(
            "enel_model_promotions_total",
            "Verdicts of the promotion gate about new model versions.",
            outcome=("promoted", "kept_back"),
        )

    def _make_of_models(self) -> None:
        self.cache_requests = self._counter(
            "enel_model_cache_requests_total",
            "Requests for a model version's files, by whether they were in memory.",
            result=("hit", "miss"),
        )
        self.model_loads = self._histogram(
            "enel_model_load_duration_seconds",
            "Duration of reading a model version's files from the store.",
            _ANSWER_SECONDS,
            result=("loaded", FAILED),
        )
        self.cache_evictions = self._counter(
            "enel_model_cache_evictions_total", "Model versions that left memory to make room for others."
        )

    def _make_of_runs(self) -> None:
        self._errors = self._histogram(
            "enel_forecast_error_ratio",
            "Mean absolute relative error of a completed run's forecasts, by what made them.",
            _ERROR_RATIOS,
            source=SOURCES,
        )
        self._intervals = self._counter(
            "enel_forecast_intervals_total",
            "90% intervals of completed runs' forecasts, by whether they held what came.",
            source=SOURCES,
            result=("held", "missed"),
        )
        self._ended_runs = self._counter(
            "enel_ended_runs_total",
            "Runs that have ended, by whether they met their runtime target.",
            target=tuple(_VERDICTS.values()),
        )
        self.reports = self._counter(
            "enel_reports_total", "Reports of listeners.", event=EVENTS, result=REPORT_RESULTS
        )

    def _make_of_environments(self) -> None:
        self._environment_builds = self._counter(
            "enel_environment_builds_total",
            "Builds of environments, by how they ended.",
            outcome=(BUILD_READY, BUILD_FAILED, BUILD_LIMITED),
        )
        self._environment_build_duration = self._histogram(
            "enel_environment_build_duration_seconds",
            "Duration of builds of environments, however they ended.",
            _TRAINING_SECONDS,
        )
        self.environment_cache_bytes = Gauge(
            "enel_environment_cache_bytes",
            "Size of all packed environments in the store.",
            registry=self.registry,
        )

    def _make_of_messages(self) -> None:
        self.messages = self._counter(
            "enel_training_messages_total",
            "Messages that asked for a training, by what became of them.",
            result=MESSAGE_RESULTS,
        )
        self.sent_messages = self._counter(
            "enel_sent_messages_total", "Messages that the broker has acknowledged.", kind=SENT
        )

    def _make_of_serving(self) -> None:
        self._rows = self._counter(
            "enel_predictions_total",
            "Rows that models of teams were asked, by what became of them.",
            result=(ANSWERED, NO_ANSWER, FAILED, FULL),
        )
        self._row_durations = self._histogram(
            "enel_prediction_duration_seconds",
            "Duration of questions to models of teams that were answered, waiting included.",
            _ANSWER_SECONDS,
        )
        self.feedback = self._counter(
            "enel_prediction_feedback_total",
            "What people have said of predictions of models of teams.",
            verdict=("right", "wrong"),
        )

    def count_rows(self, result: str, rows: int = 1) -> None:
        """Of a question to a model of a team.

        Args:
            result: ANSWERED, NO_ANSWER, FAILED or FULL.
        """
        self._rows.labels(result).inc(rows)

    def observe_question(self, seconds: float) -> None:
        """Of one that was answered, from when it had come to its answer."""
        self._row_durations.observe(seconds)

    def recommendation(self) -> Timing:
        """Times a recommendation from now on."""

        def count(source: str, seconds: Mapping[str, float]) -> None:
            self._recommendations.labels(source).inc()
            for phase, value in seconds.items():
                self._phases.labels(phase).observe(value)

        return Timing(count)

    def initial_scale_out(self) -> Timing:
        """Times the choice of a first scale-out from now on."""
        return Timing(lambda source, seconds: self._first_choices.labels(source).observe(seconds["total"]))

    def count_trial(self, state: str) -> None:
        self._trials.labels(state if state in TRIAL_STATES else OTHER).inc()

    def count_promotion(self, promoted: bool) -> None:
        self._promotions.labels("promoted" if promoted else "kept_back").inc()

    def count_environment_build(self, outcome: str, seconds: float) -> None:
        self._environment_builds.labels(outcome).inc()
        self._environment_build_duration.observe(seconds)

    def count_ended_run(self, target_met: bool | None) -> None:
        self._ended_runs.labels(_VERDICTS[target_met]).inc()

    def count_accuracy(self, model_key: str, error: float, held: int, missed: int) -> None:
        """Of one run's forecasts.

        Args:
            error: Their mean absolute relative error.
            held: Intervals that held what came.
        """
        source = source_label(model_key)
        self._errors.labels(source).observe(error)
        self._intervals.labels(source, "held").inc(held)
        self._intervals.labels(source, "missed").inc(missed)

    def _counter(self, name: str, meaning: str, **labels: Sequence[str]) -> Counter:
        counter = Counter(name, meaning, tuple(labels), registry=self.registry)
        _show_all(counter, labels)
        return counter

    def _histogram(
        self, name: str, meaning: str, buckets: Sequence[float], **labels: Sequence[str]
    ) -> Histogram:
        histogram = Histogram(name, meaning, tuple(labels), registry=self.registry, buckets=buckets)
        _show_all(histogram, labels)
        return histogram


@functools.cache
def unscraped() -> Instruments:
    """For whoever nobody scrapes, as benchmarks: one for all of them, since making one takes a while."""
    return Instruments()


def source_label(model_key: str | None) -> str:
    """What forecasts with this key are by; all versions of all models are one."""
    if not model_key:
        return NONE
    if "/" in model_key:
        return MODEL
    return model_key if model_key in SOURCES else OTHER


def _show_all(metric: Counter | Histogram, labels: Mapping[str, Sequence[str]]) -> None:
    for values in itertools.product(*labels.values()):
        if values:
            metric.labels(*values)
