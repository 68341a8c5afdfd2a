"""Beam jobs in processes that are not this command's own, or that are killed."""

import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from launching import launch
from test_embed_avc import workdir, write_clips  # noqa: F401
from test_sharded_embedding import arrays, assert_same_rows, contents, joined

from crossmodal.beam_conversion import Execution
from yt8m_embed.conversion import Conversion, convert

ROOT = pathlib.Path(__file__).parents[1]
# A pool whose workers cannot start would be waited for without end.
SECONDS = 240

pytestmark = pytest.mark.slow


def environment():
    """Beam's pool starts its workers as `python`, from the path."""
    folder = os.path.dirname(sys.executable)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def run(name, *flags):
    line = [sys.executable, "-m", f"launch.{name}", *flags]
    return subprocess.run(line, cwd=ROOT, env=environment(), capture_output=True, text=True,
                          check=False, timeout=SECONDS)


@pytest.fixture(scope="module")
def pool():
    """Flags for a runner that hands its work to a pool of workers in another process."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main",
         f"--service_port={port}"],
        cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL, start_new_session=True,
    )
    try:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
                break
            time.sleep(0.1)
        assert process.poll() is None
        yield ["--runner=PortableRunner",
               "--pipeline_options=--job_endpoint=embed --environment_type=EXTERNAL"
               f" --environment_config=localhost:{port}"]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_conversion_in_a_pool_of_workers_gives_the_same_bytes(pool, testdata, tmp_path):
    pattern = f"{testdata}/yt8m/train/*.tfrecord"
    here = Conversion("compact_float16", pattern, f"{tmp_path}/here/t", 3)
    convert(here, Execution(num_workers=1, progress=False))
    outcome = run("convert_yt8m", "--job=compact_float16", f"--input_pattern={pattern}",
                  f"--output={tmp_path}/there/t", "--num_shards=3", *pool)
    assert outcome.returncode == 0, outcome.stderr
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert len(contents(tmp_path / "there")) == 4


def test_an_embedding_in_a_pool_of_workers_gives_the_same_rows(
    pool, trained, testdata, tmp_path
):
    given = [f"--workdir={trained}", f"--input_pattern={testdata}/yt8m/train/*.tfrecord"]
    outcome = run("embed_yt8m", *given, f"--output={tmp_path}/there", "--num_shards=2", *pool)
    assert outcome.returncode == 0, outcome.stderr
    launch("embed_yt8m", *given, output=tmp_path / "here.npz")
    assert_same_rows(joined(tmp_path / "there"), arrays(tmp_path / "here.npz"))
    # What a worker finds wrong comes back as one line.
    broken = tmp_path / "broken.tfrecord"
    broken.write_bytes((testdata / "yt8m/train/train0000.tfrecord").read_bytes()[:-10])
    given[1] = f"--input_pattern={broken}"
    outcome = run("embed_yt8m", *given, f"--output={tmp_path}/no", "--num_shards=1", *pool)
    last = outcome.stderr.strip().splitlines()[-1]
    assert outcome.returncode == 1 and last.startswith(f"error: {broken}: record "), last


def test_killed_at_random_an_embedding_ends_with_the_rows_of_one_process(
    workdir, tmp_path  # noqa: F811
):
    for number in range(6):
        write_clips(tmp_path / f"{number}.tfrecord", [number], seconds=20.3)
    given = [f"--workdir={workdir}", f"--input_pattern={tmp_path}/*.tfrecord",
             "--hop_seconds=0.2"]
    flags = [*given, f"--output={tmp_path}/many", "--num_shards=6", "--num_workers=2"]
    line = [sys.executable, "-m", "launch.embed_avc", *flags]
    process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    staging = tmp_path / "many" / ".embeddings.converting"
    while process.poll() is None and not list(staging.glob("*.npz.json")):
        time.sleep(0.002)
    time.sleep(random.Random(0).uniform(0, 0.05))
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "many").glob("*.npz"))
    finished = {path: path.read_bytes() for path in staging.glob("*.npz.json")}
    assert 0 < len(finished) < 6
    outcome = run("embed_avc", *flags)
    assert outcome.returncode == 0, outcome.stderr
    launch("embed_avc", *given, output=tmp_path / "one.npz")
    wanted = arrays(tmp_path / "one.npz")
    assert_same_rows(joined(tmp_path / "many"), wanted)
    assert len(np.unique(wanted["ids"])) == len(wanted["ids"]) > 500
    assert sorted(os.listdir(tmp_path / "many")) == [
        *(f"embeddings-{i:05}-of-00006.npz" for i in range(6)), "embeddings.json"
    ]
