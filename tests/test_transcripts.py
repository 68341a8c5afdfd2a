import math
import random
import sys

import pytest

from avc import transcripts
from avc.spoken_words import Transcript, Word, normalise, read_names, spread
from avc.transcripts import TranscriptConfig
from crossmodal.errors import ConfigurationError, UserError

ROLLING = """WEBVTT
Kind: captions

00:00:00.000 --> 00:00:02.000 align:start position:0%
\N{SPACE}
pour<00:00:00.500><c> olive</c><00:00:01.000><c> oil</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
pour olive oil

00:00:02.010 --> 00:00:04.000 align:start position:0%
pour olive oil
pour<00:00:03.000><c> again</c>
"""


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def said(transcript):
    return [(w.text, w.start_seconds, w.end_seconds) for w in transcript.words]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Olive OIL, please!", ("olive", "oil", "please")),
        ("Granny_Smith stir-fry", ("granny", "smith", "stir", "fry")),
        ("don't don’t", ("dont", "dont")),
        ("ﬁsh Ｓａｌｔ", ("fish", "salt")),  # ligature and full-width letters
        ("CAFÉ café", ("café", "café")),  # composed or not
        ("Straße 2", ("strasse", "2")),
        ("हिन्दी", ("हिन्दी",)),  # signs of vowels are marks
        ("... -- ♪", ()),
    ],
)
def test_words_are_compared_without_case_and_punctuation(text, words):
    assert normalise(text) == words


def test_words_of_a_cue_without_times_have_equal_parts_of_it(tmp_path):
    path = write(tmp_path, "v.srt", "1\n00:00:10,000 --> 00:00:14,000\n<i>Two ripe</i>\nred figs\n")
    even = [("two", 10, 11), ("ripe", 11, 12), ("red", 12, 13), ("figs", 13, 14)]
    assert said(transcripts.read_captions(path)) == even
    whole = transcripts.read_captions(path, TranscriptConfig(cue_words="whole"))
    assert said(whole) == [(word, 10, 14) for word, _, _ in even]
    with pytest.raises(ConfigurationError, match="cue_words is 'some'"):
        TranscriptConfig(cue_words="some")


def test_times_within_a_cue_are_used_and_rolled_up_lines_are_read_once(tmp_path):
    path = write(tmp_path, "v.en.vtt", ROLLING)
    assert said(transcripts.read_captions(path)) == [
        ("pour", 0.0, 0.5), ("olive", 0.5, 1.0), ("oil", 1.0, 2.0),
        ("pour", 2.01, 3.0), ("again", 3.0, 4.0),
    ]
    every = transcripts.read_captions(path, TranscriptConfig(drop_repeated_lines=False))
    assert every.counts == {"pour": 4, "olive": 3, "oil": 3, "again": 1}


def test_the_same_line_after_a_pause_is_said_again(tmp_path):
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nstir\n\n00:05.000 --> 00:06.000\nstir &amp; stir\n"
    found = transcripts.read_captions(write(tmp_path, "v.vtt", text))
    assert said(found) == [("stir", 1, 2), ("stir", 5, 5.5), ("stir", 5.5, 6)]


def test_overlapping_cues_do_not_tear_a_name_apart(tmp_path):
    cues = "1\n00:00:01,000 --> 00:00:05,000\nadd olive oil now\n\n" \
           "2\n00:00:02,000 --> 00:00:04,000\nyes chef\n"
    found = transcripts.read_captions(write(tmp_path, "v.srt", cues))
    assert found.occurrences(("olive", "oil")) == [(2.0, 4.0)]
    assert found.occurrences(("oil", "olive")) == []
    inside = [w.text for w in found.within(2.0, 4.0)]
    assert sorted(inside) == ["chef", "oil", "olive", "yes"]


def test_rows_of_words_are_of_any_number_of_videos(tmp_path):
    path = write(
        tmp_path, "words.csv",
        "\ufeffword,video,end_seconds,start_seconds,confidence\n"
        'b,v,3,2,.1\n"stir-fry, hot",v,2,.5,.9\n\nquiet?,w,1,1,1\n,silent,,,\n',
    )
    found = transcripts.read(path)
    assert said(found["v"]) == [("stir", 0.5, 1), ("fry", 1, 1.5), ("hot", 1.5, 2), ("b", 2, 3)]
    assert said(found["w"]) == [("quiet", 1, 1)]
    assert found["silent"] == Transcript()


