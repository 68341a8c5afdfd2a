import json
import random

import pytest

from avc import synchronization, transcript_analysis, video_tables
from avc.posteriors import Frame
from avc.spoken_gallery import GalleryConfig, candidates, draw
from avc.spoken_words import Transcript, Word, spread
from avc.synchronization import SynchronizationConfig, count_words
from avc.transcript_analysis import Inputs
from crossmodal.errors import ConfigurationError, UserError


def said(*words):
    return Transcript(tuple(Word(*word) for word in words))


def test_the_curve_is_that_of_a_brute_force_search():
    rng = random.Random(5)
    names = ("olive oil", "olive", "red wine", "salt", "oil pan", "fig")
    windows = (1, 3, 8, 20, 50)
    for _ in range(10):
        transcripts = {
            video: said(*((rng.choice(["olive", "oil", "red", "wine", "salt", "pan"]), t, t + 1)
                          for t in sorted(rng.sample(range(120), 15))))
            for video in "uvw"
        }
        frames = [
            Frame(video, t, tuple(sorted(((n, rng.random()) for n in names),
                                         key=lambda c: -c[1])))
            for video in "uvwx" for t in range(0, 120, 11)
        ]
        config = SynchronizationConfig("class", 0.8, 2, windows)
        found = synchronization.synchronization(frames, transcripts, config)
        chosen = [f for f in frames if f.classes[0][1] > 0.8]
        heard = [f for f in chosen if f.video != "x"]
        assert (found.frames, found.without_transcript) == (len(heard), len(chosen) - len(heard))

        def near(frame, kind, window, transcripts=transcripts):
            low, high = frame.seconds - window / 2, frame.seconds + window / 2
            words = transcripts[frame.video].words
            for name, _ in frame.classes[:2]:
                parts = [[w] for w in name.split()] if kind == "any_word" else [name.split()]
                for part in parts:
                    for i in range(len(words) - len(part) + 1):
                        run = words[i : i + len(part)]
                        if [w.text for w in run] == part and all(
                            low <= w.start_seconds and w.end_seconds <= high for w in run
                        ):
                            return True
            return False

        for kind in ("any_word", "exact_name"):
            for window in windows:
                expected = sum(near(f, kind, window) for f in heard) / len(heard)
                assert found.shares[kind][float(window)] == pytest.approx(expected)
        exact, either = (list(found.shares[k].values()) for k in ("exact_name", "any_word"))
        assert either == sorted(either) and all(a <= b for a, b in zip(exact, either, strict=True))


def test_frames_may_be_selected_by_what_is_not_nothing():
    frames = [Frame("v", 1, (("fig", 0.2),), 0.3), Frame("v", 2, (("fig", 0.9),), 0.5)]
    by_none = SynchronizationConfig(select_by="none")
    assert synchronization.synchronization(frames, {"v": Transcript()}, by_none).frames == 1
    empty = synchronization.synchronization([], {}, by_none)
    assert empty.frames == 0 and empty.shares == {"any_word": {}, "exact_name": {}}
    with pytest.raises(ConfigurationError, match="video v has no none_posterior at 3 s"):
        synchronization.synchronization([Frame("v", 3)], {}, by_none)
    with pytest.raises(ConfigurationError, match="ascending order"):
        SynchronizationConfig(windows_seconds=(5, 2))


def test_words_of_a_list_are_counted_by_video():
    transcripts = {
        "a": Transcript(tuple(spread("Olive oil, oil and OLIVE OIL", 0, 6))),
        "b": Transcript(tuple(spread("oil", 0, 1))),
        "c": Transcript(tuple(spread("hello", 0, 1))),
        "d": Transcript(),
    }
    found = count_words(transcripts, ["oil", "Olive Oil", "olive oil", "salt"])
    assert (found.videos, found.without) == (4, 2)
    # a: two different ones, "olive oil" twice and "oil" three times.
    assert (found.different, found.total) == (3 / 4, 6 / 4)
    assert found.by_word == {"oil": (2, 4), "Olive Oil": (1, 2)}
    assert count_words({}, ["oil"]).different == 0


def test_lengths_by_subset(tmp_path):
    plain = tmp_path / "lengths.csv"
    plain.write_text("video,split,seconds\na,train,46\nb,train,1106.1\nc,test,37.8\n")
    found = synchronization.lengths(video_tables.read_lengths(str(plain)))
    assert found["train"] == synchronization.Lengths(2, 46, 1106.1, 576.05)
    assert found["test"].videos == 1
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(
        "file,video,split,start_seconds,seconds,status\n"
        "a.mp4,a,train,0,10,written\na.mp4,a,train,20,3.5,written\na.mp4,a,train,10,10,written\n"
        "b.mp4,b,test,,,no_audio\n"
    )
    assert video_tables.read_lengths(str(manifest)) == {"train": {"a": 23.5}}
    plain.write_text("video,split,seconds\na,train,46\na,test,46\n")
    with pytest.raises(UserError, match=r"lengths\.csv: line 3: video a is in test here"):
        video_tables.read_lengths(str(plain))
    plain.write_text("video,split,seconds\na,train,long\n")
    with pytest.raises(UserError, match=r"line 2: seconds is 'long'"):
        video_tables.read_lengths(str(plain))


