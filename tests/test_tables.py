"""Tables over runs, against reports written by hand."""

import json

import pytest

from crossmodal.errors import ConfigurationError, UserError
from yt8m_embed import tables

KEYS = [f"{d}/{n}/recall@1" for n in (4, 8) for d in ("visual_to_audio", "audio_to_visual")]


def result(*values: float) -> dict:
    return {k: {"mean": v, "std": 0.01, "galleries": 5} for k, v in zip(KEYS, values, strict=True)}


def report(recipe: str, *values: float, videos: int = 90, gain: float | None = 0.02) -> dict:
    over = (
        {}
        if gain is None
        else {"over_baseline": {"estimate": gain, "low": gain - 0.01, "high": gain + 0.005}}
    )
    return {
        "embedding": {"recipe": recipe},
        "protocol": {"gallery_sizes": [4, 8]},
        "eval_pattern": "dev*",
        "videos": videos,
        "systems": {
            "CCA": result(0.2, 0.2, 0.1, 0.1),
            "chance": result(0.25, 0.25, 0.125, 0.125),
            recipe: result(*values),
        },
        "intervals": {key: over for key in KEYS},
    }


@pytest.fixture
def paths(tmp_path):
    written = []
    for name, content in {
        "a0": report("a", 0.4, 0.5, 0.2, 0.3),
        "a1": report("a", 0.6, 0.5, 0.4, 0.3, gain=-0.03),
        "b0": report("b", 1.0, 0.9, 0.8, 0.7),
    }.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content))
        written.append(str(path))
    return written


def cells(table: str) -> dict[str, list[str]]:
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in table.splitlines()]
    return {row[0]: row[1:] for row in rows}


def test_seeds_of_a_recipe_are_one_row_of_means_and_baselines_come_once(paths):
    rows = tables.systems(tables.load_reports(paths), by_file=False)
    assert list(rows) == ["chance", "CCA", "a (2 runs)", "b"]
    wide = cells(tables.wide(rows, ["recall@1"]))
    assert wide["recall in %"] == ["4 v@1", "4 a@1", "8 v@1", "8 a@1"]
    assert wide["a (2 runs)"] == ["50.0", "50.0", "30.0", "30.0"]
    assert wide["b"] == ["100.0", "90.0", "80.0", "70.0"]
    assert wide["chance"] == ["25.0", "25.0", "12.5", "12.5"]
    assert rows["a (2 runs)"][KEYS[0]]["std"] == pytest.approx(0.02**0.5)


def test_each_file_can_be_a_row(paths):
    rows = tables.systems(tables.load_reports(paths), by_file=True)
    assert list(rows) == ["chance", "CCA", *paths]


def test_gains_stand_with_their_intervals(paths):
    table = cells(tables.gains(tables.load_reports(paths[:2]), ["recall@1"]))
    expected = ["+2.0 [+1.0, +2.5]", "-3.0 [-4.0, -2.5]"]
    assert table["visual -> audio R@1"] == table["audio -> visual R@1"] == expected


def test_reports_that_cannot_stand_side_by_side_are_one_line(tmp_path, paths):
    other, none, wrong = (tmp_path / n for n in ("other.json", "none.json", "wrong.json"))
    other.write_text(json.dumps(report("a", 1, 1, 1, 1, videos=7)))
    none.write_text(json.dumps(report("a", 1, 1, 1, 1, gain=None)))
    wrong.write_text("{}")
    with pytest.raises(ConfigurationError, match="not measured in the same way"):
        tables.load_reports([*paths, str(other)])
    with pytest.raises(ConfigurationError, match="made without --baseline"):
        tables.gains(tables.load_reports([str(none)]), ["recall@1"])
    with pytest.raises(ConfigurationError, match="not a report of evaluate_yt8m"):
        tables.load_reports([str(wrong)])


def test_curves_stand_side_by_side(tmp_path):
    for name, points in {"one": [(5, 0.1), (10, 0.2)], "two": [(10, 0.4)], "none": []}.items():
        folder = tmp_path / name
        folder.mkdir()
        lines = [{"step": 1, "loss": 3.0}]
        lines += [{"step": s, "evaluation": {"recall@1": r, "recall@10": 2 * r}} for s, r in points]
        (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    table = cells(tables.curves([str(tmp_path / "one"), str(tmp_path / "two")]))
    assert table["5"] == ["10.0", "20.0", "-", "-"]
    assert table["10"] == ["20.0", "40.0", "40.0", "80.0"]
    with pytest.raises(UserError, match="no curve"):
        tables.curves([str(tmp_path / "none")])
    with pytest.raises(UserError, match=r"metrics\.jsonl"):
        tables.curves([str(tmp_path / "missing")])
