"""launch/own_videos.sh on made videos, but for the installation."""

import os
import subprocess
import sys

import av
import numpy as np
import pytest

from avc.video_writer import VideoWriter

RATE = 48_000


@pytest.fixture
def script(tmp_path, testdata):
    """The script as it stands, with this Python in the place of an environment of its own."""
    text = (testdata.parent / "launch/own_videos.sh").read_text()
    for theirs, ours in (
        ('cd "$(dirname "$0")/.."', f'cd "{testdata.parent}"'),
        ("source launch/environment.sh beam media pictures", ""),
        (".venv/bin/python", sys.executable),
    ):
        assert theirs in text
        text = text.replace(theirs, ours)
    path = tmp_path / "own_videos.sh"
    path.write_text(text)
    return path


def run(script, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", script, *map(str, arguments)], capture_output=True, text=True,
        cwd=script.parent, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def make_video(path, colour, hertz) -> None:
    with VideoWriter(str(path), 10, RATE) as writer:
        for step in range(15):
            picture = np.full((64, 96, 3), colour, np.uint8)
            picture[10 + step : 20 + step, 10:30] = 255
            writer.add_picture(picture, step / 10)
        times = np.arange(round(1.5 * RATE)) / RATE
        writer.add_sound(np.rint(9000 * np.sin(2 * np.pi * hertz * times)).astype(np.int16))


@pytest.mark.slow
def test_videos_become_pages_and_videos(script, tmp_path):
    folder = tmp_path / "my videos"
    folder.mkdir()
    for n, colour in enumerate([(200, 0, 0), (0, 200, 0), (0, 0, 200)]):
        make_video(folder / f"a {n}.mp4", colour, 300 + 400 * n)
    (folder / "notes.txt").write_text("no video")
    done = run(script, folder, "out", "--max_steps=2", "--set=width=0.0625")
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "out"
    for name in ("gallery.html", "found.html", "sonorised.mp4", "map.mp4"):
        assert f"{out}/{name}" in done.stdout and (out / name).stat().st_size > 1000
    assert "a 0.mp4:" in done.stdout and "learns next to nothing" in done.stdout
    assert "a 1.mp4" in (out / "found.html").read_text()
    with av.open(str(out / "sonorised.mp4")) as container:
        (sound,) = container.streams.audio
        samples = np.concatenate([f.to_ndarray() for f in container.decode(sound)], axis=1)[0]
    loudest = np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples)
    # The sound is of one of the others.
    assert min(abs(loudest - hertz) for hertz in (700, 1100)) < 5


def test_what_is_no_folder_of_videos_is_said_in_a_line(script, tmp_path):
    for arguments, words in (((), "is no folder"), ((tmp_path / "none",), "none is no folder")):
        done = run(script, *arguments)
        assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1