def test_languages_are_chosen_by_tag(tmp_path):
    table = tmp_path / "metadata.csv"
    table.write_text("id,lang,title\na,en,x\nb,en-GB,x\nc,eng,x\nd,,x\ne,EN_us,x\nf,de,x\ng,de,x\n")
    found = video_tables.read_languages(str(table), "id", "lang")
    chosen = video_tables.choose_languages(found, ["en"])
    assert chosen.kept == ("a", "b", "e") and chosen.without == ("d",)
    assert chosen.dropped == {"de": 2, "eng": 1}
    both = video_tables.choose_languages(found, ["en-gb", "DE"])
    assert both.kept == ("b", "f", "g")
    as_json = tmp_path / "m.json"
    for values in (
        [{"video": "a", "language": "en"}, {"video": "b", "language": None}],
        {"a": {"language": "en"}, "b": {}},
    ):
        as_json.write_text(json.dumps(values))
        assert video_tables.read_languages(str(as_json)) == {"a": "en", "b": ""}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "video,language\na,en\na,de\n", "line 3: video a has language 'de', and 'en'"),
        ("m.csv", "video,language\n,en\n", "line 2: video is empty"),
        ("m.csv", "video,language\n", "holds no video"),
        ("m.json", '[{"language": "en"}]', "entry 1: video is empty"),
        ("m.json", '["en"]', "entry 1 is no object"),
        ("m.json", "[", "not a JSON file"),
    ],
)
def test_malformed_metadata_is_one_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        video_tables.read_languages(str(tmp_path / name))
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_a_gallery_has_pairs_whose_sound_says_a_word_of_the_list():
    transcripts = {"v": said(("fig", 3.0, 3.5), ("tart", 3.5, 4.2), ("fig", 9.0, 9.4))}
    config = GalleryConfig(audio_seconds=2.0)
    seconds = {"v": 10.0, "deaf": 5.0}
    pairs = candidates(seconds, transcripts, ["fig", "fig tart"], config)
    expected = [
        t for t in range(1, 10)
        if any(t - 1 <= s and e <= t + 1 for s, e in ((3.0, 3.5), (9.0, 9.4)))
    ]
    assert [pair.frame_seconds for pair in pairs] == expected == [3, 4, 9]
    assert all(pair.audio_seconds == 2 for pair in pairs)
    assert [pair.audio_start_seconds for pair in pairs] == [2, 3, 8]
    # "fig tart" ends at 4.2 s: not in the 2 s around 3 s, but in those around 4 s.
    assert [pair.words for pair in pairs] == [("fig",), ("fig", "fig tart"), ("fig",)]
    anything = candidates(seconds, transcripts, None, config)
    assert len(anything) == 9 + 4 and {p.video for p in anything} == {"v", "deaf"}


def test_a_gallery_is_drawn_by_its_seed():
    pairs = candidates({"v": 500.0}, {}, None, GalleryConfig())
    one, two, other = (draw(pairs, GalleryConfig(pairs=100, seed=s)) for s in (0, 0, 1))
    assert one == two != other and len(one) == len({p.frame_seconds for p in one}) == 100
    assert [p.frame_seconds for p in one] == sorted(p.frame_seconds for p in one)
    assert draw(pairs, GalleryConfig(pairs=10_000)) == pairs


def bundled(testdata, **changes):
    folder = testdata / "narration"
    return Inputs(**{
        "transcripts": str(folder / "transcripts"),
        "posteriors": str(folder / "posteriors.csv"),
        "words": str(folder / "words.txt"),
        "lengths": str(folder / "lengths.csv"),
        "metadata": str(folder / "metadata.csv"),
        "languages": ("en",),
        "gallery_subset": "validation",
        **changes,
    })


def test_the_report_of_the_bundled_example(testdata, tmp_path):
    text = transcript_analysis.run(bundled(testdata), str(tmp_path))
    assert text.startswith((tmp_path / "report.md").read_text()[:100])
    report = json.loads((tmp_path / "report.json").read_text())
    # At 12 s a class has just 0.5; of five frames above it, these two are near what is said.
    shares = report["synchronization"]["shares"]
    assert (report["synchronization"]["frames"], shares["exact_name"]["20.0"]) == (5, 0.4)
    assert shares["exact_name"]["40.0"] == 0.8  # "basil" at 31 s, seen at 20 s and at 50 s
    assert report["languages"]["kept"] == ["pesto", "soup", "bread"]
    assert report["lengths"]["validation"]["videos"] == 1
    assert report["words"]["different"] == 2.0
    assert (tmp_path / "videos.csv").read_text() == "clip\npesto\nsoup\nbread\n"
    assert (tmp_path / "gallery.csv").read_text().splitlines()[1:] == [
        "bread,2,2,3,dough", "bread,3,2,4,dough",
    ]
    assert (tmp_path / "synchronization.png").read_bytes().startswith(b"\x89PNG")
    everything = bundled(testdata, metadata="", languages=(), gallery_subset="")
    transcript_analysis.run(everything, str(tmp_path / "all"))
    report = json.loads((tmp_path / "all" / "report.json").read_text())
    assert report["synchronization"]["without_transcript"] == 1
    assert report["words"]["videos"] == 4 and "languages" not in report


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transcripts": ""}, "--posteriors needs --transcripts"),
        ({"languages": ()}, "--metadata and --languages go together"),
        ({"lengths": ""}, "--gallery_subset needs --lengths"),
        ({"languages": ("fr",)}, "--languages=fr: no video of .* it has EN_us, de, en, en-GB"),
        ({"gallery_subset": "val"}, "--gallery_subset=val: .* has the subsets train, validation"),
        ({"gallery_subset": "train", "words": "NEW"}, "no word of .* is said within 2 s"),
    ],
)
def test_inputs_that_do_not_go_together_are_one_line(testdata, tmp_path, changes, message):
    if changes.get("words") == "NEW":
        (tmp_path / "w.txt").write_text("truffle\n")
        changes = {**changes, "words": str(tmp_path / "w.txt")}
    with pytest.raises(UserError, match=message):
        transcript_analysis.run(bundled(testdata, **changes), str(tmp_path / "out"))
    assert not list((tmp_path / "out").glob("report*"))
