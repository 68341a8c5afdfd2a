"""A tower of OpenL3 as a SavedModel, served as the towers of our own networks are."""

import os

import tensorflow as tf

from avc import openl3
from avc.frames import FrameConfig, centre_squares
from avc.openl3_weights import OpenL3
from avc.serving import FRAME, JPEG, WAVEFORM, decode_frames, fit_waveforms, in_unit
from avc.serving_checks import check_inputs
from crossmodal import configuration, files
from crossmodal.export import (
    CARD_FILE,
    Signature,
    check_output,
    configuration_lines,
    export_saved_model,
)
from crossmodal.request_checks import Tensors, checked, on_rows


def signatures(tower: OpenL3) -> dict[str, Signature]:
    """`embed_audio`, or `embed_image` and `embed_jpeg`; the first is `serving_default`, too.

    They take what those of `avc.serving.signatures` do, and give `embedding` [batch, d].
    """
    frames = FrameConfig(openl3.IMAGE_SIZE).evaluation()

    def embed(rows: Tensors) -> Tensors:
        return {"embedding": tower.model(next(iter(rows.values())), training=False)}

    def embed_audio(waveform: tf.Tensor) -> Tensors:
        given = checked((WAVEFORM,), (waveform,), check_inputs)["waveform"]
        return on_rows(embed, {"waveform": fit_waveforms(given, openl3.SAMPLE_RATE_HZ)})

    def embed_image(frame: tf.Tensor) -> Tensors:
        given = checked((FRAME,), (frame,), check_inputs)
        shown = on_rows(lambda rows: centre_squares(rows["frame"], frames), given)
        return on_rows(embed, {"frame": in_unit(shown)})

    def embed_jpeg(jpeg: tf.Tensor) -> Tensors:
        given = checked((JPEG,), (jpeg,), check_inputs)["jpeg"]
        return on_rows(embed, {"frame": in_unit(decode_frames(given, frames))})

    if tower.config.modality == "audio":
        found = {"embed_audio": Signature(embed_audio, (WAVEFORM,))}
    else:
        found = {
            "embed_image": Signature(embed_image, (FRAME,)),
            "embed_jpeg": Signature(embed_jpeg, (JPEG,)),
        }
    return found | {"serving_default": next(iter(found.values()))}


def export(tower: OpenL3, output: str, source: str) -> None:
    """Writes a tower into a folder, whole or not at all.

    Args:
      tower: with its weights.
      output: the folder; an older export is replaced.
      source: the file of the weights, to be named.

    Raises:
      UserError: see `crossmodal.export.check_output`.
    """
    check_output(output)
    found = signatures(tower)
    with files.whole_folder(output) as folder:
        export_saved_model(folder, {"tower": tower.model}, found)
        saved = {"openl3": configuration.to_dict(tower.config), "weights": os.path.basename(source)}
        configuration.save(os.path.join(folder, configuration.FILE), saved)
        files.write_text(os.path.join(folder, CARD_FILE), model_card(tower, found, source))


def model_card(tower: OpenL3, found: dict[str, Signature], source: str) -> str:
    """What the tower is, what it takes and gives, and how it differs from our L3-Net."""
    lines = [
        f"# OpenL3, {tower.config.modality} tower",
        "",
        f"Weights of `{os.path.basename(source)}`, in a network of its own architecture.",
        "",
        "## Signatures",
        "",
    ]
    for name, signature in found.items():
        takes = ", ".join(f"`{s.name}` {s.dtype.name} {s.shape}" for s in signature.inputs)
        lines.append(f"- `{name}`: {takes} -> `embedding` [batch, {tower.config.embedding_dim}]")
    lines += [
        "",
        f"- `waveform`: mono, {openl3.SAMPLE_RATE_HZ} Hz, in [-1, 1]; the middle second counts,"
        " and silence surrounds a shorter one.",
        f"- `frame`, `jpeg`: RGB, of any size; the tower sees a square in the middle, 0.875 of"
        f" the shorter side, as {openl3.IMAGE_SIZE} pixels, in [-1, 1].",
        "- Embeddings are not normalised; sound and picture are not comparable.",
        "",
        "## Different from `l3` here",
        "",
        *[f"- {difference}" for difference in openl3.DIFFERENCES],
        "",
        *configuration_lines(tower.config),
    ]
    return "\n".join(lines) + "\n"
