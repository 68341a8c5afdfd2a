"""evaluate_yt8m and embed_yt8m against plain Python on the embeddings' own file."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from launching import launch
from short_embeddings import read_videos, write_videos
from sklearn.metrics import average_precision_score

import yt8m_embed
from crossmodal import galleries, shards, tfrecord
from crossmodal.configuration import override
from crossmodal.errors import BadRecordError, UserError
from crossmodal.reading import parsed_blocks
from yt8m_embed import configuration, embedding, evaluation, records
from yt8m_embed.embedding import Embedded
from yt8m_embed.reading import find_kind, open_records
from yt8m_embed.training import find_workdir_data, open_data

SIZES, NUMBER, SEED, EXAMPLES = (100, 256), 5, 4, 40


@pytest.fixture(scope="module")
def dev(testdata) -> str:
    return str(testdata / "yt8m" / "dev" / "*.tfrecord")


@pytest.fixture(scope="module")
def archive(trained, dev, tmp_path_factory) -> dict[str, np.ndarray]:
    path = tmp_path_factory.mktemp("archive") / "dev.npz"
    outcome = launch("embed_yt8m", workdir=trained, input_pattern=dev, output=path)
    assert outcome.status == 0 and f"800 videos embedded: {path}" in outcome.out
    return dict(np.load(path))


@pytest.fixture(scope="module")
def evaluated(trained, dev, testdata, tmp_path_factory):
    """The report and the printed text of one evaluation with everything."""
    path = tmp_path_factory.mktemp("report") / "report.json"
    bundled = testdata / "yt8m"
    outcome = launch(
        "evaluate_yt8m", workdir=trained, eval_pattern=dev, output=path, baseline="cca",
        gallery_sizes="100,256", num_galleries=NUMBER, seed=SEED,
        topic_model=bundled / "topic_model.json", vocabulary=bundled / "vocabulary.csv",
        num_examples=EXAMPLES, figures=path.parent / "figures",
    )
    assert outcome.status == 0, outcome.error
    assert (path.parent / "figures" / "classes.png").read_bytes().startswith(b"\x89PNG")
    return json.loads(path.read_text()), outcome.out


def plain_recall(queries, items, k: int) -> list[float]:
    """Whether each query's own item is among the best k; of ties the expected value."""
    found = []
    for i, query in enumerate(queries):
        scores = [math.fsum(a * b for a, b in zip(query, item, strict=True)) for item in items]
        # Rounding separates equal items by less than different ones.
        better = sum(score > scores[i] + 1e-7 for score in scores)
        level = sum(abs(score - scores[i]) <= 1e-7 for score in scores)
        found.append(min(max(k - better, 0) / level, 1))
    return found


def test_archive_holds_what_the_interface_gives_in_file_order(model, dev, archive):
    videos = read_videos(dev)
    assert set(archive) == {"ids", "visual", "audio"}
    assert archive["ids"].tolist() == [video["id"] for video in videos]
    for modality, name in (("visual", "mean_rgb"), ("audio", "mean_audio")):
        given = np.stack([video[name] for video in videos])
        expected = getattr(model, f"embed_{modality}")(given)
        assert archive[modality].dtype == np.float32
        np.testing.assert_allclose(archive[modality], expected, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(archive[modality], axis=1), 1, atol=1e-5)


def test_an_export_gives_the_same_archive_and_the_same_report(
    trained, dev, archive, evaluated, tmp_path
):
    outcome = launch("export_yt8m", workdir=trained, output=tmp_path / "export", tflite="false")
    assert outcome.status == 0, outcome.error
    given = {"saved_model": tmp_path / "export"}
    path = tmp_path / "a.npz"
    assert launch("embed_yt8m", input_pattern=dev, output=path, **given).status == 0
    found = np.load(path)
    assert found["ids"].tolist() == archive["ids"].tolist()
    for modality in ("visual", "audio"):
        np.testing.assert_allclose(found[modality], archive[modality], atol=1e-6)
    outcome = launch(
        "evaluate_yt8m", eval_pattern=dev, output=tmp_path / "report.json", brief="true",
        gallery_sizes="100,256", num_galleries=NUMBER, seed=SEED, **given,
    )
    assert outcome.status == 0, outcome.error
    report, expected = json.loads((tmp_path / "report.json").read_text()), evaluated[0]
    for key in (key for key in expected if "/recall@" in key):
        # A pair of nearly equal scores may change places.
        assert report[key]["mean"] == pytest.approx(expected[key]["mean"], abs=5e-3)


