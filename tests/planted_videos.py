"""Frame-level records with a planted truth, written for a test."""

import contextlib
import sys
from unittest import mock

from testdata import make_yt8m_seconds

SMALL = {
    "visual_layers": 16, "audio_layers": 16, "embedding_dim": 8, "temporal_units": 8,
    "attention_heads": 2, "hidden_dropout": 0.0, "visual_dropout": 0.0, "audio_dropout": 0.0,
}


def write(folder, train: int, validate: int, *flags: str) -> None:
    """What `python -m testdata.make_yt8m_seconds` writes."""
    argv = ["make", f"--output={folder}", f"--train_videos={train}",
            f"--validate_videos={validate}", *flags]
    with mock.patch.object(sys, "argv", argv), contextlib.suppress(SystemExit):
        make_yt8m_seconds.main()
