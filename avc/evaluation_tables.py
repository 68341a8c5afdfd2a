"""The report of an evaluation as tables for reading, with the paper's rows beside."""

from collections.abc import Mapping, Sequence

from avc import published
from crossmodal import reports
from crossmodal.localization import METRICS
from crossmodal.ndcg import DIRECTIONS

# Given a picture, and given a sound.
RECALL_DIRECTIONS = ("visual_to_audio", "audio_to_visual")
PAPERS_DATA = published.OBJECTS_THAT_SOUND


def accuracy_table(result: Mapping, network: str) -> str:
    """Accuracy of correspondence; `result` from `correspondence_scores.measure`.

    Beside it, where there are any, `limit` and `hearing_reference` on the same pairs.
    """
    references = {
        title: _accuracies(result[name])
        for name, title in (
            ("limit", "limit %"),
            ("hearing_reference", "labelled hearing, true picture %"),
        )
        if name in result
    }
    rows = [
        [name, _percent(value), _range(value), str(value["pairs"])]
        + [f"{_percent(other[name])} {_range(other[name])}" for other in references.values()]
        for name, value in _accuracies(result).items()
        if value
    ]
    if network in published.ACCURACY:
        accuracy, source = published.ACCURACY[network]
        rows.append([source, f"{100 * accuracy:.1f}", "-", "-", *["-"] * len(references)])
    header = ["pairs", "accuracy %", "95 % interval", "number", *references]
    return reports.markdown(header, rows, 1)


def top1_line(top1: Mapping) -> str:
    """How well the classifier of `avc.hearing_reference` hears."""
    return (
        f"{_percent(top1)} % of {top1['seconds']} audible seconds have its most probable class"
        f" (95 % interval {_range(top1)})"
    )


def _accuracies(result: Mapping) -> dict[str, Mapping | None]:
    """The intervals of `measure` by the names of their rows."""
    return {
        "all": result["accuracy"],
        "true pairs": result["true_pairs"],
        "mismatched pairs": result["mismatched_pairs"],
        **{
            f"visible objects: {number}": value
            for number, value in result.get("by_visible_objects", {}).items()
        },
        "off-screen sound: no match": result.get("off_screen"),
        "silence: no match": result.get("silent"),
    }


def recall_at_ten_table(table: Mapping, intervals: Mapping) -> str:
    """Recall@10 as DAVEnet's paper has it, with its rows.

    `Audio R@10`: given a picture, its sound is among the first ten; `Visual R@10`: given a
    sound, its picture is.

    Args:
      table, intervals: of `retrieval_scores.evaluate_recall`.
    """
    rows = []
    sizes = sorted({int(key.split("/")[1]) for key in table["chance"]})
    for size in sizes:
        keys = [f"{direction}/{size}/recall@10" for direction in RECALL_DIRECTIONS]
        chance = [f"{100 * table['chance'][key]['mean']:.1f}" for key in keys]
        rows.append(["chance", str(size), chance[0], "-", chance[1], "-"])
        for name, own in intervals.items():
            cells = [cell for key in keys for cell in (_percent(own[key]), _range(own[key]))]
            rows.append([name, str(size), *cells])
    for pairs, (audio, visual) in published.DAVENET_UNSUPERVISED.items():
        name = f"DAVEnet (Boggust et al. 2019, YouCook2, {pairs})"
        rows.append([name, "1000", f"{audio:.1f}", "-", f"{visual:.1f}", "-"])
    header = ["system", "of", "Audio R@10 %", "interval", "Visual R@10 %", "interval"]
    return reports.markdown(header, rows, 1)


def ndcg_table(result: Mapping) -> str:
    """nDCG@30; `result` from `retrieval_scores.evaluate_ndcg`."""
    rows = [["chance", *(f"{result['chance'][d]:.3f}" for d in DIRECTIONS)]]
    for name, own in result["systems"].items():
        rows.append([name, *(_spread(own.get(d)) for d in DIRECTIONS)])
    for name, own in result.get("permuted_classes", {}).items():
        cells = [own.get(d) for d in DIRECTIONS]
        rows.append(
            [f"{name}, classes permuted"]
            + [f"{c['mean']:.3f} ± {c['std']:.3f}" if c else "-" for c in cells]
        )
    rows.append([f"chance ({PAPERS_DATA})", *[f"{published.NDCG_CHANCE:.3f}"] * 4])
    for name, values in published.NDCG.items():
        cells = ("-" if value is None else f"{value:.3f}" for value in values)
        rows.append([f"{name} ({PAPERS_DATA})", *cells])
    titles = [direction.replace("_to_", " -> ") for direction in DIRECTIONS]
    return reports.markdown(["system", *titles], rows, 1)


