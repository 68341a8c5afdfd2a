"""The commands as from a shell: help, one line for every mistake, sweeps that go on."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from launching import launch
from short_embeddings import read_videos, write_videos

from crossmodal.configuration import override
from crossmodal.errors import ConfigurationError
from yt8m_embed import configuration

ROOT = pathlib.Path(__file__).parents[1]
COMMANDS = ("train_yt8m", "evaluate_yt8m", "export_yt8m", "embed_yt8m", "sweep_yt8m",
            "train_avc", "sweep_avc", "export_avc", "search", "sonorize")
TINY = ("visual_layers=16,audio_layers=16,embedding_dim=8,num_towers=1,linear_towers=1,"
        "linear_dim=8,warmup_steps=0")


@pytest.fixture(scope="module")
def few(testdata, tmp_path_factory) -> pathlib.Path:
    """A folder with one shard of 300 videos."""
    folder = tmp_path_factory.mktemp("few")
    videos = read_videos(testdata / "yt8m" / "train" / "train0000.tfrecord")[:300]
    write_videos(folder / "a.tfrecord", videos)
    return folder


def start(*arguments: str) -> subprocess.Popen:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does_with_an_example(command):
    text = launch(command, "--help").out
    assert f"python -m launch.{command} --" in text
    assert "Example" in text and re.search(r"second|minute", text)
    assert "--workdir" in text
    # Every flag of the example exists.
    example = text[text.index("python -m"):].split("\n\n")[0]
    flags = re.findall(r"--(\w+)", example)
    assert len(flags) > 2
    for flag in flags:
        assert re.search(rf"^  --(\[no\])?{flag}\b", text, re.MULTILINE), flag


def test_a_mistake_in_a_shell_is_one_line_and_a_status():
    process = start("launch.train_yt8m", "--train_pattern=/nowhere/*.tfrecord", "--workdir=/x")
    _, error = process.communicate()
    assert process.returncode == 1
    lines = [line for line in error.splitlines() if line and not line.startswith(("I0", "W0"))]
    assert lines == ["error: --train_pattern=/nowhere/*.tfrecord: no file matches this pattern"]


def one_line(command: str, *arguments, **values) -> str:
    outcome = launch(command, *arguments, **values)
    assert outcome.status == 1, outcome.out
    assert "Traceback" not in outcome.error
    (line,) = outcome.error_lines()
    # It is the last thing that is said.
    assert outcome.error.rstrip().endswith(line)
    return line


@pytest.mark.parametrize(("values", "message"), [
    ({"set": "margn=0.1"}, "no configuration field is called margn"),
    ({"set": "tower_sizes=3"}, "no configuration field is called tower_sizes"),
    ({"set": "model=3"}, "no configuration field is called model"),
    ({"set": "margin"}, "'margin': write name=value"),
    ({"set": "learning_rate=fast"}, "learning_rate is 'fast': it must be a number"),
    ({"set": "embedding_dim=2.5"}, "embedding_dim is 2.5: it must be a whole number"),
    ({"set": "visual_layers=wide"}, "visual_layers is 'wide': it must be widths"),
    ({"set": "visual_layers=0"}, "visual_layers is 0"),
    ({"set": "classifier=perhaps"}, "classifier is 'perhaps': it must be true or false"),
    ({"set": "hidden_activation=gulp"}, "hidden_activation is 'gulp'"),
    ({"set": "max_steps=-1"}, "max_steps is -1"),
    ({"set": "margin=nan"}, "margin is 'nan': it must be a number"),
    ({"set": "margin=1e999"}, "margin is inf"),
    ({"recipe": "mine"}, "--recipe=mine"),
    ({"steps_per_call": 0}, "--steps_per_call=0"),
    ({"evaluate_every_steps": -5}, "--evaluate_every_steps=-5"),
    ({"holdout_percent": 95}, "holdout_percent is 95"),
    ({"batch_size": 10_000}, "fewer than a batch of 10000"),
    ({"batch_size": 33, "accumulation_steps": 2}, "batch_size=33 cannot be divided"),
    ({"train_pattern": "nowhere/*"}, r"--train_pattern=nowhere/\*: no file matches"),
    ({"train_pattern": ""}, "--train_pattern is empty"),
    ({"eval_pattern": "nowhere/*"}, r"--eval_pattern=nowhere/\*: no file matches"),
    ({"train_pattern": "testdata/yt8m/vocabulary.csv"}, "vocabulary.csv: record 0 .*CSV"),
    ({"num_classes": 3}, r"a.tfrecord: record \d+ .*outside \[0, 3\)"),
    ({"linear_dim": 3}, "Unknown command line flag 'linear_dim'"),
])
def test_mistakes_in_a_training_are_named(few, tmp_path, monkeypatch, values, message):
    monkeypatch.chdir(ROOT)
    given = {"train_pattern": few / "*", "workdir": tmp_path / "run", "set": TINY,
             "batch_size": 64, "max_steps": 2, "cache": "memory", **values}
    assert re.search(message, one_line("train_yt8m", **given))
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_values_of_flags_arrive_in_the_type_of_their_field():
    paper = configuration.recipe("paper")
    changed = override(paper, {
        "visual_layers": 1024, "margin": 0, "classifier": "False", "class_weight": 0,
        "embedding_dim": 8.0,
    })
    assert changed.model.visual_layers == (1024,)
    assert changed.model.classifier is False
    assert type(changed.loss.margin) is float and type(changed.model.embedding_dim) is int
    for name, value in (("margin", True), ("visual_layers", (3, 2.5)), ("recipe", 3)):
        with pytest.raises(ConfigurationError, match=name):
            override(paper, {name: value})


@pytest.fixture
def folder_that_is_a_file(tmp_path) -> pathlib.Path:
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


def test_outputs_that_cannot_be_written_are_named_before_the_work(
    trained, few, folder_that_is_a_file, monkeypatch
):
    place = folder_that_is_a_file
    line = one_line("train_yt8m", train_pattern=few / "*", workdir=place / "run", set=TINY,
                    batch_size=64, max_steps=2)
    assert f"{place}/run" in line and re.search("cannot (be written|write)", line)
    from yt8m_embed import embedding

    def never(*_, **__):
        raise AssertionError("the work was done first")

    monkeypatch.setattr(embedding.JointEmbedding, "embed_blocks", never)
    pattern = few / "*"
    for command, values in (
        ("evaluate_yt8m", {"eval_pattern": pattern, "output": place / "report.json"}),
        ("embed_yt8m", {"input_pattern": pattern, "output": place / "out.npz"}),
        ("export_yt8m", {"output": place / "export"}),
        ("export_yt8m", {"output": place}),
    ):
        line = one_line(command, workdir=trained, **values)
        assert f"--output={values['output']}" in line


@pytest.mark.parametrize("command", ["evaluate_yt8m", "embed_yt8m"])
def test_just_one_model_is_to_be_named(trained, few, tmp_path, command):
    name = "eval_pattern" if command == "evaluate_yt8m" else "input_pattern"
    given = {name: few / "*", "output": tmp_path / "output"}
    for models in ({}, {"workdir": trained, "saved_model": trained}):
        line = one_line(command, **given, **models)
        assert line == "error: give either --workdir or --saved_model"
    line = one_line(command, **given, workdir=few)
    assert f"{few}/configuration.json" in line


@pytest.mark.parametrize(("values", "message"), [
    ({"gallery_sizes": "64,301"}, "a gallery of 301 videos .* has 300"),
    ({"gallery_sizes": "64,big"}, "--gallery_sizes: 'big' is neither a number nor `all`"),
    ({"gallery_sizes": "0"}, "--gallery_sizes: '0'"),
    ({"num_galleries": 0}, "--num_galleries=0"),
    ({"eval_pattern": "nowhere/*"}, r"--eval_pattern=nowhere/\*: no file matches"),
    ({"eval_pattern": ROOT / "testdata" / "yt8m" / "vocabulary.csv"}, "CSV"),
    ({"eval_pattern": ROOT / "testdata" / "yt8m" / "frame" / "*"},
     "takes video-level records, these are frame-level"),
    ({"topic_model": "nowhere.json"}, "nowhere.json"),
    ({"topic_model": ROOT / "setup.py"}, "setup.py: not a JSON file"),
    ({"vocabulary": "nowhere.csv"}, "nowhere.csv"),
    ({"vocabulary": ROOT / "setup.py"}, "setup.py: line .* is not a class"),
    ({"baseline": "cca", "train_pattern": "nowhere/*"}, r"--train_pattern=nowhere/\*"),
    ({"example_ids": "nobody"}, "video 'nobody' is not among the 300"),
])
def test_mistakes_in_an_evaluation_are_named(trained, few, tmp_path, values, message):
    given = {"workdir": trained, "eval_pattern": few / "*", "gallery_sizes": 64,
             "output": tmp_path / "report.json", **values}
    assert re.search(message, one_line("evaluate_yt8m", **given))
    assert not (tmp_path / "report.json").exists()


def test_an_export_of_what_is_no_training_is_refused(trained, few, tmp_path):
    assert "configuration.json" in one_line("export_yt8m", workdir=few)
    assert "metrics.json" in one_line("export_yt8m", workdir=trained, output=tmp_path / "export",
                                      metrics="metrics.json", tflite="false")
    assert "something else" in one_line("export_yt8m", workdir=trained, output=trained)


def test_a_baseline_for_an_export_needs_its_records(trained, few, tmp_path):
    folder = tmp_path / "export"
    assert launch("export_yt8m", workdir=trained, output=folder, tflite="false").status == 0
    given = {"saved_model": folder, "eval_pattern": few / "*", "gallery_sizes": 64}
    line = one_line("evaluate_yt8m", baseline="cca", **given)
    assert line == "error: --baseline=cca with --saved_model needs --train_pattern"
    assert "pairs are embedded by the trained model only" in one_line(
        "evaluate_yt8m", joint_pairs="true", **given)
    assert "is an export" in one_line("export_yt8m", workdir=folder, output=tmp_path / "second")


def small_training(few, workdir, **values) -> dict:
    return {"train_pattern": few / "*", "workdir": workdir, "recipe": "paper", "max_steps": 4,
            "set": "visual_layers=16,audio_layers=16,embedding_dim=8", "batch_size": 64,
            "gallery_size": 16, "steps_per_call": 2, **values}


def test_a_command_goes_on_where_it_ended_and_no_other_does(few, tmp_path):
    given = small_training(few, tmp_path / "run", evaluate_every_steps=2)
    first = launch("train_yt8m", **given)
    assert first.status == 0, first.error
    assert f"trained 4 steps; work folder: {tmp_path}/run" in first.out
    assert re.search(r"best step [24] on held-out videos: recall@1 0\.\d+, recall@10 [01]\.\d+",
                     first.out)
    before = (tmp_path / "run" / "metrics.jsonl").read_text()
    again = launch("train_yt8m", **given)
    assert again.status == 0 and again.out == first.out
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == before
    line = one_line("train_yt8m", **{**given, "set": f"{given['set']},margin=0.5"})
    assert "embedding.loss.margin: 0.2 -> 0.5" in line
    assert "training.seed: 0 -> 5" in one_line("train_yt8m", seed=5, **given)


def test_flags_reach_the_configuration(few, tmp_path):
    given = small_training(
        few, tmp_path, lambda_value=0.5, lambda_step=3, num_classes=4000, seed=9,
        batch_size=32, max_steps=2, cache="memory", holdout_percent=0, accumulation_steps=2,
        set="visual_layers=16x8,audio_layers=16,margin=0.1",
    )
    assert launch("train_yt8m", **given).status == 0
    saved = json.loads((tmp_path / "configuration.json").read_text())
    assert saved["embedding"]["loss"]["class_weight"] == 0.5
    assert saved["embedding"]["loss"]["class_weight_step"] == 3
    assert saved["embedding"]["loss"]["margin"] == 0.1
    assert saved["embedding"]["model"]["visual_layers"] == [16, 8]
    assert saved["embedding"]["model"]["audio_layers"] == [16]
    assert saved["embedding"]["model"]["num_classes"] == 4000
    training = saved["training"]
    assert (training["seed"], training["batch_size"], training["max_steps"]) == (9, 32, 2)
    assert (training["accumulation_steps"], training["clip_by"]) == (2, "variable")
    assert saved["data"]["cache"] == "memory" and saved["data"]["holdout_percent"] == 0


def table_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


@pytest.mark.slow
def test_a_sweep_compares_and_goes_on(few, tmp_path):
    given = small_training(few, tmp_path, grid="embedding_dim=24 visual_layers=8x8,16")
    first = launch("sweep_yt8m", **given)
    assert first.status == 0, first.error
    results = json.loads((tmp_path / "sweep.json").read_text())
    names = {f"embedding_dim=24,visual_layers={wide}" for wide in ("8x8", "16")}
    assert set(results) == names
    rows = table_rows(first.out)
    assert {row[0] for row in rows} == names
    for name, _, _, score in rows:
        assert float(score) == pytest.approx(
            100 * results[name]["best_metrics"]["recall@10"], abs=0.051)
        saved = json.loads((tmp_path / name / "configuration.json").read_text())
        widths = "x".join(map(str, saved["embedding"]["model"]["visual_layers"]))
        assert name == f"embedding_dim=24,visual_layers={widths}"
        assert saved["embedding"]["model"]["embedding_dim"] == 24
    curves = {name: (tmp_path / name / "metrics.jsonl").read_text() for name in names}
    # One combination is lost; the others are not trained again.
    lost = min(names)
    for path in sorted((tmp_path / lost).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    again = launch("sweep_yt8m", **given)
    assert table_rows(again.out) == rows
    for name in names - {lost}:
        assert (tmp_path / name / "metrics.jsonl").read_text() == curves[name]
    assert (tmp_path / lost / "checkpoints").exists()


def test_the_best_combination_stands_first():
    table = launch("sweep_yt8m").module.sweeps.table
    scores = {"low": (0.9, 0.3), "high": (0.1, 0.50004), "middle": (0.2, 0.50001)}
    results = {
        name: {"best_step": 7, "best_metrics": {"recall@1": first, "recall@10": tenth}}
        for name, (first, tenth) in scores.items()
    }
    columns = {"recall@1": "R@1 %", "recall@10": "R@10 %"}
    assert table_rows(table(results, columns, "recall@10")) == [
        ["high", "7", "10.0", "50.0"], ["middle", "7", "20.0", "50.0"], ["low", "7", "90.0", "30.0"]
    ]


@pytest.mark.parametrize(("grid", "message"), [
    ("", "--grid is empty"),
    ("margin", "--grid: 'margin' is not name=value,value"),
    ("margin=0.1 nothing=1,2", "no configuration field is called nothing"),
    ("margin=0.1,fast", "margin is 'fast'"),
])
def test_a_wrong_grid_is_named_before_anything_is_trained(few, tmp_path, grid, message):
    given = small_training(few, tmp_path / "sweep", grid=grid)
    assert message in one_line("sweep_yt8m", **given)
    assert not (tmp_path / "sweep").exists()
    for values in ({"strategy": "multi_worker"}, {"holdout_percent": 0}):
        one_line("sweep_yt8m", **{**given, "grid": "margin=0.1", **values})


def demo_commands(testdata, workdir):
    """The names and the arguments of the demo's commands."""
    script = (ROOT / "launch" / "demo.sh").read_text().replace("\\\n", " ")
    for name, line in re.findall(r"^run launch\.(\w+) (.*)$", script, re.MULTILINE):
        text = line.replace('"$workdir"', str(workdir)).replace("'", "")
        yield name, re.sub(r"testdata/", f"{testdata}/", text).split()


