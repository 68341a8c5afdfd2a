"""The commands of docs/weak_supervision.md that need no video, as the page has them."""

import csv
import json
import pathlib
import re
import shlex

import pytest
from launching import launch

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "weak_supervision.md").read_text()


def documented(command):
    """The arguments with which the page calls a command, first in its order."""
    text = PAGE.replace("\\\n", " ")
    found = re.findall(rf"^python -m launch\.{command} (.*)$", text, re.MULTILINE)
    return shlex.split(found[0])


def run(command, tmp_path, monkeypatch, *more):
    monkeypatch.chdir(ROOT)
    arguments = [a for a in documented(command) if not a.startswith("--output=")]
    return launch(command, *arguments, f"--output={tmp_path / 'out'}", *more)


def test_pairs_are_labelled(tmp_path, monkeypatch):
    done = run("label_pairs", tmp_path, monkeypatch)
    assert done.status == 0 and "positive pairs" in done.out
    with open(tmp_path / "out" / "clips.csv", newline="") as file:
        assert [row["labels"] for row in csv.DictReader(file)][:3] == [
            "dough", "olive oil", "carrot",
        ]
    narrow = run("label_pairs", tmp_path, monkeypatch, "--set=search_seconds=2,seed=3")
    saved = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert narrow.status == 0 and saved["settings"]["labels"]["search_seconds"] == 2
    assert saved["counts"]["positive pairs"] == 1


def test_transcripts_are_analysed(tmp_path, monkeypatch):
    done = run("analyze_transcripts", tmp_path, monkeypatch)
    assert done.status == 0 and "## Synchronisation" in done.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.md", "report.json", "synchronization.png", "videos.csv", "gallery.csv",
    }


def test_windows_are_swept(tmp_path, monkeypatch):
    done = run("sweep_windows", tmp_path, monkeypatch)
    assert done.status == 0
    numbers = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in done.out.splitlines() if re.match(r"\|\s+\d", line)
    ]
    # "dough" begins 0.5 s before its frame, "carrot" ends 2 s after and "olive oil" 3 s after.
    assert numbers == [["2", "1", "1"], ["5", "2", "2"], ["10", "3", "3"], ["20", "3", "3"]]
    script = (tmp_path / "out" / "commands.sh").read_text()
    assert script.count("launch.convert_clips") == script.count("launch.train_avc") == 4
    with open(tmp_path / "out" / "T=5" / "clips.csv", newline="") as file:
        assert next(csv.DictReader(file))["seconds"] == "5"


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("label_pairs", {"transcripts": "/none"}, "--transcripts=/none: there is no such folder"),
        ("label_pairs", {"set": "search=1"}, "no configuration field is called search"),
        ("label_pairs", {"posteriors": ""}, "--posteriors is empty"),
        ("sweep_windows", {"windows": "2,a"}, "--windows=2,a: write numbers above 0"),
        ("analyze_transcripts", {"set": "select_by=all"}, "select_by is 'all'"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, command, arguments, message):
    more = [f"--{name}={value}" for name, value in arguments.items()]
    done = run(command, tmp_path, monkeypatch, *more)
    assert done.status == 1 and len(done.error_lines()) == 1
    assert message in done.error_lines()[0]
