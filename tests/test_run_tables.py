"""Tables over several runs against numbers worked out by hand."""

import copy
import json

import pytest
from launching import launch

from avc import run_tables
from crossmodal.errors import ConfigurationError


def interval(estimate, half=0.02):
    return {"estimate": estimate, "low": estimate - half, "high": estimate + half}


def report(recipe, accuracy, **parts):
    avc = {
        "accuracy": interval(accuracy),
        "by_visible_objects": {"1": interval(accuracy + 0.1), "2": interval(accuracy)},
        "off_screen": None,
        "limit": {"accuracy": interval(0.9), "by_visible_objects": {"1": interval(0.95)}},
    }
    shared = {"protocol": {"seed": 0}, "eval_pattern": "t*", "clips": 10}
    return {"avc": avc, "avc_config": {"recipe": recipe}, **shared, **parts}


def write(folder, *reports):
    paths = []
    for number, each in enumerate(reports):
        paths.append(str(folder / f"{number}.json"))
        (folder / f"{number}.json").write_text(json.dumps(each))
    return paths


def cells(table, name):
    line = next(line for line in table.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_seeds_of_a_recipe_are_a_row_with_their_spread(tmp_path):
    paths = write(
        tmp_path, report("ave", 0.7), report("ave", 0.8), report("l3", 0.6),
    )
    table = run_tables.make("correspondence", run_tables.load_reports(paths))
    # The deviation of 70 and 80 with one degree of freedom is 10 / sqrt(2).
    assert cells(table, "ave (2 runs)") == [
        "85.0 ± 7.1 (2.0)", "75.0 ± 7.1 (2.0)", "-", "-", "75.0 ± 7.1 (2.0)",
    ]
    assert cells(table, "l3") == ["70.0 (2.0)", "60.0 (2.0)", "-", "-", "60.0 (2.0)"]
    limit = cells(table, "limit: perfect eyes and ears")
    assert limit == ["95.0 (2.0)", "-", "-", "-", "90.0 (2.0)"]
    assert "sound heard with labels" not in table


def test_a_baseline_that_came_with_several_networks_is_shown_once(tmp_path):
    directions = run_tables.DIRECTIONS
    ndcg = {
        "chance": dict.fromkeys(directions, 0.143),
        "systems": {
            "ave": dict.fromkeys(directions, interval(0.5)),
            "l3": {directions[0]: interval(0.3)},
        },
        "permuted_classes": {"l3": {directions[1]: {"mean": 0.15, "std": 0.03}}},
    }
    other = copy.deepcopy(ndcg)
    other["systems"] = {"avol": dict.fromkeys(directions, interval(0.4)), **other["systems"]}
    loaded = run_tables.load_reports(
        write(tmp_path, report("ave", 0.7, ndcg=ndcg), report("avol", 0.7, ndcg=other))
    )
    table = run_tables.make("ndcg", loaded)
    assert table.count("| l3 ") == 1 and table.count("| ave ") == 1
    assert cells(table, "chance") == ["0.143"] * 4
    assert cells(table, "l3") == ["0.300 (0.020)", "-", "-", "-"]
    assert cells(table, "l3, classes permuted") == ["-", "0.150 (0.060)", "-", "-"]


def test_a_baseline_that_only_some_runs_have_says_how_many(tmp_path):
    directions = run_tables.DIRECTIONS
    ave = {"ave": dict.fromkeys(directions, interval(0.5))}
    l3 = {"l3": dict.fromkeys(directions, interval(0.3))}
    parts = [
        {"chance": dict.fromkeys(directions, 0.1), "systems": systems}
        for systems in (ave, {**ave, **l3}, {**ave, **l3})
    ]
    loaded = run_tables.load_reports(
        write(tmp_path, *[report("ave", 0.7, ndcg=part) for part in parts])
    )
    table = run_tables.make("ndcg", loaded)
    assert cells(table, "ave (3 runs)") == ["0.500 ± 0.000 (0.020)"] * 4
    assert cells(table, "l3 (2 runs)") == ["0.300 ± 0.000 (0.020)"] * 4


def test_localisation_has_a_row_a_map(tmp_path):
    values = dict.fromkeys(("mode_in_box", "ciou_adaptive", "auc_adaptive", "ciou_fixed",
                            "auc_fixed"), interval(0.5))
    found = {
        "systems": {"network": values, "random_object": {"mode_in_box": interval(0.4)}},
        "emptiness": {"foreign_sound": interval(0.9)},
    }
    swap = {"both_right": interval(0.6)}
    loaded = run_tables.load_reports(
        write(tmp_path, report("avol", 0.7, localization=found, swap=swap), report("ave", 0.7))
    )
    table = run_tables.make("localization", loaded)
    assert cells(table, "avol") == ["50.0 (2.0)"] * 5 + ["0.900 (0.020)", "60.0 (2.0)"]
    assert cells(table, "avol, a random visible object") == ["40.0 (2.0)"] + ["-"] * 6
    assert "| ave " not in table


@pytest.mark.parametrize("change", [{"protocol": {"seed": 1}}, {"clips": 11}])
def test_reports_that_were_not_measured_alike_are_refused(tmp_path, change):
    paths = write(tmp_path, report("ave", 0.7), {**report("ave", 0.7), **change})
    with pytest.raises(ConfigurationError, match="not measured in the same way"):
        run_tables.load_reports(paths)


def test_permutations_are_an_addition(tmp_path):
    more = {**report("ave", 0.8), "protocol": {"seed": 0, "num_permutations": 100}}
    table = run_tables.make(
        "correspondence", run_tables.load_reports(write(tmp_path, report("ave", 0.7), more))
    )
    assert "ave (2 runs)" in table


def test_what_no_report_holds_is_an_error(tmp_path):
    loaded = run_tables.load_reports(write(tmp_path, report("ave", 0.7)))
    for kind in ("ndcg", "localization"):
        with pytest.raises(ConfigurationError, match=f"nothing for --table={kind}"):
            run_tables.make(kind, loaded)
    (tmp_path / "x.json").write_text('{"systems": 1}')
    with pytest.raises(ConfigurationError, match="not a report of evaluate_avc"):
        run_tables.load_reports([str(tmp_path / "x.json")])


def test_the_command_prints_and_writes_the_table(tmp_path):
    (path,) = write(tmp_path, report("ave", 0.7))
    done = launch("tabulate_avc", reports=path, output=tmp_path / "table.md")
    assert done.status == 0, done.error
    assert "80.0 (2.0)" in done.out and (tmp_path / "table.md").read_text() == done.out