def test_a_folder_is_read_by_the_names_of_its_files(tmp_path):
    write(tmp_path, "a/one.en-US.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nhi\n")
    write(tmp_path, "two.srt", "")
    write(tmp_path, "notes.txt", "not a transcript")
    found = transcripts.read(str(tmp_path))
    assert set(found) == {"one", "two"} and not found["two"].words
    write(tmp_path, "one.csv", "video,word,start_seconds,end_seconds\none,hi,1,2\n")
    with pytest.raises(UserError, match=r"one\.csv: video one already has .*one.en-US.vtt"):
        transcripts.read(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("v.vtt", "hello", "v.vtt: is no WebVTT file"),
        ("v.srt", "hello", "v.srt: is no SRT file"),
        ("v.vtt", "WEBVTT\n\n00:01.000 --> 00:99.000\nx\n", "v.vtt: line 3: '00:01.000 --> 00:99"),
        ("v.srt", "1\n00:00:01,000 --> soon\nx\n", "v.srt: line 2: '00:00:01,000 --> soon'"),
        ("v.srt", "1\n00:00:03,000 --> 00:00:02,000\nx\n", "v.srt: line 2: .*before it begins"),
        ("v.srt", "1\n00:01,000 --> 00:02,000\nx\n", "line 2: .*such as 00:00:01,000 -->"),
        ("v.csv", "video,word\nv,x\n", "v.csv: its header is video,word: it must have"),
        ("v.csv", "video,word,start_seconds,end_seconds\n\nv,x,1\n", "v.csv: line 3: has 3 col"),
        ("v.csv", "video,word,start_seconds,end_seconds\nv,x,1,a\n", "line 2: end_seconds is 'a'"),
        ("v.csv", "video,word,start_seconds,end_seconds\nv,x,-1,2\n", "start_seconds is '-1'"),
        ("v.csv", "video,word,start_seconds,end_seconds\nv,x,3,2\n", "line 2: end_seconds 2 is"),
        ("v.csv", "video,word,start_seconds,end_seconds\n,x,3,2\n", "line 2: video is empty"),
        ("v.csv", "", "v.csv: is empty"),
        ("v.txt", "", "holds no file .vtt, .srt, .csv"),
    ],
)
def test_what_is_malformed_is_one_line_with_its_place(tmp_path, name, text, message):
    write(tmp_path, name, text)
    with pytest.raises(UserError, match=message) as caught:
        transcripts.read(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_the_shortest_window_holds_the_nearest_occurrence_whole():
    rng = random.Random(3)
    for _ in range(50):
        starts = sorted(round(rng.uniform(0, 60), 2) for _ in range(30))
        words = tuple(Word(rng.choice("abc"), s, s + rng.choice((0, 0.3, 2))) for s in starts)
        transcript, at = Transcript(words), rng.uniform(0, 60)
        name = rng.choice((("a",), ("a", "b"), ("c", "c", "a")))
        found, start, end = transcript.nearest(name, at)
        expected = math.inf
        for i in range(len(words)):
            part = words[i : i + len(name)]
            if [w.text for w in part] == list(name):
                reach = max(w.end_seconds for w in part) - at, at - part[0].start_seconds
                expected = min(expected, 2 * max(*reach, 0))
        assert found == pytest.approx(expected, abs=1e-6)
        if math.isfinite(found):
            assert at - found / 2 <= start + 1e-6 and end <= at + found / 2 + 1e-6


def test_lists_of_names_and_spreading():
    lines = ["Olive oil # green", "", "# all", "basil", "basil", "!!"]
    assert read_names(lines) == ["Olive oil", "basil"]
    assert spread("", 1, 2) == []


def test_without_the_package_for_captions_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "webvtt", None)
    path = write(tmp_path, "v.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nhi\n")
    with pytest.raises(UserError, match="install the package with its extra `weak`"):
        transcripts.read_captions(path)
    words = write(tmp_path, "w.csv", "video,word,start_seconds,end_seconds\nv,hi,1,2\n")
    assert transcripts.read_csv(words)["v"].counts == {"hi": 1}
