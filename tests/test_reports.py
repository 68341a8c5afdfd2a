"""Tables are read back cell by cell and compared with the numbers that went in."""

import json

import numpy as np
import pytest

from crossmodal import comparison, galleries, reports


def parse(table):
    """Rows of a Markdown table as lists of stripped cells, without the rule."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1, "columns do not line up"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if not set("".join(row)) <= set(":-")]


def measured():
    rng = np.random.default_rng(0)
    visual = rng.standard_normal((200, 8))
    audio = visual + rng.standard_normal((200, 8))
    return galleries.summarise(galleries.evaluate(visual, audio, [50, 200], num_galleries=4))


def test_systems_stand_side_by_side():
    result = measured()
    paper = reports.published({"audio_to_visual/50/recall@10": 0.396})
    table = reports.retrieval_table(
        {"ours": result, "paper": paper, "chance": galleries.chance([50, 200])}
    )
    forward, backward = table.split("audio -> visual")
    assert forward.startswith("visual -> audio\n\n|")
    header, *rows = parse(backward)
    assert header == ["N", "system", "R@1 %", "R@5 %", "R@10 %", "median rank", "MRR"]
    assert [row[:2] for row in rows] == [
        ["50", "ours"], ["50", "paper"], ["50", "chance"], ["200", "ours"], ["200", "chance"]
    ]
    cell = result["audio_to_visual/50/recall@1"]
    assert rows[0][2] == f"{100 * cell['mean']:.1f} ± {100 * cell['std']:.1f}"
    assert rows[1][2:] == ["-", "-", "39.6", "-", "-"]
    assert rows[2][2:] == ["2.0", "10.0", "20.0", "25.5", "0.090"]
    rank = result["audio_to_visual/200/median_rank"]["mean"]
    assert rows[3][5] == f"{rank:.1f}", "one gallery has no spread"
    assert "paper" not in forward


def test_only_columns_that_somebody_has_are_shown():
    numbers = reports.published({"visual_to_audio/9/recall@1": 0.5, "visual_to_audio/9/ndcg": 0.25})
    table = reports.retrieval_table({"a": numbers}, ["recall@1", "recall@5", "ndcg"])
    assert parse(table) == [["N", "system", "R@1 %", "ndcg"], ["9", "a", "50.0", "0.250"]]
    assert "audio -> visual" not in table


def test_classes_are_listed_by_frequency():
    classes = {
        3: {"videos": 2, "recall@1": 0.25, "mrr": 0.5},
        7: {"videos": 9, "recall@1": 1.0, "mrr": 1.0},
        1: {"videos": 2, "recall@1": 0.0, "mrr": 0.125},
    }
    names = {7: "Rock | roll", 1: "Car"}
    table = reports.class_table(classes, names)
    assert "Rock \\| roll" in table
    assert parse(table.replace("\\|", "__")) == [
        ["class", "videos", "R@1 %", "MRR"],
        ["Rock __ roll", "9", "100.0", "1.000"],
        ["Car", "2", "0.0", "0.125"],
        ["3", "2", "25.0", "0.500"],
    ]
    assert len(parse(reports.class_table(classes, names, limit=1).replace("\\|", "__"))) == 2
    assert parse(reports.class_table({}, {})) == [["class", "videos"]]


@pytest.mark.parametrize("metric, expected", [
    ("recall@10", "+2.1 [-0.3, +4.0] (95 %)"), ("mrr", "+0.021 [-0.003, +0.040] (95 %)")
])
def test_intervals_fit_a_line(metric, expected):
    interval = comparison.Interval(0.021, -0.003, 0.04, 0.95)
    assert reports.interval_text(interval, metric) == expected


def test_json_holds_every_number(tmp_path):
    result = measured()
    path = str(tmp_path / "report.json")
    reports.write_json(path, {"ours": result, "classes": {10: {"videos": 1}, 9: {"videos": 2}}})
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    assert report["ours"] == result
    assert set(report["ours"]["audio_to_visual/50/recall@10"]) == {"mean", "std", "galleries"}
    assert report["classes"] == {"10": {"videos": 1}, "9": {"videos": 2}}
