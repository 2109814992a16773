"""Events that no listener can have meant, each with what is wrong about it."""

import math
from typing import Any

from tests.support.samples import application_start, job_end, stage

IMPOSSIBLE: list[tuple[str, dict[str, Any]]] = [
    ("negative job", {**job_end("e", 0), "job_id": -1}),
    ("job without id", {k: v for k, v in job_end("e", 0).items() if k != "job_id"}),
    ("ids that disagree", {**job_end("e", 0), "job_id": 1}),
    ("other application", job_end("e", 0, application_id="spark-1") | {"application_id": 3}),
    ("unknown event", {**job_end("e", 0), "update_event": "JOB_BEGIN"}),
    ("job without end", job_end("e", 0, end_time=None)),
    ("end before start", job_end("e", 0, start_time=2_000, end_time=1_000)),
    ("no executors", job_end("e", 0, start_scale_out=0)),
    ("negative executors", job_end("e", 0, end_scale_out=-2)),
    ("huge executors", job_end("e", 0, end_scale_out=10**30)),
    ("a share above one", job_end("e", 0, rescaling_time_ratio=1.5)),
    ("a share that is no number", job_end("e", 0, rescaling_time_ratio=math.nan)),
    ("a time after all times", job_end("e", 0, end_time=10**30)),
    ("a time before 1970", job_end("e", 0, start_time="1960-01-01T00:00:00Z")),
    ("a time that is none", job_end("e", 0, start_time="yesterday")),
    ("negative stage", job_end("e", 0, stages={"-1": None})),
    ("stage that is no number", job_end("e", 0, stages={"x": None})),
    ("stage under another's id", job_end("e", 0, stages={"1": stage(2, 1, 2)})),
    (
        "NaN metrics",
        job_end("e", 0, stages={"1": {**stage(1, 1, 2), "metrics": {"cpu_utilization": math.nan}}}),
    ),
    ("infinite metrics", job_end("e", 0, stages={"1": {"metrics": {"gc_time_ratio": math.inf}}})),
    ("negative metrics", job_end("e", 0, stages={"1": {"metrics": {"gc_time_ratio": -0.1}}})),
    ("stage end before start", job_end("e", 0, stages={"1": stage(1, 2_000, 1_000)})),
    ("updates that are no JSON", {**job_end("e", 0), "updates": "{"}),
    ("updates nested too deep", {**job_end("e", 0), "updates": "[" * 100_000}),
    ("updates that are a list", {**job_end("e", 0), "updates": []}),
    ("start without time", application_start("e", start_time=None)),
    ("true for a number", job_end("e", 0, start_scale_out=True)),
    ("true for an id", {**job_end("e", 1), "job_id": True}),
    ("ids that only Python holds equal", job_end("e", 1, job_id=True)),
]
