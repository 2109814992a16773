"""All checks, by the settings that the service would start with."""

import asyncio
from collections.abc import Callable

from pydantic import ValidationError
from pydantic_settings import SettingsError

from app.doctor.finding import Finding, wrong
from app.doctor.kafka import check_kafka
from app.doctor.kubernetes import check_kubernetes
from app.doctor.machine import check_disk, check_folder, check_java, check_plugin
from app.doctor.service import check_service
from app.doctor.storage import check_hdfs, check_mongodb
from app.start import reasons
from app.wiring.manifest_options import manifest_options
from app.wiring.platform import chosen_platform
from app.wiring.template_trial import trial_manifest
from common.errors import StartError
from common.settings.server import ServerSettings
from common.settings.settings import Settings
from submission.manifest.build import Manifest
from submission.manifest.platform import Platform


def examine(
    url: str, token: str, least_free_bytes: int, make_settings: Callable[[], Settings] = Settings
) -> list[Finding]:
    """What was found, in the order in which to mend it; nothing of a setting's value is repeated.

    Args:
        url: Of a service that may be running; empty: where one with these settings listens.
    """
    try:
        settings = make_settings()
        chosen_platform(settings)
    except (StartError, SettingsError, ValidationError) as error:
        return [
            wrong("Settings", reason, "docs/settings.md says what it may be.") for reason in reasons(error)
        ]
    return asyncio.run(_examine(settings, url, token, least_free_bytes))


async def _examine(settings: Settings, url: str, token: str, least_free_bytes: int) -> list[Finding]:
    platform = chosen_platform(settings).platform
    jar = settings.submission.listener_jar or platform.listener_jar
    in_images = platform.jars_in_image is not None
    manifest, manifests = _check_manifests(settings, platform)
    mongodb, hdfs, kafka, kubernetes, java, service = await asyncio.gather(
        check_mongodb(settings.mongo),
        check_hdfs(settings.hdfs),
        check_kafka(settings.messages),
        check_kubernetes(settings.kubernetes, manifest),
        check_java(),
        check_service(url or _address(settings.server), token),
    )
    data_dir = settings.server.data_dir
    return [
        check_folder(data_dir),
        check_disk(data_dir, least_free_bytes),
        *mongodb,
        hdfs,
        kafka,
        *kubernetes,
        *(() if in_images else (java,)),
        check_plugin(jar, in_images),
        *manifests,
        *service,
    ]


def _address(server: ServerSettings) -> str:
    host = "127.0.0.1" if server.host in ("0.0.0.0", "::") else server.host  # noqa: S104 - nothing is bound
    return f"http://{f'[{host}]' if ':' in host else host}:{server.port}"


def _check_manifests(settings: Settings, platform: Platform) -> tuple[Manifest | None, list[Finding]]:
    """What settings say of every manifest: template, examples, the token's Secret; and one as an example."""
    try:
        return trial_manifest(manifest_options(settings, platform)), []
    except StartError as error:
        if str(error).startswith("LISTENER_JAR"):  # the plugin has a line of its own
            return None, []
        return None, [wrong("Manifests", str(error), "Mend the setting that is named (docs/manifests.md).")]
