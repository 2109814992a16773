"""The packed file as the interpreter of a real driver and a real executor."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from common.loops import running
from submission.environments.documents import EnvironmentState
from tests.support.environments import SMALL, Made
from tests.support.spark.spark_cluster import SPARK_HOME, environment, standalone_cluster

PROGRAM = """\
import json, sys
import humanize, pyspark
from pyspark.sql import SparkSession


def look(_):
    import sys
    import humanize, pyspark
    return humanize.intcomma(1234567), humanize.__file__, pyspark.__file__, sys.executable


spark = SparkSession.builder.getOrCreate()
[there] = spark.sparkContext.parallelize([0], 1).map(look).collect()
frame = spark.createDataFrame([(1234567,)], "number int").selectExpr("number + 1 AS number")
here = look(None)
print(json.dumps({"driver": here, "executor": there, "rows": frame.count(), "arguments": sys.argv[1:]}))
spark.stop()
"""


def submit(packed: Path, folder: Path, master: str) -> subprocess.CompletedProcess[str]:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", master, "--files", str(packed)]
    conf = {
        "spark.pyspark.driver.python": str(packed),
        "spark.pyspark.python": "./environment.pex",
        "spark.executorEnv.PEX_ROOT": str(folder / "executors"),
        "spark.executor.memory": "512m",
        "spark.driver.memory": "512m",
        "spark.ui.enabled": "false",
    }
    for name, value in conf.items():
        command += ["--conf", f"{name}={value}"]
    variables = environment(PEX_ROOT=str(folder / "driver"))
    del variables["PYSPARK_PYTHON"]
    return subprocess.run(
        [*command, str(program), "one", "--two"],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.mark.spark
@pytest.mark.usefixtures("_index")
async def test_driver_and_executor_import_its_packages_and_sparks_own_pyspark(
    made: Made, tmp_path: Path
) -> None:
    asked = await made.ensure(SMALL)
    async with running(made.loops()):
        ready = await made.ended(asked.id)
    assert ready.state is EnvironmentState.READY, ready.log_tail
    packed = await made.packed_file(ready, tmp_path / "environment.pex")
    with standalone_cluster(tmp_path, cores=1) as master:
        done = await asyncio.to_thread(submit, packed, tmp_path, master)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)
    assert said["arguments"] == ["one", "--two"]
    assert said["rows"] == 1
    for where in ("driver", "executor"):
        text, humanize, pyspark, interpreter = said[where]
        assert text == "1,234,567"
        folder = str(tmp_path / ("driver" if where == "driver" else "executors"))
        assert humanize.startswith(folder)
        assert interpreter.startswith(folder)
        assert pyspark.startswith(str(SPARK_HOME / "python"))
