"""A report on narrated videos: synchronisation, words, lengths; as Markdown and as JSON."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from avc.synchronization import Lengths, SpokenWords, Synchronization
from avc.video_tables import Chosen
from crossmodal import reports

TITLES = {"any_word": "any word of a name", "exact_name": "a whole name"}
# Rows of the table of words.
MOST_WORDS = 20


@dataclasses.dataclass(frozen=True)
class Analyses:
    """What was analysed; None where it was not asked for."""

    languages: Chosen | None = None
    lengths: Mapping[str, Lengths] | None = None
    synchronization: Synchronization | None = None
    words: SpokenWords | None = None


def values(analyses: Analyses) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        field.name: _plain(getattr(analyses, field.name))
        for field in dataclasses.fields(analyses)
        if getattr(analyses, field.name) is not None
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value


def markdown(analyses: Analyses) -> str:
    """The report for reading."""
    parts = []
    if analyses.languages:
        parts.append(_languages(analyses.languages))
    if analyses.lengths is not None:
        parts.append(_lengths(analyses.lengths))
    if analyses.synchronization:
        parts.append(_synchronization(analyses.synchronization))
    if analyses.words:
        parts.append(_words(analyses.words))
    return "# Narrated videos\n\n" + "\n\n".join(parts) + "\n"


def _languages(chosen: Chosen) -> str:
    rows = [["kept", str(len(chosen.kept))]]
    rows += [[f"dropped: {tag}", str(number)] for tag, number in chosen.dropped.items()]
    rows.append(["dropped: no language given", str(len(chosen.without))])
    return "## Languages\n\n" + reports.markdown(["videos", "number"], rows, 1)


def _lengths(lengths: Mapping[str, Lengths]) -> str:
    rows = [
        [
            subset, str(own.videos), f"{own.shortest_seconds:.1f}", f"{own.longest_seconds:.1f}",
            f"{own.mean_seconds:.1f}",
        ]
        for subset, own in lengths.items()
    ]
    header = ["subset", "videos", "shortest (s)", "longest (s)", "mean (s)"]
    return "## Lengths of videos\n\n" + reports.markdown(header, rows, 1)


def _synchronization(found: Synchronization) -> str:
    text = (
        f"## Synchronisation\n\n{found.frames} frames of a class, of videos with a transcript;"
        f" {found.without_transcript} more are of videos without one. Share of the frames around"
        " which a window of so many seconds holds a word of one of their likeliest names:\n\n"
    )
    windows = sorted({window for shares in found.shares.values() for window in shares})
    rows = [
        [f"{window:g}", *(f"{100 * found.shares[kind][window]:.1f}" for kind in found.shares)]
        for window in windows
    ]
    header = ["window (s)", *(f"{TITLES[kind]} (%)" for kind in found.shares)]
    return text + reports.markdown(header, rows, 0)


def _words(found: SpokenWords) -> str:
    text = (
        f"## Words of the list\n\n{found.different:.1f} different ones in a video and"
        f" {found.total:.1f} in all, on average over {found.videos} videos with a transcript;"
        f" {found.without} of them say none.\n\n"
    )
    rows = [
        [word, str(videos), str(times)]
        for word, (videos, times) in list(found.by_word.items())[:MOST_WORDS]
    ]
    return text + reports.markdown(["word", "videos", "times"], rows, 1)


def curve(found: Synchronization) -> dict[str, dict[str, dict[float, float]]]:
    """The shares in percent, as `crossmodal.plots.line_chart` draws them."""
    lines = {
        TITLES[kind]: {window: 100 * share for window, share in shares.items()}
        for kind, shares in found.shares.items()
    }
    return {"spoken of near the frame": lines}
