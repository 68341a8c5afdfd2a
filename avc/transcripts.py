"""Transcripts: words and their times from WebVTT, SRT or CSV.

Where Boggust et al. 2019, section 3.1, take word boundaries from a recogniser, its output
is the CSV form. Captions (WebVTT, SRT) are read by the package `webvtt-py`: a WebVTT
cue may hold times of words (`Olive <00:00:02.000>oil`), and between two times words are
spread evenly; so they are over a cue without any.
"""

import dataclasses
import html
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence

from avc import clip_files, csv_rows
from avc.spoken_words import Transcript, Word, normalise, spread
from crossmodal import files
from crossmodal.configuration import check_choice
from crossmodal.errors import UserError

SUFFIXES = (".vtt", ".srt", ".csv")
CUE_WORDS = ("even", "whole")
COLUMNS = ("video", "word", "start_seconds", "end_seconds")
_LANGUAGE = re.compile(r"(?P<video>.+)\.[a-z]{2}(-[A-Za-z0-9]+)*")
_CLOCK = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})\.(\d{1,3})"
_CLOCKS = {"vtt": _CLOCK, "srt": r"(\d+):(\d{1,2}):(\d{1,2}),(\d{1,3})"}
_EXAMPLES = {"vtt": "00:01.000 --> 00:02.000", "srt": "00:00:01,000 --> 00:00:02,000"}
_WORD_TIME = re.compile(rf"<{_CLOCK}>")
_TAG = re.compile(r"<[^>]*>")


@dataclasses.dataclass(frozen=True)
class TranscriptConfig:
    """How captions become words; saved with what is made of them.

    Attributes:
      cue_words: where a cue does not say when its words are said: `even`, each takes an equal
        part of it, or `whole`, each may be anywhere and so takes all of it.
      drop_repeated_lines: whether the first lines of a cue that repeat the last ones of the
        cue just before are left out: captions that roll up show each line twice or more.
    """

    cue_words: str = "even"
    drop_repeated_lines: bool = True

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its choices."""
        check_choice("cue_words", self.cue_words, CUE_WORDS)


def read(where: str, config: TranscriptConfig | None = None) -> dict[str, Transcript]:
    """Reads the transcripts of videos.

    Args:
      where: a folder, or glob patterns separated by commas. `ID.vtt`, `ID.en.vtt` and
        `ID.srt` are of video ID; a CSV file may be of many, see `read_csv`. Other files of
        a folder are passed over.
      config: how.

    Returns:
      Transcripts by video; one without words is of a video in which nothing is said.

    Raises:
      UserError: there is no transcript, a file cannot be read, or two are of one video.
    """
    config = config or TranscriptConfig()
    found: dict[str, Transcript] = {}
    sources: dict[str, str] = {}
    for file in clip_files.list_inputs(where, flag="transcripts"):
        suffix = os.path.splitext(file.name)[1].lower()
        if suffix not in SUFFIXES:
            continue
        if file.problem:
            raise UserError(f"{file.path}: {file.problem}")
        own = (
            read_csv(file.path)
            if suffix == ".csv"
            else {video_of(file.name): read_captions(file.path, config)}
        )
        for video, transcript in own.items():
            if video in found:
                raise UserError(
                    f"{file.path}: video {video} already has the transcript {sources[video]};"
                    " leave one of them out"
                )
            found[video], sources[video] = transcript, file.path
    if not found:
        raise UserError(f"--transcripts={where}: holds no file {', '.join(SUFFIXES)} with words")
    return found


def video_of(name: str) -> str:
    """The video's id in the name of a caption file: without folder, suffix and language."""
    stem = os.path.splitext(name.rpartition("/")[2])[0]
    match = _LANGUAGE.fullmatch(stem)
    return match["video"] if match else stem


def read_csv(path: str) -> dict[str, Transcript]:
    """Reads `video,word,start_seconds,end_seconds`, with a header, of any number of videos.

    Rows may come in any order. A row with a video alone says that nothing is said in it. A
    "word" of several (`stir-fry`) is spread evenly over its time.

    Raises:
      UserError: a row cannot be read; names the file and the line.
    """
    words: dict[str, list[Word]] = {}
    for line, row in csv_rows.read(path, COLUMNS):
        if not row["video"]:
            csv_rows.fail(path, line, "video is empty")
        own = words.setdefault(row["video"], [])
        if not (row["word"] or row["start_seconds"] or row["end_seconds"]):
            continue
        start = csv_rows.number(path, line, row, "start_seconds")
        end = csv_rows.number(path, line, row, "end_seconds")
        if end < start:
            csv_rows.fail(path, line, f"end_seconds {end:g} is before start_seconds {start:g}")
        own += spread(row["word"], start, end)
    return {
        video: Transcript(tuple(sorted(own, key=lambda word: word.start_seconds)))
        for video, own in words.items()
    }


