r"""Makes an export of OpenL3's published weights.

Takes an unpacked file of the package openl3, such as openl3_audio_mel256_music.h5 or
openl3_image_mel256_music.h5, and writes a SavedModel with the signature embed_audio, or
embed_image and embed_jpeg. The folder appears only when complete.

Example (about 10 seconds):

  python -m launch.import_openl3 --weights=openl3_audio_mel256_music.h5 --embedding_dim=6144 \
      --output=/tmp/openl3
"""

from absl import flags

from avc import openl3, openl3_export, openl3_weights
from crossmodal.export import check_output
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string("weights", None, "File of the weights, .h5.")
flags.DEFINE_string("output", None, "Folder of the export.")
flags.DEFINE_enum(
    "input_representation", None, openl3.INPUT_REPRESENTATIONS,
    "What the tower of sound takes; default: as the file's name says.",
)
flags.DEFINE_integer("embedding_dim", 512, "512, or 6144 of sound and 8192 of pictures.")
flags.mark_flags_as_required(["weights", "output"])


def main() -> None:
    """Imports as the flags say."""
    check_output(FLAGS.output)
    tower = openl3_weights.load(
        FLAGS.weights, FLAGS.input_representation or "", FLAGS.embedding_dim
    )
    openl3_export.export(tower, FLAGS.output, FLAGS.weights)
    config = tower.config
    kind = f" of {config.input_representation}" if config.modality == "audio" else ""
    print(f"SavedModel: {FLAGS.output}")
    print(f"{config.modality} tower{kind}: {config.embedding_dim} numbers")


if __name__ == "__main__":
    commands.run(main)