def test_report_equals_plain_python_on_the_archive(archive, evaluated):
    report, size = evaluated[0], 100
    drawn = galleries.draw_galleries(len(archive["ids"]), size, NUMBER, SEED)
    visual, audio = (archive[m].astype(np.float64).tolist() for m in ("visual", "audio"))
    for direction, of, to in (("visual_to_audio", visual, audio),
                              ("audio_to_visual", audio, visual)):
        for k in (1, 10):
            each = [
                np.mean(plain_recall([of[i] for i in g], [to[i] for i in g], k))
                for g in drawn[:2].tolist()
            ]
            scores = galleries.evaluate(
                archive["visual"], archive["audio"], [size], NUMBER, SEED
            )[f"{direction}/{size}"].per_gallery[f"recall@{k}"]
            np.testing.assert_allclose(scores[:2], each, atol=1e-9)
            entry = report[f"{direction}/{size}/recall@{k}"]
            assert set(entry) == {"mean", "std", "galleries"} and entry["galleries"] == NUMBER
            assert entry["mean"] == pytest.approx(np.mean(scores), abs=1e-9)
            assert entry["std"] == pytest.approx(np.std(scores, ddof=1), abs=1e-9)


def test_every_key_of_the_report_is_there(evaluated):
    report = evaluated[0]
    for direction in ("audio_to_visual", "visual_to_audio"):
        for size in SIZES:
            for metric in ("recall@1", "recall@5", "recall@10", "mrr", "median_rank"):
                assert set(report[f"{direction}/{size}/{metric}"]) == {"mean", "std", "galleries"}
    assert report["videos"] == 800
    assert report["embedding"]["recipe"] == "contrastive"
    assert report["protocol"]["gallery_sizes"] == list(SIZES)


def test_systems_come_in_the_order_that_the_data_has(evaluated):
    systems = evaluated[0]["systems"]
    for direction in ("audio_to_visual", "visual_to_audio"):
        key = f"{direction}/256/recall@10"
        chance, cca, learnt, best = (
            systems[name][key]["mean"] for name in ("chance", "CCA", "contrastive", "best possible")
        )
        assert chance == pytest.approx(10 / 256)
        assert learnt == evaluated[0][key]["mean"]
        # The test data's own table: CCA reaches 0.76 and the best possible scorer 0.90.
        assert 0.65 < cca < 0.85 and 0.85 < best < 0.95
        assert max(cca, learnt) < best
        assert learnt > 5 * chance


def test_intervals_hold_the_estimates_and_the_difference(evaluated):
    report = evaluated[0]
    key = "audio_to_visual/256/recall@10"
    interval = report["intervals"][key]
    assert interval["low"] < report[key]["mean"] < interval["high"]
    over = interval["over_baseline"]
    difference = report[key]["mean"] - report["systems"]["CCA"][key]["mean"]
    assert over["estimate"] == pytest.approx(difference, abs=1e-9)
    assert over["low"] < over["estimate"] < over["high"]


def test_text_shows_the_table_with_chance_and_the_best_possible(evaluated):
    report, text = evaluated
    assert "audio -> visual" in text and "visual -> audio" in text
    rows = [[cell.strip() for cell in line.split("|")[1:-1]]
            for line in text.splitlines() if line.startswith("|")]
    names = [row[1] for row in rows if row[0] == "256"]
    # The paper's numbers have no place beside synthetic data.
    assert names == 2 * ["chance", "CCA", "contrastive", "best possible"]
    own = report["visual_to_audio/256/recall@1"]
    assert f"{100 * own['mean']:.1f} ± {100 * own['std']:.1f}" in text


def test_the_papers_numbers_stand_at_its_own_sizes_only():
    assert evaluation.published_recall([100, 255, 800]) == {}
    found = evaluation.published_recall([100, 256, 512, 1024])
    assert {key.split("/")[1] for key in found} == {"256", "512", "1024"}
    assert found["audio_to_visual/1024/recall@10"]["mean"] == pytest.approx(0.396)
    assert found["visual_to_audio/1024/recall@1"]["mean"] == pytest.approx(0.102)
    assert found["audio_to_visual/512/recall@5"]["mean"] == pytest.approx(0.395)