def read_captions(path: str, config: TranscriptConfig | None = None) -> Transcript:
    """Reads a WebVTT (.vtt) or SRT file.

    Raises:
      UserError: `webvtt-py` is not installed, or the file is malformed.
    """
    config = config or TranscriptConfig()
    text = files.read_text(path)
    form = os.path.splitext(path)[1].lower().lstrip(".")
    _check_timings(path, text, form)
    cues = sorted(_cues(path, text, form), key=lambda cue: cue[0])
    words: list[Word] = []
    previous: Sequence[str] = ()
    until = -1.0
    for start, end, raw in cues:
        lines = [line for line in raw.split("\n") if normalise(_plain(line))]
        plain = [normalise(_plain(line)) for line in lines]
        repeated = _overlap(previous, plain) if start <= until + 0.1 else 0
        if config.drop_repeated_lines:
            lines = lines[repeated:]
        words += _cue_words("\n".join(lines), start, end, config)
        previous, until = plain, end
    return Transcript(tuple(words))


def _cues(path: str, text: str, form: str) -> Iterator[tuple[float, float, str]]:
    try:
        import webvtt
        from webvtt.errors import MalformedCaptionError, MalformedFileError
    except ImportError as error:
        raise UserError(f"{error}: install the package with its extra `weak`") from error
    if form == "srt" and not text.strip():
        return
    try:
        captions = webvtt.from_buffer(io.StringIO(text), format=form, strict=form == "vtt")
    except (MalformedFileError, MalformedCaptionError) as error:
        kind = "WebVTT" if form == "vtt" else "SRT"
        raise UserError(f"{path}: is no {kind} file ({error})") from error
    for cue in captions:
        times = (cue.start_time, cue.end_time)
        start, end = (time.in_milliseconds() / 1000 for time in times)
        yield start, end, cue.raw_text


def _check_timings(path: str, text: str, form: str) -> None:
    """Looks at the lines with times: the parser passes over some, and tells no line's number."""
    timing = re.compile(rf"\s*{_CLOCKS[form]}\s*-->\s*{_CLOCKS[form]}(\s.*)?")
    for number, line in enumerate(text.splitlines(), 1):
        if "-->" not in line:
            continue
        match = timing.fullmatch(line)
        if not match or any(int(match[i]) > 59 for i in (2, 3, 6, 7)):
            reason = f"{line.strip()!r} is not a time such as {_EXAMPLES[form]}"
            csv_rows.fail(path, number, reason)
        if _seconds(match.groups()[4:8]) < _seconds(match.groups()[:4]):
            csv_rows.fail(path, number, f"{line.strip()!r} ends before it begins")


def _cue_words(raw: str, start: float, end: float, config: TranscriptConfig) -> Iterable[Word]:
    """The words of a cue, by the times within it."""
    pieces = _WORD_TIME.split(raw)
    # Between two pieces of text are the four numbers of a time.
    begins = [start, *(_seconds(pieces[i : i + 4]) for i in range(1, len(pieces), 5))]
    ends = [*begins[1:], end]
    for text, begin, stop in zip(pieces[::5], begins, ends, strict=True):
        begin = min(max(begin, start), end)
        found = spread(_plain(text), begin, min(max(stop, begin), end))
        if len(begins) == 1 and config.cue_words == "whole":
            found = [dataclasses.replace(w, start_seconds=start, end_seconds=end) for w in found]
        yield from found


def _overlap(before: Sequence, now: Sequence) -> int:
    """How many of the first lines repeat the last ones of the cue before."""
    lengths = range(min(len(before), len(now)), 0, -1)
    return next((n for n in lengths if list(before[-n:]) == list(now[:n])), 0)


def _plain(text: str) -> str:
    return html.unescape(_TAG.sub("", text))


def _seconds(clock: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = clock
    whole = 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)
    return whole + int(fraction.ljust(3, "0")) / 1000
