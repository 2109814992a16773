"""What drivers have said of themselves, and what they wanted to say."""

from pydantic import BaseModel

from common.mongo.document import UtcTime

EVENT_LOG = "event log"
"""The runner of executions that no platform of ours has run: what is known of them was read afterwards."""


class DriverStart(BaseModel):
    """The start of a driver, by its own report."""

    application_id: str
    """Spark's: every driver has one of its own."""
    attempt_id: int | None = None
    start_time: UtcTime
    start_scale_out: int | None = None


class DriverEnd(BaseModel):
    """The end of a driver's context, by its own report."""

    application_id: str
    """Spark's."""
    end_time: UtcTime
    ended_jobs: int | None = None
    """How many jobs it has ended, by its own count."""


class RefusedReport(BaseModel):
    """A report that could not be stored."""

    at: UtcTime
    update_event: str
    application_id: str | None = None
    """Spark's, of the driver that it says it is of."""
    job_id: int | None = None
    reason: str
    """As the driver was told."""
