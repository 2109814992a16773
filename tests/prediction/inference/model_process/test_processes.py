"""A model's process: however it, its children or its parent end, nothing is left and the reason is known."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from prediction.inference.model_process.child import ModelConfig, ModelProcess
from prediction.inference.model_process.frames import decode_answers
from prediction.inference.model_process.words import (
    ModelDied,
    ModelFailed,
    ModelGone,
    ModelOverdue,
    ModelTooLarge,
)
from tests.support.asked_models import MEMORY_BYTES, answers, python_file, running, values
from tests.support.left_processes import command_line, has_ended

TROUBLE = """
    import os, signal, stat, subprocess, sys, time

    def predict(x, **options):
        if x == "exit":
            print("last words")
            os._exit(3)
        if x == "signal":
            os.kill(os.getpid(), signal.SIGSEGV)
        if x == "sleep":
            time.sleep(options["seconds"])
        if x == "grow":
            kept = []
            while True:
                kept.append(b"x" * (1 << 22))
                time.sleep(0.01)
        if x == "children":
            group = subprocess.Popen(["sleep", "1000"])
            session = subprocess.Popen(["sleep", "1000"], start_new_session=True)
            return [os.getpid(), group.pid, session.pid]
        if x == "print":
            os.write(1, b"by the way\\n" * 10_000)
            print("in" * 50_000, file=sys.stderr)
            print("the end")
        if x == "close":
            os.closerange(3, 1000)
            time.sleep(1000)
        if x == "scribble":
            for descriptor in range(3, 1000):
                try:
                    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                        os.write(descriptor, b"by the way, I am at it\\n")
                except OSError:
                    pass
        if x == "fork":
            return "the copy" if os.fork() == 0 else os.getpid()
        if x == "environment":
            return dict(os.environ)
        return x
"""


@pytest.fixture
def trouble(tmp_path: Path) -> ModelConfig:
    return python_file(tmp_path, TROUBLE)


async def gone(*pids: int, seconds: float = 10) -> bool:
    """Whether they end; one that has ended and is nobody's child any more may wait for init."""
    for _ in range(int(seconds * 20)):
        if all(has_ended(pid) for pid in pids):
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("asked", "kind", "reason"),
    [
        ("exit", ModelDied, "exit code 3.\nIts last output:\nlast words"),
        ("signal", ModelDied, "SIGSEGV ended it"),
        ("close", ModelDied, "SIGKILL ended it"),
        ("scribble", ModelDied, "It wrote to its connection with the service"),
    ],
)
async def test_a_model_that_ends_says_how(
    trouble: ModelConfig, asked: str, kind: type[Exception], reason: str
) -> None:
    async with running(trouble) as model:
        with pytest.raises(kind) as died:
            await answers(model, {"x": asked})
        assert reason in str(died.value)
        assert model.has_ended
        with pytest.raises(ModelGone):
            await answers(model, {"x": 1})


async def test_a_model_that_hangs_is_ended_with_all_it_started(trouble: ModelConfig) -> None:
    async with running(trouble) as model:
        (pids,) = await values(model, {"x": "children"})
        assert model.pid in pids
        with pytest.raises(ModelOverdue, match=r"after 0\.5 s"):
            await answers(model, {"x": "sleep", "seconds": 1000}, limit_seconds=0.5)
        assert await gone(*pids)


async def test_a_model_that_grows_is_ended(trouble: ModelConfig) -> None:
    async with running(trouble, memory_bytes=200 << 20) as model:
        with pytest.raises(ModelTooLarge, match=r"of memory, of 200 MiB that it may"):
            await answers(model, {"x": "grow"})


async def test_what_a_model_prints_is_kept_but_not_all_of_it(trouble: ModelConfig) -> None:
    async with running(trouble) as model:
        assert await values(model, {"x": "print"}) == ["print"]
        while not model.log.endswith("the end\n"):
            await asyncio.sleep(0.01)
        assert len(model.log) == 64 << 10


async def test_one_is_computed_while_others_wait_and_may_withdraw(trouble: ModelConfig) -> None:
    async with running(trouble) as model:
        slow = asyncio.create_task(answers(model, {"x": "sleep", "seconds": 0.5}))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(answers(model, {"x": "exit"}))
        other = asyncio.create_task(values(model, {"x": "other"}))
        await asyncio.sleep(0.1)
        for task in (slow, waiting):  # what has begun goes on, what waits is never begun
            task.cancel()
        assert await other == ["other"]


