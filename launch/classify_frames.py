r"""Classifies one frame a second of a folder of videos with a model of `keras.applications`.

Writes a CSV file with the likeliest classes of each frame, `video,seconds,class,posterior`, for
launch/label_pairs.py and launch/analyze_transcripts.py. Ended and started again, it goes on
with the files that are not finished.

Example:

  python -m launch.classify_frames --input=/data/videos --output=/data/posteriors.csv

Weights and class names of ImageNet are downloaded once; without a network give --weights=FILE
and --class_names=FILE. A classifier of ImageNet has no confidence that nothing of the kind is
there: the column `none_posterior` is left out, and there are no negative pairs.
"""

import tqdm
from absl import flags

from crossmodal.errors import ConfigurationError
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "input", "", "folder, searched with all its folders, or glob patterns separated by commas"
)
flags.DEFINE_string("output", "", "the CSV file; it appears only when complete")
flags.DEFINE_string("model", "ResNet50", "of keras.applications")
flags.DEFINE_string("weights", "imagenet", "imagenet, a file of weights, or none (random)")
flags.DEFINE_string("class_names", "", "file with the names of the classes; else ImageNet's")
flags.DEFINE_float("frames_per_second", 1.0, "the grid of frames")
flags.DEFINE_integer("top_classes", 5, "likeliest classes that are written of a frame")
flags.DEFINE_integer("batch_size", 32, "frames that are classified at once")


def main() -> None:
    """Classifies as the flags say."""
    # PyAV is an extra of the package: --help works without.
    try:
        from avc import clip_files, frame_classification, frame_classifier
    except ImportError as error:
        commands.fail(f"{error}: install the package with its extra media")
    from crossmodal import files

    config = frame_classification.ClassificationConfig(
        FLAGS.model, FLAGS.weights, FLAGS.class_names, FLAGS.frames_per_second,
        FLAGS.top_classes, FLAGS.batch_size,
    )
    if not FLAGS.output.endswith(".csv"):
        raise ConfigurationError(f"--output={FLAGS.output}: its name must end with .csv")
    inputs = clip_files.list_inputs(FLAGS.input)
    clip_files.check_output(FLAGS.input, FLAGS.output)
    files.check_writable(FLAGS.output, "output")
    classifier = frame_classifier.load(config.model, config.weights, config.class_names)
    total = sum(file.description.get("bytes", 0) for file in inputs)
    with tqdm.tqdm(total=total, unit="B", unit_scale=True, desc="classify") as bar:
        frames = 0

        def tell(file: clip_files.InputFile, new: int, finished: bool) -> None:
            nonlocal frames
            frames += new
            bar.set_postfix(frames=frames, file=file.name[-30:], refresh=False)
            bar.update(file.description.get("bytes", 0) if finished else 0)

        done = frame_classification.classify(inputs, classifier, config, FLAGS.output, tell)
    for line in done.left_out:
        print(f"left out: {line}")
    print(f"{done.frames} frames of {len(inputs)} files: {FLAGS.output}")


if __name__ == "__main__":
    commands.run(main)
