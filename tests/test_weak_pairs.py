import csv
import json
import random

import pytest

from avc import labelling, posteriors, weak_pairs
from avc.posteriors import Frame
from avc.spoken_words import Transcript, Word, spread
from avc.weak_pairs import LabelConfig, Pair
from crossmodal.errors import ConfigurationError, UserError

HEADER = "video,seconds,class,posterior,none_posterior\n"


def frame(video, seconds, none=None, **classes):
    ordered = sorted(classes.items(), key=lambda item: (-item[1], item[0]))
    named = tuple((name.replace("_", " "), value) for name, value in ordered)
    return Frame(video, seconds, named, none)


def words(*said):
    return Transcript(tuple(Word(text, start, end) for text, start, end in said))


def read(tmp_path, text, name="p.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return posteriors.read([str(tmp_path / name)])


def test_posteriors_are_read_frame_by_frame(tmp_path):
    found = read(
        tmp_path,
        HEADER + "v,2,b,.2,.1\nv,1,a,.4,\nv,2,a,.2,.1\nv,2.0,c,.5,.1\nv,2,c,0.5,.1\nu,9,,,.99\n",
    )
    assert found.frames == (
        Frame("u", 9.0, (), 0.99),
        Frame("v", 1.0, (("a", 0.4),)),
        Frame("v", 2.0, (("c", 0.5), ("a", 0.2), ("b", 0.2)), 0.1),
    )
    assert found.has_none and found.repeated_rows == 1 and found.videos == ["u", "v"]
    assert found.frames[2].top(2) == ("c", "a") and found.frames[0].posterior == 0
    without = read(tmp_path, "posterior,class,seconds,video\n.5,a,1,v\n")
    assert not without.has_none and without.frames[0].none_posterior is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("v,1,a,1.2,0\n", "line 2: posterior is '1.2': it must be a number from 0 to 1"),
        ("v,1,a,nan,0\n", "line 2: posterior is 'nan'"),
        ("v,1,a,,0\n", "line 2: posterior is ''"),
        ("v,x,a,.1,0\n", "line 2: seconds is 'x'"),
        ("v,1,a;b,.1,0\n", "line 2: class is 'a;b'"),
        ("v,1,,.1,0\n", "line 2: class is ''"),
        (",1,a,.1,0\n", "line 2: video is empty"),
        ("v,1,a,.1,0\n\nv,1,b,.1,.5\n", "line 4: none_posterior of video v at 1 s is 0.5 here"),
        ("v,1,a,.1,0\nv,1,a,.2,0\n", "line 3: a of video v at 1 s is 0.2 here and 0.1"),
        ("v,1,a\n", "line 2: has 3 columns, not 5"),
    ],
)
def test_malformed_posteriors_are_one_line(tmp_path, rows, message):
    with pytest.raises(UserError, match=rf"p\.csv: {message}") as caught:
        read(tmp_path, HEADER + rows)
    assert "\n" not in str(caught.value)


def test_pairs_are_those_of_section_6():
    frames = [
        frame("v", 30, 0.0, olive_oil=0.5, pan=0.2),
        frame("v", 31, 0.0, olive_oil=0.49),  # not likely enough, and not nothing
        frame("v", 60, 0.0, olive_oil=0.9),  # said too far away
        frame("v", 32, 0.0, bread=0.9, a=0.05, b=0.04, c=0.03, d=0.02, oil=0.01),  # oil is sixth
        frame("v", 90, 0.99, bread=0.9),  # both: neither
        frame("v", 91, 0.95),
        frame("v", 0.2, 0.97, bread=0.3),
        frame("v", 93, 0.94),
        frame("deaf", 30, 0.0, olive_oil=0.9),
        frame("deaf", 40, 0.96),
    ]
    said = {"v": words(("Olive".lower(), 20, 21), ("oil", 21, 22), ("olive", 48, 49))}
    found = weak_pairs.label(frames, said, LabelConfig(negatives_per_positive=3))
    assert found.pairs == (
        Pair("v", 30, 20.0, 20.0, "olive oil", ("olive oil",), (20,)),
        Pair("v", 91, 90.5, 1.0, "none"),
        Pair("v", 0.2, 0.0, 0.7, "none"),
        Pair("deaf", 40, 39.5, 1.0, "none"),
    )
    assert found.counts == {
        "frames": 10,
        "frames of a class": 5,
        "frames of a class without a transcript": 1,
        "positive pairs": 1,
        "negative pairs": 3,
        "negative pairs wanted": 3,
        "frames with nothing of the kind": 3,
    }
    assert found.without_transcript == ("deaf",)


@pytest.mark.parametrize(
    ("start", "end", "inside"), [(20, 20.4, True), (19.99, 20.4, False), (39.6, 40, True),
                                 (39.6, 40.01, False), (20, 40, True)],
)
def test_a_word_at_the_edge_of_the_window_counts_if_all_of_it_is_heard(start, end, inside):
    found = weak_pairs.label([frame("v", 30, fig=0.9)], {"v": words(("fig", start, end))})
    assert (len(found.pairs) == 1) == inside


