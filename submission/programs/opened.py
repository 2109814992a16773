"""All that there is about programs, for whoever asks or reports."""

from dataclasses import dataclass

from submission.programs.garbage import OutputGarbage
from submission.programs.outputs import Outputs
from submission.programs.preparation import Programs
from submission.programs.publishing import ProgramPublisher
from submission.programs.repository import ProgramRunRepository
from submission.programs.rights import Rights
from submission.programs.tasks import ProgramTasks


@dataclass(frozen=True)
class OpenPrograms:
    """Before a run, during it, and afterwards."""

    preparation: Programs
    rights: Rights
    runs: ProgramRunRepository
    tasks: ProgramTasks
    outputs: Outputs
    publisher: ProgramPublisher
    garbage: OutputGarbage
