"""Does the heat map of a scene lie on what sounds, and does it listen?

Objects that Sound, section 4.1: the share of maps whose mode lies in the box, beside a
baseline that predicts the centre; maps that go empty when the heard class is not in the
picture; and figure 6, one picture of two objects with the sound of either.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from avc.evaluation import Evaluated
from avc.scene_truth import KINDS, OFF_SCREEN, ON_SCREEN, SILENT, Truth, kinds
from crossmodal import comparison, localization, sound_dependence
from crossmodal.errors import UserError
from crossmodal.localization import METRICS, LocalizationConfig

SAMPLES = 2000
CONFIDENCE = 0.95
SWAP_ROLES = ("first", "second", "off_screen", "silent")


def measure(
    found: Evaluated,
    truths: Sequence[Truth],
    config: LocalizationConfig = localization.DEFAULT,
    seed: int = 0,
) -> dict[str, object]:
    """Localisation on scenes.

    Args:
      found: with heat maps.
      truths: of each row.
      config: how maps become predictions.
      seed: of the resampling, which is of videos.

    Returns:
      JSON-compatible: `rows` by kind; `systems`: by name (`network`, `shuffled_audio`,
      `centre`, `whole_image`, `random_object`) intervals of METRICS; `differences`: of the
      network to each; `by_visible_objects`; `emptiness`.

    Raises:
      UserError: in no row something is to be found.
    """
    kind = kinds(truths)
    counts = {name: int((kind == name).sum()) for name in KINDS}
    # Shuffled sound is measured on the same rows: those without a partner are left out.
    rows = np.flatnonzero((kind == ON_SCREEN) & found.mismatched)
    if not len(rows):
        raise UserError("no clip shows an object that sounds: nothing to localise")
    boxes = [truths[row].sounding for row in rows]
    videos = found.video[rows]
    network = localization.evaluate(found.heatmap[rows], boxes, config)
    others = {
        "shuffled_audio": localization.evaluate(found.mismatched_heatmap[rows], boxes, config),
        **localization.baselines(boxes, config),
    }
    systems = {
        name: _plain(scores.intervals(seed, videos))
        for name, scores in {"network": network, **others}.items()
    }
    differences = {
        name: _plain(localization.paired_intervals(network, other, seed, videos))
        for name, other in others.items()
    }
    share = np.array([len(truths[row].sounding) / len(truths[row].visible) for row in rows])
    systems["random_object"] = {"mode_in_box": _interval(share, seed, videos)}
    gain = network.mode_in_box - share
    differences["random_object"] = {"mode_in_box": _interval(gain, seed, videos)}
    objects = np.array([len(truths[row].visible) for row in rows])
    return {
        "rows": counts,
        "measured": len(rows),
        "config": dataclasses.asdict(config),
        "systems": systems,
        "differences": differences,
        "by_visible_objects": {
            str(number): {
                "rows": int((objects == number).sum()),
                "mode_in_box": _interval(
                    network.mode_in_box[objects == number], seed, videos[objects == number]
                ),
                "random_object": float(share[objects == number].mean()),
            }
            for number in np.unique(objects)
        },
        "emptiness": emptiness(found, truths, seed),
    }


def emptiness(found: Evaluated, truths: Sequence[Truth], seed: int = 0) -> dict[str, object]:
    """Do maps go empty when what is heard is not in the picture?

    The area under the ROC curve of the map's maximum, maps with the sound of a visible
    object against:
      `foreign_sound`: the same pictures with another clip's sound, of classes none of which
        is in the picture. Clips are resampled as pairs.
      `off_screen`, `silent`: the scenes of that kind. Both sides are resampled alone.

    Returns:
      By these names `estimate`, `low`, `high`, `confidence`, `matched`, `mismatched`; None
      where there are no such rows.
    """
    kind = kinds(truths)
    peak = found.heatmap.max(axis=(1, 2))
    foreign_peak = found.mismatched_heatmap.max(axis=(1, 2))
    matched = np.flatnonzero(kind == ON_SCREEN)
    foreign = np.array(
        [
            row
            for row in matched
            if found.mismatched[row]
            and kind[found.partner[row]] == ON_SCREEN
            and not truths[found.partner[row]].heard & truths[row].in_picture
        ],
        int,
    )
    result = {"foreign_sound": _paired_separation(peak[foreign], foreign_peak[foreign], seed)}
    for name in (OFF_SCREEN, SILENT):
        result[name] = _separation(peak[matched], peak[kind == name], seed)
    return result


def measure_swap(
    found: Evaluated, truths: Sequence[Truth], objects: Sequence[np.ndarray], seed: int = 0
) -> dict[str, object]:
    """The swap test: one picture, the sound of either object, of neither, or none.

    Args:
      found: of clips `..._first`, `..._second` and maybe `..._off_screen`, `..._silent`,
        four of each video.
      truths: of each row.
      objects: of each row, the boxes of object 0 and object 1 in the crop, `[2, 4]`.
      seed: of the resampling, which is of pictures.

    Returns:
      JSON-compatible: `both_right`, `first_right`, `second_right` (intervals), `pictures`,
      `unclear` (pictures of which the crop cuts an object, or a sound is not heard), and the
      areas `off_screen` and `silent` of the map's maximum with the first sound against that
      with these, on the same pictures.

    Raises:
      UserError: the clips are no swap pairs.
    """
    place = {role: {} for role in SWAP_ROLES}
    for row, (name, video) in enumerate(zip(found.id, found.video, strict=True)):
        role = name.decode().removeprefix(video.decode() + "_")
        if role not in place:
            raise UserError(
                f"clip {name.decode()} is not of a swap pair: make some with"
                " launch.make_scenes --swap_pairs"
            )
        place[role][video] = row
    pictures = [video for video in place["first"] if video in place["second"]]
    kind = kinds(truths)
    clear = [
        video
        for video in pictures
        if all(kind[place[role][video]] == ON_SCREEN for role in ("first", "second"))
    ]
    if not clear:
        raise UserError("no swap pair shows both of its objects: pictures are larger than the crop")
    first, second = ([place[role][v] for v in clear] for role in ("first", "second"))
    boxes = [[objects[row][:1] for row in first], [objects[row][1:2] for row in second]]
    maps = found.heatmap[first], found.heatmap[second]
    both = sound_dependence.swap_hits(*maps, *boxes)
    single = [localization.evaluate(m, b).mode_in_box for m, b in zip(maps, boxes, strict=True)]
    result = {
        "pictures": len(clear),
        "unclear": len(pictures) - len(clear),
        "both_right": _interval(both, seed),
        "first_right": _interval(single[0], seed),
        "second_right": _interval(single[1], seed),
    }
    peak = found.heatmap.max(axis=(1, 2))
    for role in (OFF_SCREEN, SILENT):
        own = [v for v in clear if v in place[role] and kind[place[role][v]] == role]
        sides = [[place[r][v] for v in own] for r in ("first", role)]
        result[role] = _paired_separation(peak[sides[0]], peak[sides[1]], seed)
    return result


def _plain(intervals: dict[str, comparison.Interval]) -> dict[str, dict]:
    return {name: dataclasses.asdict(intervals[name]) for name in METRICS}


def _interval(values: np.ndarray, seed: int, groups: np.ndarray | None = None) -> dict:
    return dataclasses.asdict(comparison.grouped_mean(np.asarray(values), seed, groups))


def _paired_separation(matched: np.ndarray, mismatched: np.ndarray, seed: int) -> dict | None:
    if not len(matched):
        return None
    interval = sound_dependence.separation_interval(matched, mismatched, seed)
    return {**dataclasses.asdict(interval), "matched": len(matched), "mismatched": len(mismatched)}


def _separation(matched: np.ndarray, mismatched: np.ndarray, seed: int) -> dict | None:
    """Separation of unpaired values, each side resampled alone."""
    if not len(matched) or not len(mismatched):
        return None
    generator = np.random.default_rng(seed)
    sides = matched, mismatched
    areas = [
        sound_dependence.separation(*(side[generator.integers(len(side), size=len(side))]
                                      for side in sides))
        for _ in range(SAMPLES)
    ]
    low, high = np.quantile(areas, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    estimate = sound_dependence.separation(matched, mismatched)
    interval = comparison.Interval(estimate, float(low), float(high), CONFIDENCE)
    return {**dataclasses.asdict(interval), "matched": len(matched), "mismatched": len(mismatched)}
