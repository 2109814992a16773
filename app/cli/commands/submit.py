"""`enel submit`: an application, from a file or from options."""

import typer

from app.cli import body_options as body
from app.cli import console
from app.cli.commands.waiting import wait_for_application
from app.cli.exits import CliError, ExitCode
from app.cli.session import AsJson, session
from app.cli.submission_body import said_options, submission_body
from app.cli.units import duration
from app.cli.views.submissions import submission_view
from app.client.answers import ApplicationDetails, Submission
from common.yaml_text import yaml_of


def submit(
    context: typer.Context,
    file: body.File = None,
    algorithm: body.Algorithm = None,
    experiment: body.Experiment = None,
    main_file: body.MainFile = None,
    main_class: body.MainClass = None,
    image: body.Image = None,
    arguments: body.Arguments = None,
    data_size_mb: body.DataSize = None,
    target: body.Target = None,
    minimum: body.Minimum = None,
    maximum: body.Maximum = None,
    scale_out: body.ScaleOut = None,
    cores: body.Cores = None,
    memory: body.Memory = None,
    solution: body.Solution = None,
    name: body.Name = None,
    assignments: body.Assignments = None,
    idempotency_key: body.IdempotencyKey = None,
    require_feasible: body.RequireFeasible = False,
    dry_run: body.DryRun = False,
    print_manifest: body.PrintManifest = False,
    wait: body.Wait = False,
    require_target: body.RequireTarget = False,
    as_json: AsJson = False,
) -> None:
    """Submit an application.

    Fields come from FILE, options replace them, --set replaces any.
    """
    if require_target and not wait:
        raise CliError("--require-target needs --wait.", "Say both, or neither.")
    document = submission_body(file, said_options(context.params), assignments or ())
    starts_nothing = dry_run or print_manifest
    with session(context).client() as client:
        answer = client.submit(
            document,
            dry_run=starts_nothing,
            require_feasible=require_feasible,
            idempotency_key=idempotency_key,
        )
        if print_manifest:
            console.print_text(yaml_of(answer["template_code"]))
            return
        if not wait or starts_nothing:
            console.show(answer, lambda found: submission_view(found, dry_run), as_json=as_json)
            _check_verdict(answer)
            return
        ended = wait_for_application(client, answer["db_entry"]["_id"], as_json=as_json)
    _check(ended, require_target)


def _check_verdict(answer: Submission) -> None:
    """Raises CliError where it was only tried, and the platform would refuse it."""
    verdict = answer["k8s_api_response"]
    if not verdict.get("accepted", True):
        reason = verdict.get("reason") or "it says no more"
        raise CliError(f"The platform refuses it: {reason}", code=ExitCode.REFUSED)


def _check(ended: ApplicationDetails, require_target: bool) -> None:
    """Raises CliError with 4 where it did not end as it should."""
    if ended["state"] != "COMPLETED":
        raise CliError(
            f"{ended['_id']} ended as {ended['state']}: {ended['state_reason'] or 'no reason is known'}",
            f"Its log: enel applications logs {ended['_id']}",
            ExitCode.MISSED,
        )
    if require_target and not ended["target_met"]:
        runtime, target = duration(ended["runtime_seconds"]), duration(ended["global_specs"]["max_runtime"])
        raise CliError(
            f"{ended['_id']} took {runtime}, more than its target of {target}.",
            f"What was decided: enel applications decisions {ended['_id']}",
            ExitCode.MISSED,
        )
