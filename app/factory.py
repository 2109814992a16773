"""The FastAPI application."""

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from app.dashboard import site
from app.http import metrics, problems
from app.http.bodies import ReadBodies
from app.http.content_types import RequireJson
from app.http.headers import SecurityHeaders
from app.http.hosts import KnownHosts
from app.http.middleware import NormalizePath
from app.http.origins import CheckOrigin
from app.http.request_ids import RequestIds
from app.http.uploads import AnswerUploads
from app.lifespan import lifespan_for
from app.version import VERSION
from app.wiring.storage import Storage
from common.settings.settings import Settings
from routers import access, environments, health, models, prediction, submission, training
from routers.media import direct
from routers.principal import Admitted
from routers.programs import aliases, digits, launchers, messages, people, pipelines
from routers.serving import aliases as asking_aliases
from routers.serving import asking, bulk, managing, open_inference
from routers.workspaces import places, versions

_TAGS = (
    ("submission", "Applications, and schedules of them."),
    ("prediction", "Scale-outs that meet a target."),
    ("training", "What is learned from finished jobs, and models of it."),
    ("models", "Versions, aliases, promotion and roll-back."),
    ("workspaces", "Files of training programs."),
    ("environments", "What programs' requirements became."),
    ("programs", "Training programs, their runs and pipelines."),
    ("serving", "Versions that answer."),
    ("open inference protocol", "The same, for clients of this protocol."),
    ("digits", "The example."),
    ("access", "Who may do what."),
    ("health", "For probes and scrapers."),
)
"""Groups of the documentation, in their order."""


def create_app(settings: Settings, storage: Storage | None = None) -> FastAPI:
    """The service; its lifespan opens everything else, and the storage where it is not open."""
    app = FastAPIOffline(
        title="Enel Service",
        version=VERSION,
        summary="Runs recurring Spark applications so that they meet their runtime targets.",
        lifespan=lifespan_for(settings, storage),
        responses=problems.RESPONSES,
        openapi_tags=[{"name": name, "description": text} for name, text in _TAGS],
        # Clients are generated from these: a function's name, which no path or method changes.
        generate_unique_id_function=lambda route: route.name,
        # /metrics is the service's own; looking for somebody else's tracers takes a while with every request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    problems.install(app)
    metrics.install(app, settings.mongo.mongodb_database)
    app.add_middleware(RequireJson, forms=[f"{site.PREFIX}/"])
    app.add_middleware(ReadBodies, limit_bytes=settings.server.max_body_bytes)
    app.add_middleware(AnswerUploads)
    app.add_middleware(NormalizePath)
    app.add_middleware(
        CheckOrigin, hosts=KnownHosts.of(settings), allowed_origins=settings.access.allowed_origins
    )
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestIds)
    # A route is looked for in this order, one by one: what machines ask all day comes first. People are shown
    # another order, `_TAGS`. Probes are nobody.
    app.include_router(health.router)
    asked = (asking, prediction, training, submission, launchers, open_inference, asking_aliases)
    managed = (models, managing, bulk, places, versions, environments)
    programs = (people, messages, pipelines, digits, aliases)
    for module in (*asked, *managed, *programs, access):
        app.include_router(module.router, dependencies=[Admitted])
    direct.install(app)
    site.install(app)
    return app