def test_per_class_recall_is_the_mean_over_the_classs_videos(archive, evaluated, dev):
    report = evaluated[0]
    labels = [video["labels"] for video in read_videos(dev)]
    drawn = galleries.draw_galleries(len(labels), 256, NUMBER, SEED)
    visual, audio = archive["visual"].astype(np.float64), archive["audio"].astype(np.float64)
    hits = {i: [] for i in range(len(labels))}
    for gallery in drawn:
        scores = audio[gallery] @ visual[gallery].T
        own = np.diag(scores)[:, None]
        better = (scores > own + 1e-7).sum(1)
        level = (abs(scores - own) <= 1e-7).sum(1)
        for i, b, t in zip(gallery.tolist(), better.tolist(), level.tolist(), strict=True):
            hits[i].append(min(max(10 - b, 0) / t, 1))
    common = max({x for row in labels for x in row}, key=[x for r in labels for x in r].count)
    for label in (common, min(x for row in labels for x in row)):
        each = [np.mean(hits[i]) for i, row in enumerate(labels) if label in row and hits[i]]
        entry = report["per_class"]["audio_to_visual"][str(label)]
        assert entry["videos"] == len(each)
        assert entry["recall@10"] == pytest.approx(np.mean(each), abs=1e-6)


def test_classes_are_compared_with_all_videos(evaluated):
    report, text = evaluated
    by_class, tables = report["by_class"], report["per_class"]
    for label, own in by_class["classes"].items():
        both = [tables[d][label] for d in ("visual_to_audio", "audio_to_visual")]
        cell = own["recall@10"]
        assert cell["videos"] == both[0]["videos"] == both[1]["videos"]
        assert cell["estimate"] == pytest.approx(np.mean([t["recall@10"] for t in both]))
        assert cell["low"] <= cell["estimate"] <= cell["high"]
    assert by_class["classes"].keys() == tables["audio_to_visual"].keys()
    assert by_class["measures"]["recall@10"]["chance"] == 10 / 256
    assert "sound and picture by class" in text and "classes.png" in text


def test_examples_show_the_nearest_other_video(archive, evaluated, testdata, dev):
    report, text = evaluated
    ids = [i.decode() for i in archive["ids"]]
    labels = {video["id"].decode(): video["labels"] for video in read_videos(dev)}
    names = records.read_vocabulary(str(testdata / "yt8m" / "vocabulary.csv"))
    assert len(report["examples"]) == 2 * EXAMPLES
    passed_over = 0
    for example in report["examples"]:
        of, to = example["direction"].split("_to_")
        own = ids.index(example["query"]["id"])
        scores = archive[to].astype(np.float64) @ archive[of][own]
        best = [int(i) for i in np.argsort(-scores)[:2]]
        passed_over += best[0] == own
        expected = best[1] if best[0] == own else best[0]
        assert example["nearest"]["id"] == ids[expected] != example["query"]["id"]
        assert example["score"] == pytest.approx(scores[expected], abs=1e-6)
        for side in ("query", "nearest"):
            shown = example[side]
            assert shown["labels"] == [names[i] for i in labels[shown["id"]]]
            assert f"{shown['id']}: {', '.join(shown['labels'])}" in text
    assert passed_over  # else the query itself was never the nearest


def test_a_query_is_never_its_own_answer():
    eye = np.eye(6, dtype=np.float32)
    collection = Embedded(np.array([b"v%d" % i for i in range(6)], object),
                          np.full((6, 1), -1), eye, eye)
    for example in evaluation.examples(collection, {}, 6, seed=0):
        assert example["nearest"]["id"] != example["query"]["id"]


def test_named_examples_are_shown_in_their_order(dev, trained, archive, tmp_path):
    wanted = [archive["ids"][i].decode() for i in (700, 3)]
    common = {"workdir": trained, "eval_pattern": dev, "gallery_sizes": 64, "num_galleries": 1,
              "output": tmp_path / "report.json"}
    assert launch("evaluate_yt8m", example_ids=",".join(wanted), **common).status == 0
    shown = json.loads((tmp_path / "report.json").read_text())["examples"]
    assert [example["query"]["id"] for example in shown] == wanted * 2
    outcome = launch("evaluate_yt8m", example_ids="nobody", **common)
    assert outcome.status == 1
    assert outcome.error_lines() == [
        "error: video 'nobody' is not among the 800 evaluated ones"
    ]


