"""What a trained network is given by its users: arrays, checked before anything runs."""

import numpy as np

from avc.configuration import NetworkConfig
from avc.serving_checks import LOUDEST
from crossmodal.errors import UserError


def checked_pairs(
    frames: np.ndarray,
    waveforms: np.ndarray,
    flow: np.ndarray | None,
    config: NetworkConfig,
    num_samples: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Checked pictures and sounds, equally many; raises UserError as the checks do."""
    found = checked_pictures(frames, flow, config)
    found |= checked_sounds(waveforms, num_samples, config)
    if len(frames) != len(found["waveform"]):
        raise UserError(
            f"{len(frames)} frames and {len(found['waveform'])} waveforms are no pairs"
        )
    return found


def checked_pictures(
    frames: np.ndarray, flow: np.ndarray | None, config: NetworkConfig
) -> dict[str, np.ndarray]:
    """What a network takes beside the sound, by name.

    Raises:
      UserError: it is not what the network takes.
    """
    visual = config.visual
    if visual.num_frames:
        found = {"frames": checked_frames(frames, visual.num_frames)}
    else:
        found = {"frame": checked_frames(frames)}
    if not visual.num_flows:
        if flow is not None:
            raise UserError(f"a network `{config.network}` takes no flow")
        return found
    if flow is None:
        raise UserError(f"a network `{config.network}` takes flow beside frames")
    flow = np.asarray(flow)
    wanted = f"[{len(frames)}, height, width, {2 * visual.num_flows}]"
    fits = flow.ndim == 4 and len(flow) == len(frames) and flow.shape[3] == 2 * visual.num_flows
    if not fits or flow.dtype.kind != "f" or 0 in flow.shape[1:]:
        raise UserError(f"flow is {flow.dtype} {flow.shape}: it must be floats {wanted}")
    if not np.isfinite(flow).all():
        raise UserError("flow has a NaN or Inf")
    return {**found, "flow": flow.astype(np.float32)}


def checked_frames(frames: np.ndarray, number: int = 0) -> np.ndarray:
    """The frames; raises UserError unless they are uint8 `[n, (number,) height, width, 3]`."""
    frames = np.asarray(frames)
    several = (number,) if number else ()
    fits = frames.ndim == 4 + len(several) and frames.shape[1:-3] == several
    if frames.dtype != np.uint8 or not fits or frames.shape[-1] != 3:
        wanted = ", ".join(["n", *map(str, several), "height", "width", "3"])
        raise UserError(f"frames are {frames.dtype} {frames.shape}: they must be uint8 [{wanted}]")
    if 0 in frames.shape[1:]:
        raise UserError(f"frames of shape {frames.shape} hold no pixel")
    return frames


def checked_sounds(
    waveforms: np.ndarray, num_samples: np.ndarray | None, config: NetworkConfig
) -> dict[str, np.ndarray]:
    """What a network takes of the sound, by name.

    Raises:
      UserError: it is not what the network takes, or a sound has no sample.
    """
    found = {"waveform": checked_waveforms(waveforms)}
    if not config.masks_sound:
        if num_samples is not None:
            raise UserError(f"a network `{config.network}` takes no num_samples")
        return found
    number, width = found["waveform"].shape
    if num_samples is None:
        num_samples = np.full(number, width)
    num_samples = np.asarray(num_samples)
    if num_samples.shape != (number,) or num_samples.dtype.kind not in "iu":
        raise UserError(
            f"num_samples is {num_samples.dtype} {num_samples.shape}: it must be integers"
            f" [{number}], one for each waveform"
        )
    wrong = (num_samples < 1) | (num_samples > width)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(
            f"waveform of row {row} has {num_samples[row]} samples: it must have at least one and"
            f" at most the {width} of its row"
        )
    return {**found, "num_samples": num_samples.astype(np.int32)}


def checked_waveforms(waveforms: np.ndarray) -> np.ndarray:
    """Waveforms as float32.

    Raises:
      UserError: they are not `[n, samples]`, or hold what is no sound.
    """
    waveforms = np.asarray(waveforms)
    if waveforms.ndim != 2:
        raise UserError(f"waveforms have shape {waveforms.shape}: they must be [n, samples], mono")
    if waveforms.dtype == np.int16:
        return waveforms.astype(np.float32) / 32768
    if waveforms.dtype.kind != "f":
        raise UserError(f"waveforms are {waveforms.dtype}: they must be floats or int16")
    peaks = np.abs(waveforms).max(axis=1, initial=0)
    if not np.isfinite(peaks).all():
        raise UserError(f"waveform of row {np.argmin(np.isfinite(peaks))} has a NaN or Inf")
    if (peaks > LOUDEST).any():
        row = np.argmax(peaks)
        raise UserError(
            f"waveform of row {row} reaches {peaks[row]:.6g}: floats must lie in [-1, 1]"
        )
    return waveforms.astype(np.float32)
