"""The command launch.explore in a process of its own, used in a browser."""

import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest
from browser import browse, find
from explorer_world import LIVELY, planted, workdir, world  # noqa: F401

pytest.importorskip("gradio")
pytestmark = pytest.mark.skipif(find() is None, reason="there is no Chromium")

CARDS = "document.querySelectorAll('.found .card').length"
FILE = "input[type=file]"
REFUSED = "(document.querySelector('.found .refused') || {}).innerText"


@pytest.fixture
def address(world, planted, workdir, tmp_path):  # noqa: F811
    """Of the page; its uploads, in a folder of temporary files, are gone when it ends."""
    root = pathlib.Path(__file__).parents[1]
    given = {"workdir": workdir, "database": world / "items.npz", "port": 0, "results": 6,
             "input_pattern": planted / "clips.tfrecord", "sound": "wav", "max_upload_mb": 1}
    process = subprocess.Popen(
        [sys.executable, "-m", "launch.explore", *(f"--{n}={v}" for n, v in given.items())],
        cwd=root, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )
    try:
        line = process.stdout.readline()
        yield re.fullmatch(r"open (http://127.0.0.1:\d+/) in a browser; Ctrl-C ends it\n", line)[1]
        assert list(tmp_path.glob("explorer-*"))
    finally:
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert "Traceback" not in error, error
    assert not list(tmp_path.glob("explorer-*"))


def drop(page, path, wait):
    page.run("document.querySelectorAll('.found .card, .refused').forEach(e => e.remove())")
    if not page.run(f"!!document.querySelector('{FILE}')"):
        page.run("document.querySelector('button[aria-label=Clear]').click()")
        page.wait_for(f"!!document.querySelector('{FILE}')")
    page.upload(FILE, path)
    page.wait_for(wait)


def test_somebody_drops_files(world, address, tmp_path):  # noqa: F811
    with browse(tmp_path / "profile") as page:
        page.resize(1280, 900)
        page.open(address)
        page.wait_for(f"!!document.querySelector('{FILE}')")
        # A picture: its sounds, and where in it they are.
        drop(page, world / "p.png", f"{CARDS} === 13")
        titles = "Array.from(document.querySelectorAll('.found h2'), e => e.innerText)"
        assert page.run(titles) == ["picture of p.png → sounds", "Where in p.png these sounds are"]
        images = "Array.from(document.querySelectorAll('.found img'))"
        assert page.run(f"{images}.every(i => i.complete && i.naturalWidth && i.alt)")
        seconds = page.run("""Promise.all(Array.from(document.querySelectorAll('.found audio'), a =>
            new Promise(done => { a.onloadedmetadata = () => done(a.duration);
            a.onerror = () => done(-1); a.preload = 'auto'; a.load(); })))""")
        assert len(seconds) == 12 and all(abs(each - 2) < 0.01 for each in seconds)
        # By keyboard, by the browser's own controls.
        page.run("document.querySelector('.found audio').focus()")
        page.press(" ", 32, " ")
        page.wait_for("document.querySelector('.found audio').currentTime > 0.1")
        seen = "Array.from(document.querySelectorAll('.map')).filter(e => e.offsetWidth).length"
        assert page.run(seen) == 12
        page.run("document.querySelector('.maps input').click()")
        assert page.run(seen) == 0
        # Labels are text.
        labels = "Array.from(document.querySelectorAll('.labels li'), e => e.textContent)"
        assert LIVELY in page.run(labels)
        assert page.run("document.title") == "What does it sound like, what does it look like?"
        assert not page.run("document.querySelectorAll('[onerror]').length")
        # In another direction.
        page.run("document.querySelector('input[value=visual_to_visual]').click()")
        page.wait_for(f"({titles})[0] === 'picture of p.png → pictures'")
        # A sound chooses its direction itself; a video and what is wrong with some files.
        drop(page, world / "s.wav", f"({titles})[0] === 'sound of s.wav → pictures'")
        assert page.run("document.querySelector('input[value=audio_to_visual]').checked")
        drop(page, world / "silent.mp4", f"({REFUSED} || '').length > 0")
        assert page.run(REFUSED) == "silent.mp4: no audio stream"
        drop(page, world / "huge.png", f"({REFUSED} || '').includes('60000 x 60000')")
        (tmp_path / "large.mp4").write_bytes(bytes(1_200_000))
        (tmp_path / "notes.txt").write_text("notes\n")
        told = "document.body.innerText.includes"
        drop(page, tmp_path / "large.mp4", f"{told}('exceed the maximum allowed size')")
        drop(page, tmp_path / "notes.txt", f"{told}('Invalid file type: notes.txt')")
        for width, phone in ((1280, False), (360, True)):
            page.resize(width, 800, phone)
            assert page.run("document.documentElement.scrollWidth") <= width
        # Gradio's own, of a stream that ends; nothing was asked of any other host.
        assert {*page.messages} <= {"['Method not implemented.']"}
