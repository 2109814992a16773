"""MongoDB with its clock, and HDFS, as the service's own start looks at them."""

from datetime import UTC
from pathlib import Path

from app.doctor.finding import Finding, ok, skipped, wrong
from common.errors import StartError
from common.models.artifacts import StoreUnavailable
from common.models.hdfs import HdfsStore
from common.models.webhdfs import HdfsUnavailable
from common.mongo.client import mongo_client
from common.mongo.document import utc_now
from common.mongo.embedded import mongod_binary
from common.settings.hdfs import HdfsSettings
from common.settings.mongo import MongoSettings

_CLOCKS_DIFFER_SECONDS = 5.0
"""From then on due times and leases of several services contradict each other."""

_MONGODB, _CLOCK, _HDFS = "MongoDB", "Clock", "HDFS"


async def check_mongodb(settings: MongoSettings) -> list[Finding]:
    """Whether it can be used, and how far its clock is from ours."""
    if not settings.mongodb_endpoint:
        one_clock = skipped(_CLOCK, "the embedded MongoDB is on this machine, too")
        try:
            return [ok(_MONGODB, f"embedded: {mongod_binary().name} starts with the service"), one_clock]
        except StartError as error:
            return [wrong(_MONGODB, str(error), "Set MONGODB_ENDPOINT."), one_clock]
    try:
        async with mongo_client(settings, Path()) as client:
            before = utc_now()
            hello = await client.admin.command("hello")
            between = before + (utc_now() - before) / 2
    except StartError as error:
        mend = "Start MongoDB as a replica set, give its user the role readWrite, or mend the setting that is"
        return [
            wrong(_MONGODB, str(error), f"{mend} named; unset MONGODB_ENDPOINT to use the embedded one."),
            skipped(_CLOCK, "it is compared with MongoDB's"),
        ]
    # A command's answer has its times in UTC without saying so, whatever the client is told of time zones.
    apart = abs((hello["localTime"].replace(tzinfo=UTC) - between).total_seconds())
    used = ok(_MONGODB, f"replica set {hello.get('setName', 'behind mongos')}, a writable primary answers")
    if apart > _CLOCKS_DIFFER_SECONDS:
        return [
            used,
            wrong(
                _CLOCK,
                f"this machine's clock and MongoDB's are {apart:.0f} s apart",
                "Let both follow a time server (chrony, systemd-timesyncd).",
            ),
        ]
    return [used, ok(_CLOCK, f"{apart:.1f} s from MongoDB's")]


async def check_hdfs(settings: HdfsSettings) -> Finding:
    """Whether a file can be written and read below HDFS_OUTPUT_DIR."""
    if not settings.hdfs_endpoint:
        return skipped(_HDFS, "models are kept in DATA_DIR (HDFS_ENDPOINT is not set)")
    try:
        store = HdfsStore(settings)
    except StartError as error:
        return wrong(_HDFS, str(error), "Mend the setting that is named.")
    try:
        await store.check_writable()
    except StoreUnavailable as error:
        look_at = error.look_at if isinstance(error, HdfsUnavailable) else "HDFS_ENDPOINT"
        return wrong(_HDFS, f"{look_at}: {error}", _mend(look_at))
    finally:
        await store.aclose()
    return ok(_HDFS, f"a file can be written and read below {settings.hdfs_output_dir}")


def _mend(look_at: str) -> str:
    if "HDFS_OUTPUT_DIR" in look_at:
        return "Let the folder belong to that user: hdfs dfs -chown."
    if look_at in ("HDFS_TOKEN", "HDFS_KERBEROS", "HDFS_USER"):
        return "Get a new token or ticket (hdfs fetchdt, kinit), or name another user."
    return "Start NameNode and DataNode, or set HDFS_ENDPOINT to an address of WebHDFS that answers."
