"""Runs of pipelines as they are stored."""

from submission.pipelines.documents import PipelineRun, PipelineStep, StepState
from tests.support.samples import unique_name


def pipeline_run(application_execution_id: str) -> PipelineRun:
    """One that has ended, whose only step was this run."""
    step = PipelineStep(
        name="training",
        said={"file": "train.py"},
        snapshot_id="0" * 64,
        state=StepState.SUCCEEDED,
        application_execution_id=application_execution_id,
    )
    return PipelineRun(
        id=unique_name("pipeline"),
        workspace="known",
        folder=".",
        file="pipeline.yaml",
        result_step="training",
        steps=[step],
        state="SUCCEEDED",
    )