def test_all_names_that_are_said_are_told_the_likeliest_first():
    seen = frame("v", 12.3, salt=0.6, red_wine=0.2, fig=0.1)
    said = {"v": Transcript(tuple(spread("fig salt wine, red WINE. salt", 2.3, 14.3)))}
    (pair,) = weak_pairs.label([seen], said).pairs
    assert pair.words == ("salt", "red wine", "fig") and pair.label == "salt"
    assert pair.word_start_seconds == pytest.approx((12.3, 8.3, 2.3))
    assert (pair.audio_start_seconds, pair.audio_seconds) == pytest.approx((2.3, 20))


def test_negatives_are_drawn_by_the_seed_and_as_many_as_positives():
    frames = [frame("v", s, 0.0, fig=0.9) for s in range(40)]
    frames += [frame("w", s, 1.0) for s in range(200)]
    said = {"v": words(("fig", 10, 10.5))}

    def negatives(**changes):
        pairs = weak_pairs.label(frames, said, LabelConfig(**changes)).pairs
        return [pair.frame_seconds for pair in pairs if pair.label == "none"]

    positives = [s for s in range(40) if s - 10 <= 10 and s + 10 >= 10 and s + 10 >= 10.5]
    assert len(negatives()) == len(positives) == len(set(negatives()))
    assert negatives() == negatives() == sorted(negatives()) != negatives(seed=1)
    assert len(negatives(negatives_per_positive=0.5)) == round(len(positives) / 2)
    assert len(negatives(negatives_per_positive=1000)) == 200
    assert negatives(negatives_per_positive=0) == []


def test_positives_agree_with_a_brute_force_search():
    rng = random.Random(1)
    letters = "abcdefgh"
    for _ in range(20):
        said = tuple(
            Word(rng.choice(letters), t, t + 0.5) for t in sorted(rng.sample(range(100), 25))
        )
        frames = [
            frame("v", t, **{x: rng.random() for x in letters}) for t in range(0, 100, 7)
        ]
        config = LabelConfig(search_seconds=rng.choice((1, 5, 12)), top_classes=rng.choice((1, 3)))
        expected = {}
        for each in frames:
            likely = sorted(each.classes, key=lambda c: -c[1])[: config.top_classes]
            low, high = (each.seconds + sign * config.search_seconds / 2 for sign in (-1, 1))
            heard = {w.text for w in said if low <= w.start_seconds and w.end_seconds <= high}
            names = tuple(name for name, _ in likely if name in heard)
            if likely[0][1] >= 0.5 and names:
                expected[each.seconds] = names
        found = weak_pairs.label(frames, {"v": Transcript(said)}, config)
        assert {pair.frame_seconds: pair.words for pair in found.pairs} == expected


def test_wrong_numbers_are_refused():
    with pytest.raises(ConfigurationError, match="class_posterior is 2"):
        LabelConfig(class_posterior=2)
    with pytest.raises(ConfigurationError, match="positive_seconds is 0"):
        LabelConfig(positive_seconds=0)


def test_the_bundled_example_becomes_files(tmp_path, testdata):
    narration = testdata / "narration"
    text = labelling.run(
        str(narration / "transcripts"), str(narration / "posteriors.csv"), str(tmp_path / "out")
    )
    assert "1 videos have no transcript: unheard" in text
    with open(tmp_path / "out" / "pairs.csv", newline="") as file:
        pairs = list(csv.DictReader(file))
    assert [(p["video"], p["frame_seconds"], p["label"]) for p in pairs[:3]] == [
        ("bread", "4", "dough"), ("pesto", "6", "olive oil"), ("soup", "12", "carrot"),
    ]
    assert [p["label"] for p in pairs[3:]] == ["none"] * 3
    with open(tmp_path / "out" / "clips.csv", newline="") as file:
        clips = list(csv.DictReader(file))
    assert clips[1] == {
        "clip": "pesto", "start_seconds": "0", "seconds": "16", "frame_seconds": "6",
        "labels": "olive oil",
    }
    saved = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert saved["settings"]["labels"]["search_seconds"] == 20
    assert saved["counts"]["positive pairs"] == 3
    assert saved["videos_without_transcript"] == ["unheard"]


def test_no_pair_at_all_is_one_line_and_no_file(tmp_path, testdata):
    (tmp_path / "p.csv").write_text(HEADER + "other,1,fig,.9,0\n")
    with pytest.raises(UserError, match="no frame became a pair: 1 frames have a class"):
        labelling.run(
            str(testdata / "narration" / "transcripts"), str(tmp_path / "p.csv"),
            str(tmp_path / "out"),
        )
    assert not list((tmp_path / "out").glob("*.csv"))