async def test_a_copy_that_a_model_forks_answers_nobody(trouble: ModelConfig) -> None:
    async with running(trouble) as model:
        for number in range(5):
            assert await values(model, {"x": "fork"}, {"x": "fork"}) == [model.pid, model.pid]
            assert await values(model, {"x": number}) == [number]


async def test_a_copy_that_loading_forks_answers_nobody(tmp_path: Path) -> None:
    source = """
        import os
        def load(folder): os.fork()
        def predict(x): return [os.getpid(), x]
    """
    async with running(python_file(tmp_path, source)) as model:
        assert await values(model, {"x": 1}) == [[model.pid, 1]]
        assert await values(model, {"x": 2}) == [[model.pid, 2]]


async def test_a_model_knows_no_secret_and_no_module_of_ours(
    trouble: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGODB_PASSWORD", "secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    async with running(trouble) as model:
        (environment,) = await values(model, {"x": "environment"})
        assert not {"MONGODB_PASSWORD", "PYTHONPATH"} & environment.keys()
        assert environment["OMP_NUM_THREADS"] == "1"
        assert not any("secret" in part for part in command_line(psutil.Process(model.pid)))


async def test_a_model_gives_way_also_where_linux_groups_processes_by_session(trouble: ModelConfig) -> None:
    async with running(trouble) as model:
        await values(model, {"x": 1})
        assert psutil.Process(model.pid).nice() == os.getpriority(os.PRIO_PROCESS, 0) + 5
        of_group, ours = (Path(f"/proc/{each}/autogroup") for each in (model.pid, "self"))
        if not of_group.exists():
            pytest.skip("this kernel does not group processes by session")
        assert of_group.read_text().endswith("nice 2\n")
        assert of_group.read_text() != ours.read_text()


async def test_a_load_that_never_returns_ends_in_time(tmp_path: Path) -> None:
    source = """
        import os, time
        def load(folder):
            open("pid", "w").write(str(os.getpid()))
            print("loading", flush=True)
            time.sleep(1000)
        def predict(x): return x
    """
    with pytest.raises(ModelFailed, match=r"not loaded after 1 s.\nIts last output:\nloading"):
        async with running(python_file(tmp_path, source), load_seconds=1):
            pass
    assert await gone(int((tmp_path / "pid").read_text()))


async def test_a_python_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match="could not be started"):
        await ModelProcess.start(python_file(tmp_path, ""), tmp_path / "environment", MEMORY_BYTES, 5)


async def test_an_environment_is_its_python(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    environment.write_text(f'#!/bin/sh\nexport MARK="$PEX_ROOT"\nexec {sys.executable} "$@"\n')
    environment.chmod(0o700)
    config = python_file(tmp_path, "import os\ndef predict(x): return os.environ['MARK']")
    model = await ModelProcess.start(config, environment, MEMORY_BYTES, 10)
    try:
        assert await values(model, {"x": 1}) == [str(tmp_path / "environment.unpacked")]
    finally:
        await model.close()


_PARENT = """
import asyncio, os, sys
from pathlib import Path
from prediction.inference.model_process.child import ModelConfig, ModelProcess
from prediction.inference.model_process.frames import Row, encode_request

async def main():
    config = ModelConfig("python", Path(sys.argv[1]), "predict.py")
    model = await ModelProcess.start(config, None, 1 << 30, 30)
    os.write(1, await model.ask(encode_request([Row({"x": "children"})]), 30))
    os.close(1)
    if sys.argv[2] == "computes":
        await model.ask(encode_request([Row({"x": "sleep", "seconds": 1000})]), 1000)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.mark.parametrize("does", ["computes", "waits"])
async def test_a_model_ends_with_its_parent_and_all_that_it_has_started(
    trouble: ModelConfig, does: str
) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PARENT, str(trouble.folder), does),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[4],
    )
    assert parent.stdout is not None
    (answer,) = decode_answers(await parent.stdout.read()).answers
    host, in_group, of_its_own = answer.value
    watching = [each for each in psutil.process_iter() if _group(each.pid) == host]
    assert len(watching) >= 3  # the host, what it started, and who waits for the parent's end
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    assert await gone(*(each.pid for each in watching), of_its_own)
    assert in_group in [each.pid for each in watching]


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None
