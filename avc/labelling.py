"""From files of words and posteriors to files of weakly labelled pairs."""

import dataclasses
import os

from avc import posteriors, transcripts, weak_pairs
from avc.posteriors import Posteriors
from avc.spoken_words import Transcript
from avc.transcripts import TranscriptConfig
from avc.weak_pairs import LabelConfig, Labelled
from crossmodal import configuration, files
from crossmodal.errors import UserError

PAIRS, CLIPS, LABELS = "pairs.csv", "clips.csv", "labels.json"


@dataclasses.dataclass(frozen=True)
class Labelling:
    """All numbers of a labelling; saved beside its result."""

    transcripts: TranscriptConfig = dataclasses.field(default_factory=TranscriptConfig)
    labels: LabelConfig = dataclasses.field(default_factory=LabelConfig)


def run(
    transcript_files: str, posterior_files: str, output: str, config: Labelling | None = None
) -> str:
    """Labels the frames of videos and writes the pairs.

    Args:
      transcript_files: a folder or patterns, see `transcripts.read`.
      posterior_files: patterns.
      output: the folder; `clips.csv` is written last.
      config: all numbers.

    Returns:
      What became of the frames, for reading.

    Raises:
      UserError: a file cannot be read, or there is no pair.
    """
    config = config or Labelling()
    if not output:
        raise UserError("--output is empty: name a folder")
    files.check_writable(os.path.join(output, CLIPS), "output")
    said, seen = read_inputs(transcript_files, posterior_files, config.transcripts)
    labelled = weak_pairs.label(seen.frames, said, config.labels)
    text = describe(labelled, seen, said)
    if not labelled.pairs:
        raise UserError(
            f"no frame became a pair: {labelled.counts['frames of a class']} frames have a class"
            f" with a posterior of {config.labels.class_posterior:g} or more, and none of their"
            " names is said near them; do the videos' names agree?"
        )
    write(output, labelled, config, {"transcripts": transcript_files, "frames": posterior_files})
    return f"{text}\n{os.path.join(output, CLIPS)}"


def read_inputs(
    transcript_files: str, posterior_files: str, config: TranscriptConfig
) -> tuple[dict[str, Transcript], Posteriors]:
    """Transcripts and posteriors of a set of videos.

    Raises:
      UserError: see `transcripts.read` and `posteriors.read`.
    """
    paths = files.expand_patterns(posterior_files, "posteriors")
    return transcripts.read(transcript_files, config), posteriors.read(paths)


def write(output: str, labelled: Labelled, config: Labelling, sources: dict[str, str]) -> None:
    """Writes the pairs, their settings, and the label table of the conversion."""
    files.write_text(os.path.join(output, PAIRS), weak_pairs.pairs_csv(labelled.pairs))
    values = {
        "settings": configuration.to_dict(config),
        "sources": sources,
        "counts": labelled.counts,
        "videos_without_transcript": list(labelled.without_transcript),
    }
    configuration.save(os.path.join(output, LABELS), values)
    files.write_text(os.path.join(output, CLIPS), weak_pairs.clips_csv(labelled.pairs))


def describe(labelled: Labelled, seen: Posteriors, said: dict[str, Transcript]) -> str:
    """What became of the frames, a line each."""
    lines = [f"{name:<42}{number:>10,}" for name, number in labelled.counts.items()]
    missing = labelled.without_transcript
    if missing:
        more = ", ..." if len(missing) > 5 else ""
        lines.append(f"{len(missing)} videos have no transcript: {', '.join(missing[:5])}{more}")
    if unseen := set(said) - set(seen.videos):
        lines.append(f"{len(unseen)} transcripts are of videos without posteriors")
    if seen.repeated_rows:
        lines.append(f"{seen.repeated_rows} rows of posteriors repeat others")
    if not seen.has_none:
        lines.append(
            "the posteriors have no none_posterior: there are no negative pairs (nothing says"
            " which frames show nothing of the kind)"
        )
    return "\n".join(lines)