@pytest.mark.slow
def test_the_demo_trains_with_flags_that_there_are(tmp_path, testdata):
    """Its commands on YouTube-8M features, with fewer steps, on the bundled data."""
    commands = list(demo_commands(testdata, tmp_path / "demo"))[:3]
    assert [name for name, _ in commands] == ["train_yt8m", "evaluate_yt8m", "export_yt8m"]
    outcomes = []
    for name, arguments in commands:
        if name == "train_yt8m":
            arguments += ["--max_steps=3", "--batch_size=64"]
        outcomes.append(launch(name, *arguments))
        assert outcomes[-1].status == 0, outcomes[-1].error
    rows = [line for line in outcomes[1].out.splitlines() if line.startswith("| 256")]
    systems = {row.split("|")[2].strip() for row in rows}
    assert {"chance", "CCA", "contrastive", "best possible"} <= systems
    assert (tmp_path / "demo" / "export" / "saved_model.pb").exists()
    assert (tmp_path / "demo" / "evaluation.json").exists()
    assert (tmp_path / "demo" / "tensorboard").exists()


@pytest.mark.slow
def test_the_demo_of_scenes_has_flags_that_there_are(tmp_path, testdata):
    """Its other commands, on far smaller networks."""
    commands = list(demo_commands(testdata, tmp_path / "demo"))[3:]
    nets = ["train_avc", "evaluate_avc"]
    assert [name for name, _ in commands] == [*nets, *nets, "localize_scenes"]
    for name, arguments in commands:
        if name == "train_avc":
            arguments += ["--max_steps=2", "--set=width=0.03125,embedding_dim=8,pairs_per_read=2"]
            arguments += ["--evaluate_every_steps=2"]
        outcome = launch(name, *arguments)
        assert outcome.status == 0, outcome.error
    for name in ("ave/evaluation.json", "avol/evaluation.json", "maps.png"):
        assert (tmp_path / "demo" / name).exists()
        assert f"$workdir/{name}" in (ROOT / "launch" / "demo.sh").read_text()