def plain_gap(probabilities: np.ndarray, labels: list[list[int]], top: int = 20) -> float:
    """The challenge's definition: one list of every video's best predictions."""
    pooled = []
    for row, own in zip(probabilities.tolist(), labels, strict=True):
        best = sorted(range(len(row)), key=lambda c: -row[c])[:top]
        pooled += [(row[c], c in set(own)) for c in best]
    pooled.sort(key=lambda pair: -pair[0])
    hits, total = 0, 0.0
    for place, (_, hit) in enumerate(pooled, start=1):
        hits += hit
        total += hit * hits / place
    return total / sum(len(set(own)) for own in labels)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_classifiers_quality_is_that_of_the_models_probabilities(dev, activation):
    config = override(configuration.recipe("paper"), {
        "visual_layers": 16, "audio_layers": 16, "embedding_dim": 8, "num_classes": 3862,
        "classifier_scale": 9.0, "class_activation": activation,
    })
    keras.utils.set_random_seed(1)
    live = embedding.of_model(embedding.build_model(config.model), config)
    videos = read_videos(dev)[:150]
    given = {k: np.stack([v[k] for v in videos]) for k in ("mean_rgb", "mean_audio")}
    labels = [video["labels"] for video in videos]
    # Weights at random know nothing: a classifier that leans to the true classes, unevenly.
    kernel = live.model.get_layer("classifier").kernel
    rng = np.random.default_rng(0)
    lean = rng.normal(0, 0.1, kernel.shape).astype(np.float32)
    present = sorted({x for row in labels for x in row})
    lean[:, present] *= 5
    kernel.assign(lean)
    bias = live.model.get_layer("classifier").bias
    bias.assign(rng.normal(0, 1, bias.shape))
    logits = live.model(given, training=False)["visual_logits"].numpy().astype(np.float64)
    hits = np.array([[c in row for c in present] for row in labels])
    average = np.mean([
        average_precision_score(hits[:, i], logits[:, c]) for i, c in enumerate(present)
    ])
    if activation == "softmax":
        logits -= logits.max(1, keepdims=True)
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    else:
        probabilities = 1 / (1 + np.exp(-logits))
    width = max(map(len, labels))
    found = Embedded(
        np.zeros(150, "S1"), np.array([row + [-1] * (width - len(row)) for row in labels]),
        live.embed_visual(given["mean_rgb"]), live.embed_audio(given["mean_audio"]),
    )
    quality = evaluation.classifier_quality(live, found)
    assert quality["visual/gap@20"] == pytest.approx(plain_gap(probabilities, labels), rel=1e-3)
    if activation == "sigmoid":
        assert quality["visual/map"] == pytest.approx(average, rel=1e-5)
    assert set(quality) == {"visual/gap@20", "visual/map", "audio/gap@20", "audio/map"}


def test_a_model_without_classifier_or_videos_without_labels_have_no_quality(model, archive):
    rows = slice(0, 5)
    found = Embedded(archive["ids"][rows], np.full((5, 1), -1), archive["visual"][rows],
                     archive["audio"][rows])
    assert evaluation.classifier_quality(model, found) == {}


def test_baseline_is_fitted_on_what_the_run_was_trained_on(trained, dev, monkeypatch):
    fitted_on = []

    def fit(opened, seed):
        fitted_on.append(opened)
        raise UserError("enough")

    monkeypatch.setattr(evaluation, "fit_baseline", fit)
    outcome = launch("evaluate_yt8m", workdir=trained, eval_pattern=dev, baseline="cca",
                     gallery_sizes=64, output=trained.parent / "unused.json")
    assert outcome.error_lines() == ["error: enough"]
    data = find_workdir_data(str(trained))
    config = yt8m_embed.load(str(trained)).config
    trained_on, held_out, _ = open_data(config, data, str(trained), False)
    ids = [
        {i for block in parsed_blocks(each) for i in block["id"]}
        for each in (fitted_on[0], trained_on, held_out)
    ]
    assert ids[0] == ids[1] and not ids[0] & ids[2]
    assert ids[0] | ids[2] == {video["id"] for video in read_videos(data.train_pattern)}
    assert 200 < len(ids[2]) < 400


def test_interface_and_command_agree(model, dev, evaluated):
    scores = yt8m_embed.evaluate(model, dev, SIZES, NUMBER, SEED)
    for key, entry in scores.items():
        assert entry["mean"] == pytest.approx(evaluated[0][key]["mean"], abs=1e-9)