def difference_lines(result: Mapping) -> list[str]:
    """How far systems are from the reference, a line each."""
    return [
        f"{name}: " + ", ".join(
            f"{d.replace('_to_', ' -> ')} {v['estimate']:+.3f} [{v['low']:+.3f}, {v['high']:+.3f}]"
            for d, v in own.items()
        )
        for name, own in result.get("over_reference", {}).items()
    ]


def localization_table(systems: Mapping, paper: bool) -> str:
    """Localisation of several systems by METRICS; `paper`: with the rows of section 4.1."""
    rows = [
        [name.replace("_", " "), *(_spread(own.get(m), 100, 1) for m in METRICS)]
        for name, own in systems.items()
    ]
    if paper:
        for name, value in (
            ("AVOL-Net", published.MODE_IN_BOX),
            ("centre", published.CENTRE_IN_BOX),
        ):
            cells = [f"{100 * value:.1f}"] + ["-"] * (len(METRICS) - 1)
            rows.append([f"{name} ({PAPERS_DATA})", *cells])
    titles = ["mode in box %", "cIoU % adaptive", "AUC % adaptive", "cIoU % fixed", "AUC % fixed"]
    return reports.markdown(["maps of", *titles], rows, 1)


def objects_table(result: Mapping[str, Mapping]) -> str:
    """The share of modes on what sounds, by the number of objects that the crop shows."""
    rows = [
        [
            number,
            _spread(value["mode_in_box"], 100, 1),
            f"{100 * value['random_object']:.1f}",
            str(value["rows"]),
        ]
        for number, value in result.items()
    ]
    header = ["objects", "mode in box %", "a random object %", "clips"]
    return reports.markdown(header, rows, 1)


def emptiness_table(areas: Mapping[str, Mapping | None]) -> str:
    """Areas under the curve of the map's maximum, by what is heard instead."""
    rows = [
        [name.replace("_", " "), f"{a['estimate']:.3f}", _range(a, 1, 3), str(a["mismatched"])]
        for name, a in areas.items()
        if a
    ]
    return reports.markdown(["sound", "AUC", "95 % interval", "maps"], rows, 1)


def swap_table(result: Mapping) -> str:
    """The swap test; `result` from `localization_scores.measure_swap`."""
    rows = [
        [name.replace("_", " "), _percent(result[name]), _range(result[name])]
        for name in ("both_right", "first_right", "second_right")
    ]
    return reports.markdown(["mode on the object that sounds", "pictures %", "95 % interval"],
                            rows, 1)


def lines_of_curve(curve: Mapping[str, Mapping]) -> dict[str, dict[str, dict[float, float]]]:
    """A curve by system, direction and number as a chart's panels: by direction and system."""
    panels: dict[str, dict] = {}
    for name, own in curve.items():
        for direction, values in own.items():
            title = direction.replace("_to_", " -> ")
            panels.setdefault(title, {})[name] = {float(k): v for k, v in values.items()}
    return panels


def join(parts: Sequence[tuple[str, str]]) -> str:
    """Titles and tables, one below the other."""
    return "\n\n".join(f"{title}\n\n{table}" for title, table in parts)


def _percent(interval: Mapping) -> str:
    return f"{100 * interval['estimate']:.1f}"


def _range(interval: Mapping, factor: float = 100, digits: int = 1) -> str:
    return f"{factor * interval['low']:.{digits}f} to {factor * interval['high']:.{digits}f}"


def _spread(interval: Mapping | None, factor: float = 1, digits: int = 3) -> str:
    """The estimate and half of its interval's width."""
    if not interval:
        return "-"
    half = (interval["high"] - interval["low"]) / 2
    return f"{factor * interval['estimate']:.{digits}f} ± {factor * half:.{digits}f}"
