"""What a linear classifier makes of features of sound: networks, random weights, log-Mel levels.

On the folds of ESC-50 or ESC-10 (`avc.sound_folds`), after the protocol of `avc.linear_probe`.
"""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from avc import linear_probe, probe_features
from avc.linear_probe import Probed, SvmConfig
from avc.probe_features import Extractor
from avc.sound_folds import Sound
from crossmodal import comparison, reports
from crossmodal.errors import UserError

# Of ESC-50, as Objects that Sound and the L3 paper report them; ESC-50's authors of people.
PUBLISHED = {
    "L3-Net, on ESC-50 (50 classes)": 0.793,
    "L3-Net of Objects that Sound, on ESC-50": 0.798,
    "people, on ESC-50": 0.813,
}

Table = dict[str, np.ndarray]


def gather(
    sounds: Sequence[Sound],
    extractors: Sequence[Extractor],
    windows: int,
    tell: Callable[[], None] = lambda: None,
) -> Table:
    """All features of all clips, which are kept in memory.

    Args:
      sounds: the clips.
      extractors: the last one is what the others are compared with.
      windows: of a clip.
      tell: called after each clip.

    Returns:
      By name, `EXTRACTOR: FEATURES`, float32 `[clips, windows, d]`.

    Raises:
      UserError: a file cannot be read, or features are not finite.
    """
    found: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    paths = [sound.path for sound in sounds]
    for path, parts in zip(
        paths, probe_features.extract_all(paths, extractors, windows), strict=True
    ):
        for extractor, features in zip(extractors, parts, strict=True):
            for name, values in features.items():
                if not np.isfinite(values).all():
                    raise UserError(f"{extractor.name}: its features of {path} are not finite")
                found[f"{extractor.name}: {name}"].append(values.astype(np.float32))
        tell()
    return {name: np.stack(found.pop(name)) for name in list(found)}


def measure(
    features: Table,
    sounds: Sequence[Sound],
    unheard: bool,
    config: SvmConfig,
    tell: Callable[[str], None] = lambda name: None,
) -> dict[str, object]:
    """Tests all features on the same clips.

    Args:
      features: of `gather`; all are compared with the last.
      sounds: the clips.
      unheard: whether to score besides just those clips that no scene of a training split
        holds.
      config: of the classifier.
      tell: called with a name before its features are tested.

    Returns:
      `clips`, `sources`, `classes`, `chance`, `unheard_clips` and by name `rows`, see `_row`.

    Raises:
      UserError: as `linear_probe.probe`; or every clip was heard.
    """
    names = sorted({sound.label for sound in sounds})
    labels = np.array([names.index(sound.label) for sound in sounds])
    folds, sources = (np.array([getattr(s, name) for s in sounds]) for name in ("fold", "source"))
    new = np.array([not sound.heard_in_training() for sound in sounds])
    if unheard and not new.any():
        raise UserError("--unheard: every recording may be heard in scenes of the training split")
    probed = {}
    for name, values in features.items():
        tell(name)
        probed[name] = linear_probe.probe(values, labels, folds, sources, config)
    right = {name: each.scores.argmax(1) == labels for name, each in probed.items()}
    base = right[list(features)[-1]]
    parts = {"all": np.ones(len(sounds), bool)} | ({"unheard": new} if unheard else {})
    return {
        "clips": len(sounds),
        "sources": len(set(sources.tolist())),
        "classes": names,
        "chance": 1 / len(names),
        "unheard_clips": int(new.sum()) if unheard else None,
        "rows": {
            name: {
                "features": features[name].shape[-1],
                **_fitted(probed[name]),
                **{
                    part: _row(right[name], base, kept, folds, sources, config.seed)
                    for part, kept in parts.items()
                },
            }
            for name in features
        },
    }


def _fitted(probed: Probed) -> dict[str, object]:
    return {"penalties": probed.penalties, "converged": probed.converged}


def _row(
    right: np.ndarray,
    base: np.ndarray,
    kept: np.ndarray,
    folds: np.ndarray,
    sources: np.ndarray,
    seed: int,
) -> dict[str, object]:
    """Accuracy over clips, and in points more than the last features.

    Returns:
      `accuracy` and `gain`, intervals over recordings; `folds`, the accuracy in each; `mean`
      and `deviation` (of the folds as a sample) of these.
    """
    by_fold = {
        int(fold): float(right[kept & (folds == fold)].mean()) for fold in np.unique(folds[kept])
    }
    values = list(by_fold.values())
    right, base, sources = (each[kept] for each in (right.astype(float), base, sources))
    return {
        "accuracy": dataclasses.asdict(comparison.grouped_mean(right, seed, sources)),
        "gain": dataclasses.asdict(comparison.grouped_mean(right - base, seed, sources)),
        "folds": by_fold,
        "mean": float(np.mean(values)),
        "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
    }


def table(result: Mapping) -> str:
    """The result as Markdown, with the published rows, which are of other data."""
    parts = [part for part in ("all", "unheard") if part in next(iter(result["rows"].values()))]
    base = list(result["rows"])[-1]
    header = ["features of 1 s", "number", "folds %"]
    for part in parts:
        of = f", {part}" if len(parts) > 1 else ""
        header += [f"accuracy %{of}", f"more than log-Mel{of}"]
    rows = [["chance", "-", "-", *[f"{100 * result['chance']:.1f}", "-"] * len(parts)]]
    for name, row in result["rows"].items():
        folds = row["all"]
        cells = [name, str(row["features"]), _spread(folds["mean"], folds["deviation"])]
        for part in parts:
            gain = "-" if name == base else _interval(row[part]["gain"], "+")
            cells += [_interval(row[part]["accuracy"]), gain]
        rows.append(cells)
    for name, accuracy in PUBLISHED.items():
        rows.append([name, "-", "-", f"{100 * accuracy:.1f}", *["-"] * (2 * len(parts) - 1)])
    return reports.markdown(header, rows, 1)


def verdicts(result: Mapping) -> list[str]:
    """A line for each row on whether it is better than the last, on the strictest clips."""
    *names, base = result["rows"]
    lines = []
    for name in names:
        row = result["rows"][name]
        gain = row.get("unheard", row["all"])["gain"]
        word = "neither better nor worse"
        if gain["low"] > 0 or gain["high"] < 0:
            word = "better" if gain["low"] > 0 else "worse"
        lines.append(f"{name}: {word} than {base}")
    return lines


def describe(result: Mapping) -> str:
    """Table, what it is of, and what follows from it."""
    lines = [
        f"{result['clips']} clips of {result['sources']} recordings in"
        f" {len(result['classes'])} classes; 95 % intervals over recordings; folds: mean ±"
        " standard deviation",
    ]
    if result["unheard_clips"] is not None:
        lines.append(
            f"unheard: the {result['unheard_clips']} clips whose recordings fall to no training"
            " split of scenes"
        )
    lines += ["", table(result), "", *verdicts(result)]
    late = [name for name, row in result["rows"].items() if not row["converged"]]
    if late:
        lines += ["", f"solver ended before it converged: {'; '.join(late)}"]
    return "\n".join(lines)


def _interval(value: Mapping, sign: str = "") -> str:
    middle, low, high = (f"{100 * value[key]:{sign}.1f}" for key in ("estimate", "low", "high"))
    return f"{middle} [{low}, {high}]"


def _spread(mean: float, deviation: float) -> str:
    return f"{100 * mean:.1f} ± {100 * deviation:.1f}"
