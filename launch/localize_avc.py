r"""Shows what in a picture or a video makes the sound: a heat map over it.

A picture and a sound file become a PNG; a video becomes an mp4 with the map over every
frame, and its sound. Colours are of a fixed scale: dark blue is a probability of 0, light
yellow of 1. The network sees a square in the middle; the rest is darker.

Examples (a video takes about a second per 10 frames of the full network on two cores):

  python -m launch.localize_avc --workdir=/tmp/avol --image=street.jpg --sound=siren.wav \
      --output=/tmp/siren.png
  python -m launch.localize_avc --workdir=/tmp/avol --video=street.mp4 --output=/tmp/street.mp4
"""

import os

import numpy as np
from absl import flags

from avc import clip_moments, embedding, localized_picture, localized_video, media
from avc.embedding import TrainedNetwork
from avc.localized_video import Look
from crossmodal import files
from crossmodal.configuration import check_range
from crossmodal.errors import ConfigurationError, UserError
from launch import commands
from launch.seconds_bar import seconds_bar

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Work folder of an AVOL-Net or a DAVEnet, or its export.")
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of a work folder.")
flags.DEFINE_string("image", "", "Picture: JPEG, PNG, BMP or GIF.")
flags.DEFINE_string("sound", "", "Sound for --image: any file that holds one.")
flags.DEFINE_float("at_seconds", None, "Middle of what is heard of --sound; default: its middle.")
flags.DEFINE_string("video", "", "Video with sound, instead of --image and --sound.")
flags.DEFINE_string("output", None, "PNG, or for --video mp4.")
flags.DEFINE_bool("stretch", False, "Stretch each map from its lowest to its highest value.")
flags.DEFINE_float("opacity", 0.6, "Of the map, from 0 to 1.")
flags.DEFINE_integer("shorter_side", 256, "Pixels of the written video.", lower_bound=16)
flags.DEFINE_float(
    "frames_per_second", 0.0, "Of the written video; 0: as the source.", 0.0, 60.0
)
flags.DEFINE_enum(
    "over", "all", ["all", "moment"],
    "Of a DAVEnet: map of all the sound around a frame, or of the very moment.",
)
flags.mark_flags_as_required(["workdir", "output"])


def check_flags() -> None:
    """Raises ConfigurationError for flags that do not go together."""
    given = bool(FLAGS.image), bool(FLAGS.sound), bool(FLAGS.video)
    if given not in ((True, True, False), (False, False, True)):
        raise ConfigurationError("give either --image and --sound or --video")
    wanted = ".mp4" if FLAGS.video else ".png"
    if os.path.splitext(FLAGS.output)[1].lower() != wanted:
        raise ConfigurationError(f"--output={FLAGS.output}: its name must end with {wanted}")
    if FLAGS.at_seconds is not None and FLAGS.video:
        raise ConfigurationError("--at_seconds is for --sound")
    if FLAGS.shorter_side % 2:
        raise ConfigurationError(f"--shorter_side={FLAGS.shorter_side}: must be an even number")
    if FLAGS.frames_per_second and not FLAGS.video:
        raise ConfigurationError("--frames_per_second is for --video")
    check_range("opacity", FLAGS.opacity, 0, 1)


def main() -> None:
    """Writes the picture or the video and says where."""
    check_flags()
    files.check_writable(FLAGS.output, "output")
    network = embedding.load(FLAGS.workdir, FLAGS.checkpoint)
    if not network.localizes:
        raise UserError(
            f"--workdir={FLAGS.workdir}: its network has no heat map; avol and davenet have"
        )
    if FLAGS.over == "moment" and not network.config.network.masks_sound:
        raise UserError(f"--over=moment: the network of {FLAGS.workdir} has no matchmap")
    if FLAGS.video:
        localize_video(network)
    else:
        localize_picture(network)


def localize_picture(network: TrainedNetwork) -> None:
    """One picture and one second of sound."""
    rate = network.sample_rate_hz
    picture = localized_picture.read_picture(FLAGS.image)
    sound = localized_picture.read_sound(FLAGS.sound, rate)
    middle = None if FLAGS.at_seconds is None else round(FLAGS.at_seconds * rate)
    segment = network.config.network.segment_samples
    second = localized_picture.cut_second(sound, segment, middle)[None]
    middle = len(sound) // 2 if middle is None else middle
    if network.config.network.masks_sound:
        inside = clip_moments.inside_of(len(sound), middle, segment)
        second, number = clip_moments.beginnings(second, [inside])
        heatmap = localizer(network)(picture[None], second, number, segment // 2 - inside[0])[0]
    else:
        heatmap = network.localize(picture[None], second)[0]
    look = Look(network.config.frames.crop_share, FLAGS.stretch, FLAGS.opacity)
    files.write_png(FLAGS.output, look.draw(picture, heatmap))
    column, row = localized_picture.peak(heatmap, picture.shape, look.crop_share)
    print(f"highest probability {np.max(heatmap):.3f}, at pixel ({column}, {row}): {FLAGS.output}")


def localizer(network: TrainedNetwork) -> localized_video.Localize:
    """What the flags ask of a network."""

    def at_moment(frames, waveforms, num_samples, at_samples):
        return network.localize_at(frames, waveforms, num_samples, at_samples)

    def over_all(frames, waveforms, num_samples=None, at_samples=None):
        return network.localize(frames, waveforms, num_samples)

    return at_moment if FLAGS.over == "moment" else over_all


def localize_video(network: TrainedNetwork) -> None:
    """Every frame of a video."""
    seconds = media.probe(FLAGS.video).duration_seconds
    share = network.config.frames.crop_share
    with seconds_bar("localise", seconds) as tell:
        written = localized_video.write(
            FLAGS.video,
            FLAGS.output,
            localizer(network),
            network.config.network.segment_samples,
            network.sample_rate_hz,
            Look(share, FLAGS.stretch, FLAGS.opacity, FLAGS.shorter_side),
            tell,
            FLAGS.frames_per_second,
            network.config.network.masks_sound,
        )
    if written.damage:
        print(f"{FLAGS.video}: {written.damage}; what came before is written")
    print(f"{written.frames} frames, {written.seconds:.2f} s: {FLAGS.output}")


if __name__ == "__main__":
    commands.run(main)
