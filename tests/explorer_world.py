"""A tiny AVOL-Net that was never trained, clips of a colour and a tone each, and a collection."""

import contextlib
import pathlib
import threading

import numpy as np
import pytest
import tensorflow as tf
from scipy.io import wavfile
from test_gallery import COLOURS, RATE, planted, tone, workdir  # noqa: F401

import avc
from avc import explorer, explorer_page, reading, shown_items
from avc.page_media import PageMedia
from avc.video_writer import VideoWriter
from crossmodal import npz

# What would run if a page took a label for more than text.
LIVELY = "${document.title='taken'}{{value}}<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def world(planted, tmp_path_factory):  # noqa: F811
    """A folder of query files and the collection `items.npz`."""
    folder = tmp_path_factory.mktemp("world")
    held = dict(np.load(planted / "items.npz"))
    labels = held["labels"].astype("S80")
    labels[held["video"] == b"v0"] = LIVELY.encode()
    rng = np.random.default_rng(3)
    drawn = {m: rng.normal(size=(12, 16)).astype(np.float32) for m in ("visual", "audio")}
    with npz.Writer(str(folder / "items.npz")) as writer:
        writer.append(**{**held, **drawn, "labels": labels})
    frame = np.kron(np.array(COLOURS, np.uint8).reshape(2, 3, 3), np.ones((32, 32, 1), np.uint8))
    tf.io.write_file(str(folder / "p.png"), tf.io.encode_png(frame))
    wavfile.write(folder / "s.wav", RATE, tone(2))
    for name in ("v.mp4", "silent.mp4"):
        with VideoWriter(str(folder / name), 10, RATE) as writer:
            for step in range(20):
                writer.add_picture(frame, step / 10)
            if name == "v.mp4":
                writer.add_sound(tone(1))
    (folder / "broken.mp4").write_bytes((folder / "v.mp4").read_bytes()[:700])
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.png").write_text("text\n")
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    (folder / "huge.png").write_bytes(huge)
    return folder


def make_explorer(world, planted, workdir, **changes):  # noqa: F811
    _, encoding, records = reading.open_clips(str(planted / "clips.tfrecord"), "p", progress=False)
    changes = {"results": 3, "media": PageMedia(sound="wav"), **changes}
    return explorer.prepare(
        avc.load(str(workdir)), [str(world / "items.npz")],
        lambda database: shown_items.of_records(database, records, encoding),
        explorer.ExplorerConfig(**changes),
    )


@contextlib.contextmanager
def serving(made, most_megabytes=1.0):
    """The page in a thread; its address and the folder of its uploads."""
    with (
        explorer_page.upload_folder() as uploads,
        explorer_page.listening("127.0.0.1", 0) as listener,
    ):
        server = explorer_page.make_server(made, ["a fact"], uploads, most_megabytes, True)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", pathlib.Path(uploads)
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive() and not pathlib.Path(uploads).exists()
