"""`enel what-if`: what each scale-out is expected to bring, before anything is submitted."""

import typer

from app.cli import body_options as body
from app.cli import console
from app.cli.session import AsJson, session
from app.cli.submission_body import said_options, submission_body
from app.cli.views.submissions import first_choice_view


def what_if(
    context: typer.Context,
    file: body.File = None,
    algorithm: body.Algorithm = None,
    experiment: body.Experiment = None,
    arguments: body.Arguments = None,
    data_size_mb: body.DataSize = None,
    target: body.Target = None,
    minimum: body.Minimum = None,
    maximum: body.Maximum = None,
    scale_out: body.ScaleOut = None,
    cores: body.Cores = None,
    memory: body.Memory = None,
    solution: body.Solution = None,
    assignments: body.Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Show runtime, chance of meeting the target, and price of every scale-out; nothing is started."""
    document = submission_body(file, said_options(context.params), assignments or ())
    with session(context).client() as client:
        console.show(client.initial_scale_out(document), first_choice_view, as_json=as_json)
