"""Export of a trained network: SavedModel, TFLite, and plain files that explain it."""

import os
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from avc import serving
from avc.configuration import NetworkConfig
from avc.embedding import TrainedNetwork
from avc.recipes import AvcConfig
from crossmodal import checkpoints, configuration, files
from crossmodal.errors import UserError
from crossmodal.export import (
    CARD_FILE,
    METRICS_FILE,
    Signature,
    check_output,
    configuration_lines,
    convert_to_tflite,
    export_saved_model,
    run_tflite,
    write_tflite,
)


def export(
    trained: TrainedNetwork, output: str, metrics: Mapping[str, Any] | None, tflite: bool = True
) -> dict[str, float]:
    """Writes everything about a trained network into a folder, whole or not at all.

    Args:
      trained: loaded from a work folder.
      output: the folder; an older export is replaced.
      metrics: an evaluation report to keep beside the model, or None.
      tflite: whether to write `visual.tflite` (of a network that sees one frame) and
        `audio.tflite`.

    Returns:
      The largest difference between the live towers' embeddings and those of their TFLite
      form on random inputs, as a share of the largest number in them; empty without TFLite.

    Raises:
      UserError: see `crossmodal.export.check_output`; or the network comes from a SavedModel
        itself.
    """
    if trained.network is None:
        raise UserError(f"{trained.source} is an export: name the work folder of a training")
    check_output(output)
    config = trained.config
    signatures = serving.signatures(trained.network, config)
    with files.whole_folder(output) as folder:
        export_saved_model(folder, {"network": trained.network.deployed}, signatures)
        differences = write_towers(trained, folder) if tflite else {}
        saved = {"avc": configuration.to_dict(config), "tflite_difference": differences}
        configuration.save(os.path.join(folder, configuration.FILE), saved)
        if metrics:
            configuration.save(os.path.join(folder, METRICS_FILE), metrics)
        card = model_card(config, signatures, metrics or {}, differences)
        files.write_text(os.path.join(folder, CARD_FILE), card)
    return differences


def write_towers(trained: TrainedNetwork, folder: str) -> dict[str, float]:
    """Writes the towers as TFLite files; returns what `export` does."""
    signatures = serving.tower_signatures(trained.network, trained.config.network)
    differences = {}
    with tempfile.TemporaryDirectory() as fixed:
        export_saved_model(fixed, {"network": trained.network.deployed}, signatures)
        for name, signature in signatures.items():
            content = convert_to_tflite(fixed, name)
            write_tflite(os.path.join(folder, f"{name}.tflite"), content)
            rows = np.random.default_rng(0).random((8, *signature.inputs[0].shape[1:]), np.float32)
            live = signature.function(tf.constant(rows))["embedding"].numpy()
            difference = np.abs(run_tflite(content, rows) - live).max() / np.abs(live).max()
            differences[name] = float(difference)
    return differences


def known_metrics(workdir: str, report: str = "") -> dict[str, Any] | None:
    """What is known of how good a trained network is.

    Args:
      workdir: its work folder.
      report: an evaluation report; if empty, `evaluation.json` in the work folder, or else
        the scores that the best checkpoint was chosen by.

    Raises:
      UserError: `report` is named and cannot be read.
    """
    standing = os.path.join(workdir, "evaluation.json")
    if report or tf.io.gfile.exists(standing):
        return configuration.load(report or standing)
    best = os.path.join(workdir, checkpoints.BEST)
    steps = checkpoints.complete_steps(best)
    if not steps:
        return None
    state = configuration.load(os.path.join(best, f"step-{steps[-1]}", checkpoints.STATE))
    return {"step": state["step"], **state["metrics"]}


def _motion_lines(config: AvcConfig) -> list[str]:
    """What is to be known of pictures that are not single frames."""
    visual, step = config.network.visual, config.pairs.grid_seconds
    lines = []
    if visual.num_frames:
        lines.append(f"- `frames` are {step:g} s apart, with the moment in the middle.")
    if visual.num_flows:
        lines.append(
            f"- `flow`: {visual.num_flows} fields of TV-L1 flow over {step:g} s each, of any size,"
            " in their own pixels: to the right and down of each field in turn; half of the fields"
            " before the moment."
        )
    return lines


def _shorter(network: NetworkConfig) -> str:
    """What becomes of a short sound."""
    if network.masks_sound:
        return "of a shorter one `num_samples`, from the beginning of its row"
    return "silence surrounds a shorter one"


def model_card(
    config: AvcConfig,
    signatures: Mapping[str, Signature],
    metrics: Mapping[str, Any],
    differences: Mapping[str, float],
) -> str:
    """What the network is, what it takes and gives, how good it is, and its limits."""
    network, audio = config.network, config.network.audio
    lines = [
        f"# Audio-visual network `{network.network}`, recipe `{config.recipe}`",
        "",
        "Tells whether a picture and a short sound belong together; learned from videos without",
        "labels. Its embeddings serve retrieval between and within the two.",
        "",
        "## Signatures",
        "",
    ]
    pair = "`visual_embedding`, `audio_embedding`, `logits`, `corresponds`"
    pair += ", `heatmap`" if "localize" in signatures else ""
    map_ = ", `heatmaps`, `matchmap`" if network.masks_sound else ""
    pair += f"{map_}, `similarity`" if map_ else ""
    gives = {
        "correspond": pair,
        "serving_default": pair,
        "localize": f"`heatmap`, `corresponds`{map_}",
    }
    for name, signature in signatures.items():
        takes = ", ".join(f"`{s.name}` {s.dtype.name} {s.shape}" for s in signature.inputs)
        lines.append(f"- `{name}`: {takes} -> {gives.get(name, '`embedding`')}")
    unit = network.network in ("ave", "ave_mf", "ave_of") or (
        network.network == "resnet18" and network.unit_embeddings
    )
    visual = network.visual
    pictures = f"`frames`: {visual.num_frames}," if visual.num_frames else "`frame`, `jpeg`:"
    lines += [
        "",
        f"- {pictures} RGB, of any size; the network sees a square in the middle,"
        f" {config.frames.crop_share:g} of the shorter side, as {network.image_size} pixels.",
        *_motion_lines(config),
        f"- `waveform`: mono, {audio.sample_rate_hz} Hz, in [-1, 1]; the middle"
        f" {network.segment_seconds:g} s count, and {_shorter(network)}.",
        f"- Embeddings are {'unit vectors' if unit else 'not normalised'}; `corresponds` is a"
        " probability.",
    ]
    if "localize" in signatures:
        lines.append("- `heatmap` lies over that square, in [0, 1]: what sounds is high.")
    if network.network == "l3":
        lines.append("- L3's two embeddings are not trained to be compared with each other.")
    for name, difference in differences.items():
        lines.append(
            f"- `{name}.tflite`: that tower alone, on what fits already; differs from the network"
            f" by at most {difference:.1e} of the largest number, on random inputs."
        )
    numbers = {
        name: value
        for name, value in configuration.flat(metrics).items()
        if isinstance(value, int | float)
    }
    if numbers:
        lines += ["", "## Measured", "", "| measure | value |", "|---|---|"]
        lines += [f"| {name} | {value:.6g} |" for name, value in numbers.items()]
    return "\n".join([*lines, "", *configuration_lines(config)]) + "\n"
