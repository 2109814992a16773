"""All routes of the API, with what each needs."""

from collections.abc import Mapping

from common.auth import Permission

READ, SUBMIT, OPERATE, ADMINISTER, REPORT = (
    Permission.READ,
    Permission.SUBMIT,
    Permission.OPERATE,
    Permission.ADMINISTER,
    Permission.REPORT,
)

APPLICATION = "/submission/applications/{application_execution_id}"
SCHEDULE = "/submission/schedules/{name}"
VERSION = "/models/{name}/versions/{version}"
WORKSPACE = "/workspaces/{workspace}"
FILE = f"{WORKSPACE}/files/{{path}}"
SNAPSHOT = f"{WORKSPACE}/snapshots/{{snapshot_id}}"
ENVIRONMENT = "/environments/{environment_id}"
ALIAS = "/models/{name}/aliases/{alias}"

SERVED = "/serving/{model}"
V2_MODEL = "/v2/models/{model}"

PROGRAMS = "/training/programs/{workspace}"
PROGRAM_RUN = "/training/program_runs/{application_execution_id}"
PIPELINE_RUN = "/training/pipelines/{pipeline_run_id}"

ROUTES: Mapping[tuple[str, str], tuple[Permission | None, int]] = {
    ("POST", "/submission/submit"): (SUBMIT, 422),
    ("GET", "/submission/applications"): (READ, 200),
    ("GET", "/submission/applications/summary"): (READ, 200),
    ("GET", APPLICATION): (READ, 404),
    ("DELETE", APPLICATION): (SUBMIT, 404),
    ("GET", f"{APPLICATION}/jobs"): (READ, 404),
    ("GET", f"{APPLICATION}/decisions"): (READ, 404),
    ("GET", f"{APPLICATION}/picture.svg"): (READ, 404),
    ("GET", f"{APPLICATION}/logs"): (READ, 404),
    ("POST", "/submission/schedules"): (SUBMIT, 422),
    ("GET", "/submission/schedules"): (READ, 200),
    ("GET", SCHEDULE): (READ, 404),
    ("PUT", SCHEDULE): (SUBMIT, 422),
    ("DELETE", SCHEDULE): (SUBMIT, 404),
    ("POST", f"{SCHEDULE}/pause"): (SUBMIT, 404),
    ("POST", f"{SCHEDULE}/resume"): (SUBMIT, 404),
    ("POST", f"{SCHEDULE}/run"): (SUBMIT, 404),
    ("POST", "/prediction/initial_scale_out"): (SUBMIT, 422),
    ("POST", "/prediction/online_scale_out_prediction"): (REPORT, 422),
    ("GET", "/prediction/preload/{base_name}"): (READ, 404),
    ("POST", "/training/update_information"): (REPORT, 422),
    ("POST", "/training/import"): (SUBMIT, 422),
    ("POST", "/training/trigger_model_training"): (SUBMIT, 422),
    ("GET", "/training/runs"): (READ, 200),
    ("GET", "/training/schedules"): (READ, 200),
    ("GET", "/training/runs/{run_id}"): (READ, 404),
    ("GET", "/training/runs/{run_id}/events"): (READ, 404),
    ("POST", "/training/runs/{run_id}/cancel"): (SUBMIT, 404),
    ("GET", "/models"): (READ, 200),
    ("GET", "/models/{name}"): (READ, 404),
    ("GET", "/models/{name}/versions"): (READ, 404),
    ("GET", VERSION): (READ, 404),
    ("POST", f"{VERSION}/verify"): (OPERATE, 404),
    ("DELETE", VERSION): (OPERATE, 404),
    ("PUT", ALIAS): (OPERATE, 422),
    ("DELETE", ALIAS): (OPERATE, 404),
    ("PUT", WORKSPACE): (SUBMIT, 422),
    ("GET", "/workspaces"): (READ, 200),
    ("GET", WORKSPACE): (READ, 422),
    ("DELETE", WORKSPACE): (SUBMIT, 422),
    ("GET", f"{WORKSPACE}/files"): (READ, 422),
    ("PUT", FILE): (SUBMIT, 422),
    ("GET", FILE): (READ, 422),
    ("DELETE", FILE): (SUBMIT, 422),
    ("POST", f"{WORKSPACE}/archive"): (SUBMIT, 422),
    ("GET", f"{WORKSPACE}/archive"): (READ, 422),
    ("GET", SNAPSHOT): (READ, 422),
    ("GET", f"{SNAPSHOT}/archive"): (READ, 422),
    ("POST", f"{PROGRAMS}/runs"): (SUBMIT, 422),
    ("GET", f"{PROGRAMS}/runs"): (READ, 422),
    ("GET", "/training/messages"): (READ, 200),
    ("POST", f"{PROGRAMS}/pipelines"): (SUBMIT, 422),
    ("POST", "/digits/train"): (SUBMIT, 422),
    ("GET", f"{PROGRAMS}/pipelines"): (READ, 422),
    ("GET", PROGRAM_RUN): (READ, 404),
    ("POST", f"{PROGRAM_RUN}/cancel"): (SUBMIT, 404),
    ("GET", f"{PROGRAM_RUN}/result"): (READ, 404),
    ("GET", f"{PROGRAM_RUN}/output/{{path}}"): (READ, 404),
    ("POST", f"{PROGRAM_RUN}/start"): (REPORT, 403),
    ("GET", f"{PROGRAM_RUN}/archives/snapshot"): (REPORT, 403),
    ("GET", f"{PROGRAM_RUN}/archives/parent"): (REPORT, 403),
    ("GET", f"{PROGRAM_RUN}/archives/inputs/{{name}}"): (REPORT, 403),
    ("GET", f"{PROGRAM_RUN}/environment"): (REPORT, 403),
    ("POST", f"{PROGRAM_RUN}/progress"): (REPORT, 403),
    ("POST", f"{PROGRAM_RUN}/output"): (REPORT, 403),
    ("PUT", f"{PROGRAM_RUN}/output/parts/{{sha256}}"): (REPORT, 403),
    ("POST", f"{PROGRAM_RUN}/output/complete"): (REPORT, 403),
    ("POST", f"{PROGRAM_RUN}/end"): (REPORT, 403),
    ("POST", "/train/{user}"): (SUBMIT, 404),
    ("GET", "/logs/{user}"): (READ, 404),
    ("GET", f"{PROGRAM_RUN}/archives/feedback"): (REPORT, 403),
    ("POST", f"{WORKSPACE}/versions"): (SUBMIT, 422),
    ("GET", "/serving"): (READ, 200),
    ("GET", SERVED): (READ, 404),
    ("PUT", SERVED): (SUBMIT, 422),
    ("DELETE", SERVED): (SUBMIT, 404),
    ("POST", f"{SERVED}/predict"): (READ, 404),
    ("POST", f"{SERVED}/feedback"): (READ, 422),
    ("POST", f"{SERVED}/bulk"): (SUBMIT, 422),
    ("GET", f"{SERVED}/predictions"): (READ, 404),
    ("GET", f"{SERVED}/predictions/{{prediction_id}}/files/{{field}}"): (READ, 404),
    ("GET", "/v2"): (None, 200),
    ("GET", "/v2/health/live"): (None, 200),
    ("GET", "/v2/health/ready"): (None, 200),
    ("GET", V2_MODEL): (READ, 404),
    ("GET", f"{V2_MODEL}/ready"): (READ, 404),
    ("POST", f"{V2_MODEL}/infer"): (READ, 404),
    ("GET", f"{V2_MODEL}/versions/{{version}}"): (READ, 404),
    ("GET", f"{V2_MODEL}/versions/{{version}}/ready"): (READ, 404),
    ("POST", f"{V2_MODEL}/versions/{{version}}/infer"): (READ, 404),
    ("POST", "/predict/{user}"): (READ, 404),
    ("POST", "/predict"): (READ, 409),
    ("POST", "/digits/classify"): (READ, 404),
    ("POST", "/feedback"): (READ, 422),
    ("GET", PIPELINE_RUN): (READ, 404),
    ("POST", f"{PIPELINE_RUN}/cancel"): (SUBMIT, 404),
    ("GET", f"{PIPELINE_RUN}/result"): (READ, 404),
    ("GET", "/environments"): (READ, 200),
    ("GET", ENVIRONMENT): (READ, 404),
    ("GET", f"{ENVIRONMENT}/log"): (READ, 404),
    ("POST", f"{ENVIRONMENT}/build"): (SUBMIT, 404),
    ("POST", "/access/tokens"): (ADMINISTER, 422),
    ("GET", "/access/tokens"): (ADMINISTER, 200),
    ("GET", "/access/tokens/{token_id}"): (ADMINISTER, 404),
    ("DELETE", "/access/tokens/{token_id}"): (ADMINISTER, 404),
    ("GET", "/access/me"): (None, 200),
    ("POST", "/access/session"): (None, 422),
    ("DELETE", "/access/session"): (None, 204),
    ("GET", "/healthz"): (None, 200),
    ("GET", "/readyz"): (None, 200),
    ("GET", "/metrics"): (None, 200),
}
"""What each route needs (None: nothing), and how it answers who may to a request without a body."""