def test_the_whole_set_is_one_gallery(model, dev, archive):
    scores = yt8m_embed.evaluate(model, dev, gallery_sizes=(0,))
    entry = scores["audio_to_visual/800/recall@10"]
    assert entry["galleries"] == 1 and entry["std"] == 0
    scores = archive["audio"].astype(np.float64) @ archive["visual"].astype(np.float64).T
    own = np.diag(scores)[:, None]
    better, level = (scores > own + 1e-7).sum(1), (abs(scores - own) <= 1e-7).sum(1)
    expected = np.clip((10 - better) / level, 0, 1).mean()
    assert entry["mean"] == pytest.approx(expected, abs=2e-3)


def test_a_bad_record_is_named_by_whoever_reads(model, testdata, tmp_path):
    videos = read_videos(testdata / "yt8m" / "dev" / "validate0000.tfrecord")[:30]
    write_videos(tmp_path / "bad.tfrecord", videos)
    payloads = list(tf.data.TFRecordDataset(str(tmp_path / "bad.tfrecord")).as_numpy_iterator())
    example = tf.train.Example.FromString(payloads[17])
    example.features.feature["mean_audio"].float_list.value[3] = float("nan")
    payloads[17] = example.SerializeToString()
    path = str(tmp_path / "bad.tfrecord")
    tfrecord.write_records(path, payloads)
    named = r"bad.tfrecord: record 17 \(byte \d+\): .*mean_audio.*NaN"
    with pytest.raises(BadRecordError, match=named):
        yt8m_embed.evaluate(model, path, (10,))
    outcome = launch("embed_yt8m", saved_model=model.source, input_pattern=path,
                     output=tmp_path / "out.npz")
    assert outcome.status == 1 and len(outcome.error_lines()) == 1
    assert "record 17" in outcome.error_lines()[0]
    assert not (tmp_path / "out.npz").exists()
    outcome = launch("embed_yt8m", saved_model=model.source, input_pattern=path,
                     output=tmp_path / "out.npz", on_bad_record="skip")
    assert outcome.status == 0 and "29 videos embedded" in outcome.out
    assert "bad.tfrecord: record 17 (byte" in outcome.out
    ids = [video["id"] for i, video in enumerate(videos) if i != 17]
    assert np.load(tmp_path / "out.npz")["ids"].tolist() == ids


@pytest.mark.parametrize("kind", ["video", "compact_float16", "compact_uint8", "frame"])
@pytest.mark.parametrize("damage", ["none", "first record", "first record's content"])
def test_the_kind_of_records_is_told_in_spite_of_damage(testdata, tmp_path, kind, damage):
    path = str(tmp_path / "a.tfrecord")
    if kind == "frame":
        source = str(testdata / "yt8m" / "frame" / "train0000.tfrecord")
        payloads = list(tf.data.TFRecordDataset(source).take(3).as_numpy_iterator())
    else:
        schema = {"video": records.video_level}.get(kind) or getattr(records, kind)
        videos = read_videos(testdata / "yt8m" / "dev" / "validate0000.tfrecord")[:3]
        payloads = [schema().serialize(video) for video in videos]
    if damage == "first record's content":
        payloads.insert(0, b"no message")
    tfrecord.write_records(path, payloads)
    if damage == "first record":
        data = bytearray((tmp_path / "a.tfrecord").read_bytes())
        data[40] ^= 1
        (tmp_path / "a.tfrecord").write_bytes(data)
    assert find_kind([path]) == kind
    skipped, opened = open_records(path, 3862, "p", "skip", progress=False)
    assert skipped == kind
    assert opened.count() == 3 - (damage == "first record")
    assert ("left out 1 bad records" in opened.describe_damage()) == (damage != "none")


def test_labels_beyond_the_classes_are_the_records_fault(testdata):
    pattern = str(testdata / "yt8m" / "frame" / "*")
    kind, opened = open_records(pattern, 1, "p", progress=False)
    assert kind == "frame"
    problem = shards.diagnose([opened.shards[0].path], opened.schema)
    assert "outside [0, 1)" in str(problem)


def test_files_without_any_record_are_reported_too(testdata, tmp_path, dev):
    (tmp_path / "page.tfrecord").write_text("<html></html>")
    _, opened = open_records(f"{dev},{tmp_path}/*", 3862, "p", "skip", progress=False)
    assert opened.count() == 800
    assert "page.tfrecord" in opened.describe_damage()
    with pytest.raises(UserError, match="HTML page"):
        open_records(f"{tmp_path}/*", 3862, "p", "skip", progress=False)
