"""From files about narrated videos to the report of `avc.transcript_report`."""

import dataclasses
import os

from avc import (
    csv_rows,
    posteriors,
    spoken_gallery,
    synchronization,
    transcript_report,
    transcripts,
    video_tables,
    weak_pairs,
)
from avc.posteriors import Frame
from avc.spoken_gallery import GalleryConfig
from avc.spoken_words import Transcript, read_names
from avc.synchronization import SynchronizationConfig
from avc.transcript_report import Analyses
from avc.transcripts import TranscriptConfig
from avc.video_tables import Chosen
from crossmodal import configuration, files, plots
from crossmodal.errors import ConfigurationError, UserError

REPORT, CHART, VIDEOS, GALLERY = "report", "synchronization.png", "videos.csv", "gallery.csv"


@dataclasses.dataclass(frozen=True)
class AnalysisConfig:
    """All numbers of the analyses; saved in the report."""

    transcripts: TranscriptConfig = dataclasses.field(default_factory=TranscriptConfig)
    synchronization: SynchronizationConfig = dataclasses.field(
        default_factory=SynchronizationConfig
    )
    gallery: GalleryConfig = dataclasses.field(default_factory=GalleryConfig)


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The files; see the flags of launch/analyze_transcripts.py."""

    transcripts: str = ""
    posteriors: str = ""
    words: str = ""
    lengths: str = ""
    metadata: str = ""
    languages: tuple[str, ...] = ()
    video_column: str = "video"
    language_column: str = "language"
    gallery_subset: str = ""

    def __post_init__(self) -> None:
        """Raises ConfigurationError for inputs that do not go together."""
        for name in ("posteriors", "words"):
            if getattr(self, name) and not self.transcripts:
                raise ConfigurationError(f"--{name} needs --transcripts")
        if bool(self.metadata) != bool(self.languages):
            raise ConfigurationError("--metadata and --languages go together")
        if self.gallery_subset and not (self.lengths and self.words):
            raise ConfigurationError("--gallery_subset needs --lengths, --transcripts and --words")
        if not (self.posteriors or self.words or self.lengths or self.metadata):
            raise ConfigurationError(
                "nothing to analyse: give --posteriors, --words, --lengths or --metadata"
            )


def run(inputs: Inputs, output: str, config: AnalysisConfig | None = None) -> str:
    """Analyses and writes; returns the report as Markdown.

    Raises:
      UserError: a file cannot be read or written, or nothing is left to analyse.
    """
    config = config or AnalysisConfig()
    if not output:
        raise UserError("--output is empty: name a folder")
    files.check_writable(os.path.join(output, REPORT), "output")
    chosen = _chosen(inputs)
    said = transcripts.read(inputs.transcripts, config.transcripts) if inputs.transcripts else {}
    said = {video: each for video, each in said.items() if _is_kept(video, chosen)}
    frames = _frames(inputs, chosen)
    names = read_names(files.read_text(inputs.words).splitlines()) if inputs.words else []
    seconds = video_tables.read_lengths(inputs.lengths) if inputs.lengths else {}
    seconds = {
        subset: {video: length for video, length in own.items() if _is_kept(video, chosen)}
        for subset, own in seconds.items()
    }
    analyses = Analyses(
        chosen,
        synchronization.lengths(seconds) if inputs.lengths else None,
        synchronization.synchronization(frames, said, config.synchronization)
        if inputs.posteriors
        else None,
        synchronization.count_words(said, names) if inputs.words else None,
    )
    gallery = _gallery(inputs, seconds, said, names, config.gallery)
    if chosen is not None:
        rows = ((video,) for video in chosen.kept)
        files.write_text(os.path.join(output, VIDEOS), csv_rows.to_csv(("clip",), rows))
    text = transcript_report.markdown(analyses)
    if gallery is not None:
        files.write_text(os.path.join(output, GALLERY), weak_pairs.clips_csv(gallery))
        text += f"\n{len(gallery)} pairs whose sound says a word of the list: {GALLERY}\n"
    if analyses.synchronization and analyses.synchronization.frames:
        chart = os.path.join(output, CHART)
        curve = transcript_report.curve(analyses.synchronization)
        plots.line_chart(chart, curve, "window (s)", "frames (%)")
    saved = {
        **transcript_report.values(analyses),
        "inputs": configuration.to_dict(inputs),
        "settings": configuration.to_dict(config),
    }
    configuration.save(os.path.join(output, f"{REPORT}.json"), saved)
    files.write_text(os.path.join(output, f"{REPORT}.md"), text)
    return text


def _chosen(inputs: Inputs) -> Chosen | None:
    if not inputs.metadata:
        return None
    languages = video_tables.read_languages(
        inputs.metadata, inputs.video_column, inputs.language_column
    )
    chosen = video_tables.choose_languages(languages, inputs.languages)
    if not chosen.kept:
        raise UserError(
            f"--languages={','.join(inputs.languages)}: no video of {inputs.metadata} has one of"
            f" these; it has {', '.join(chosen.dropped) or 'none at all'}"
        )
    return chosen


def _is_kept(video: str, chosen: Chosen | None) -> bool:
    return chosen is None or video in chosen.kept


def _frames(inputs: Inputs, chosen: Chosen | None) -> list[Frame]:
    if not inputs.posteriors:
        return []
    found = posteriors.read(files.expand_patterns(inputs.posteriors, "posteriors"))
    return [frame for frame in found.frames if _is_kept(frame.video, chosen)]


def _gallery(
    inputs: Inputs,
    seconds: dict[str, dict[str, float]],
    said: dict[str, Transcript],
    names: list[str],
    config: GalleryConfig,
) -> list[weak_pairs.Pair] | None:
    if not inputs.gallery_subset:
        return None
    if inputs.gallery_subset not in seconds:
        raise UserError(
            f"--gallery_subset={inputs.gallery_subset}: {inputs.lengths} has the subsets"
            f" {', '.join(seconds)}"
        )
    pairs = spoken_gallery.candidates(seconds[inputs.gallery_subset], said, names, config)
    if not pairs:
        raise UserError(
            f"no word of {inputs.words} is said within {config.audio_seconds:g} s of sound in the"
            f" videos of subset {inputs.gallery_subset}"
        )
    return spoken_gallery.draw(pairs, config)
