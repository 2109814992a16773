"""Options of the commands that take a submission: its common fields, and what is to be done with it."""

from typing import Annotated

import typer

File = Annotated[
    str | None, typer.Argument(metavar="FILE", help="Body in YAML or JSON; - reads standard input.")
]
Algorithm = Annotated[str | None, typer.Option(help="Name of what is run; its history is learned from.")]
Experiment = Annotated[str | None, typer.Option(help="Name to group runs by.")]
MainFile = Annotated[
    str | None, typer.Option("--main-file", help="Your program, such as local:///path/app.py.")
]
MainClass = Annotated[str | None, typer.Option("--main-class", help="Of a JVM program.")]
Image = Annotated[str | None, typer.Option(help="Container image, on Kubernetes.")]
Arguments = Annotated[
    list[str] | None, typer.Option("--arg", help="An argument of the program; may be given several times.")
]
DataSize = Annotated[int | None, typer.Option("--data-size-mb", min=1, help="Size of the input in MB.")]
Target = Annotated[float | None, typer.Option(help="Runtime target of the whole application in seconds.")]
Minimum = Annotated[int | None, typer.Option("--min", min=1, help="Fewest executors.")]
Maximum = Annotated[int | None, typer.Option("--max", min=1, help="Most executors.")]
ScaleOut = Annotated[
    int | None, typer.Option("--scale-out", min=1, help="Executors to start with where there is no history.")
]
Cores = Annotated[int | None, typer.Option(min=1, help="Cores of an executor.")]
Memory = Annotated[str | None, typer.Option(help="Memory of an executor, such as 512m or 2g.")]
Solution = Annotated[str | None, typer.Option(help="Who decides: enel, or a baseline such as static.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=c", help="Any other field; may be given several times."),
]

Name = Annotated[
    str | None, typer.Option(help="Sent again while an application of it runs, nothing is created.")
]
IdempotencyKey = Annotated[str | None, typer.Option(help="Sent again with the same key, nothing is created.")]
RequireFeasible = Annotated[
    bool, typer.Option("--require-feasible", help="Refuse a target that is out of reach.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be; start nothing.")]
PrintManifest = Annotated[
    bool, typer.Option("--print-manifest", help="Print the manifest as YAML; start nothing.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")]
RequireTarget = Annotated[
    bool, typer.Option("--require-target", help="With --wait: exit with 4 if the target is missed.")
]
