"""Settings of training programs: where they may run, and how much they may take and leave."""

from typing import Annotated

from pydantic import Field, field_validator

from common.addresses import file_uri
from common.settings.group import SettingsGroup

_Bytes = Annotated[int, Field(ge=1 << 20, le=1 << 50)]


class ProgramSettings(SettingsGroup):
    """How programs of workspaces run."""

    local_programs: bool | None = None
    """Whether programs of workspaces may run on the local Spark, where they are processes of the service's
    own user (docs/programs.md says what that does not protect from). Unset: yes, but not once access is by
    tokens."""

    program_launcher: str = ""
    """What runs a program of a workspace, as a path or URI that the driver can read; empty:
    `submission/launcher/launch.py` of this checkout, on Kubernetes below local:///opt/enel-service, as in the
    image of deploy/spark."""

    program_output_max_bytes: Annotated[int, Field(ge=1 << 20, le=4 << 30)] = 256 << 20
    """Bytes that a program may leave in ENEL_OUTPUT_DIR. The service holds them in memory once, when it makes
    a version of them."""

    program_output_max_files: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """Files that a program may leave in ENEL_OUTPUT_DIR."""

    program_output_keep_days: Annotated[float, Field(gt=0, le=36_500)] = 90.0
    """Days after the end of a run for which what it has left can be fetched, and be the input of others. A
    version that was made of it has files of its own, and stays."""

    program_disk_max_bytes: _Bytes = 4 << 30
    """Bytes that the folders of a running program may hold; with more it is ended."""

    program_log_max_bytes: _Bytes = 64 << 20
    """Bytes of a program's output that reach the driver's log; of what follows only the last lines do."""

    program_max_processes: Annotated[int, Field(ge=1, le=100_000)] = 512
    """Processes and threads that a program may have on its driver at once; with more it is ended."""

    @field_validator("program_launcher")
    @classmethod
    def _path_or_uri(cls, value: str) -> str:
        if value:
            file_uri(value)
        return value
