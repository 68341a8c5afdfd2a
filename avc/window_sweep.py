"""Weakly labelled pairs for several lengths of the sound around a frame.

Boggust et al. 2019, section 3: "T is a tunable parameter that we explored and found T = 2
seconds to perform the best".
"""

import dataclasses
import math
import os
import shlex
from collections.abc import Sequence

from avc import labelling, weak_pairs
from avc.labelling import CLIPS, Labelling
from crossmodal import files, reports
from crossmodal.errors import ConfigurationError, UserError

COMMANDS, SWEEP = "commands.sh", "sweep.json"


def parse_windows(texts: Sequence[str]) -> list[float]:
    """Lengths in seconds, in ascending order.

    Raises:
      ConfigurationError: one is no number above 0.
    """
    try:
        windows = sorted({float(text) for text in texts})
    except ValueError:
        windows = []
    if not windows or windows[0] <= 0 or not math.isfinite(windows[-1]):
        raise ConfigurationError(f"--windows={','.join(texts)}: write numbers above 0, by commas")
    return windows


def run(
    transcript_files: str,
    posterior_files: str,
    windows: Sequence[float],
    output: str,
    config: Labelling,
    videos: str,
    recipe: str,
) -> str:
    """Writes the pairs of each length and the commands that go on from them.

    Args:
      transcript_files, posterior_files: see `labelling.run`.
      windows: lengths of the sound, and of what is searched, in seconds.
      output: the folder.
      config: all other numbers.
      videos: the folder of the videos, for the commands.
      recipe: the same.

    Returns:
      A table of the numbers of pairs.

    Raises:
      UserError: a file cannot be read, or no length gives a pair.
    """
    if not output:
        raise UserError("--output is empty: name a folder")
    said, seen = labelling.read_inputs(transcript_files, posterior_files, config.transcripts)
    sources = {"transcripts": transcript_files, "frames": posterior_files}
    counts, lines = {}, ["set -e"]
    for window in windows:
        labels = dataclasses.replace(
            config.labels, positive_seconds=window, search_seconds=window
        )
        own = dataclasses.replace(config, labels=labels)
        labelled = weak_pairs.label(seen.frames, said, labels)
        counts[window] = labelled.counts
        if labelled.pairs:
            folder = os.path.join(output, f"T={window:g}")
            labelling.write(folder, labelled, own, sources)
            lines += _commands(folder, window, videos, recipe)
    if len(lines) == 1:
        raise UserError("no length of the sound gives a pair; do the videos' names agree?")
    reports.write_json(os.path.join(output, SWEEP), counts)
    files.write_text(os.path.join(output, COMMANDS), "\n".join(lines) + "\n")
    rows = [
        [f"{window:g}", str(own["positive pairs"]), str(own["negative pairs"])]
        for window, own in counts.items()
    ]
    return reports.markdown(["T (s)", "positive pairs", "negative pairs"], rows, 0)


def _commands(folder: str, window: float, videos: str, recipe: str) -> list[str]:
    records = os.path.join(folder, "records")
    convert = [
        "python", "-m", "launch.convert_clips", f"--input={videos or 'VIDEOS'}",
        f"--label_table={os.path.join(folder, CLIPS)}", f"--output={records}",
        "--sample_rate_hz=16000", f"--clip_seconds={window:g}",
        f"--min_seconds={min(0.5, window):g}",
    ]
    train = [
        "python", "-m", "launch.train_avc", f"--recipe={recipe}",
        f"--train_pattern={records}/train-*.tfrecord",
        f"--eval_pattern={records}/validation-*.tfrecord",
        f"--workdir={os.path.join(folder, 'run')}", f"--set=segment_seconds={window:g}",
    ]
    return [shlex.join(convert), shlex.join(train)]
