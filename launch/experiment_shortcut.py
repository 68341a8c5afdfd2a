r"""Shows what drawing all sounds on one grid prevents: two trainings on the same scenes.

Objects that Sound, section 3.3: when sounds of mismatched pairs began anywhere and those of
true pairs at multiples of 0.04 s, the network learnt the grid; correspondence rose from 81.9
to 87.6 % and retrieval fell. Here faint clicks on scenes give the grid away. One network is
trained with the safeguard (mismatched_grid=same) and one without (none); both are measured
on held-out pairs drawn as in their training, and by the evaluation, whose pairs are on the
grid. Killed and started again, it goes on where it was.

Example (some minutes on one idle core for each training, and one for the scenes):

  python -m launch.experiment_shortcut --output=/tmp/shortcut
"""

import os

from absl import flags

from avc import drawn_accuracy, embedding, evaluation, recipes, training
from avc.pair_config import MISMATCHED_GRIDS
from avc.reading import open_clips
from avc.recipes import AvcConfig
from crossmodal import configuration, reports
from crossmodal.training import TrainingConfig
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string("output", None, "Folder for scenes, work folders and the report.")
flags.DEFINE_integer("num_clips", 1100, "Scenes to train on.", lower_bound=64)
flags.DEFINE_integer("test_clips", 500, "Scenes to measure on.", lower_bound=10)
flags.DEFINE_float("click_dbfs", -40.0, "Peak of the clicks; -120 for none.")
flags.DEFINE_integer("max_steps", 300, "Of each training.", lower_bound=1)
flags.DEFINE_enum("precision", "mixed_bfloat16", ["float32", "mixed_bfloat16"], "Of the layers.")
flags.DEFINE_integer("seed", 0, "Of the trainings.")
flags.mark_flag_as_required("output")

GALLERY = 256
SAVED = ("num_clips", "test_clips", "click_dbfs", "max_steps", "precision", "seed")
# One large object a scene, sounding all the time: what small networks learn within minutes.
SCENES = {
    "picture_size": 64,
    "max_objects": 1,
    "min_object_area": 0.15,
    "clutter": 5,
    "min_sounding_share": 1.0,
    "audio_encoding": "pcm16",
    **dict.fromkeys(
        [f"{kind}_share" for kind in ("two_classes", "same_class", "switch", "off_screen")], 0.0
    ),
    "silent_share": 0.0,
}
# What differs from the recipe `ave`. Columns of 0.01 s: the grid of 0.04 s shows in them.
CHANGES = {
    "negatives": "independent",
    "pairs_per_read": 8,
    "learning_rate": 1e-3,
    "image_size": 64,
    "crop_share": 1.0,
    "width": 0.25,
    "mel_bands": 64,
    "window_seconds": 0.02,
    "hop_seconds": 0.01,
    "fft_length": 1024,
}


def make_scenes(split: str, num_clips: int) -> str:
    """Writes scenes that are not there yet, and returns their pattern.

    Raises:
      UserError: they cannot be written, or there are others.
    """
    try:
        from avc import scene_shards, scene_world
        from avc.scenes import SceneConfig
    except ImportError as error:
        commands.fail(f"{error}: install the package with its media extra")
    world = scene_world.WorldFiles()
    names = tuple(entry.name for entry in scene_world.open_world(world).classes)
    config = SceneConfig(
        split=split, classes=names, grid_click_dbfs=FLAGS.click_dbfs, **SCENES
    )
    folder = os.path.join(FLAGS.output, "scenes")
    print(scene_shards.make_scenes(scene_shards.SceneSet(config, world, folder, split, num_clips)))
    return os.path.join(folder, f"{split}-*.tfrecord")


def train(config: AvcConfig, pattern: str, workdir: str) -> None:
    """One training, or what is left of it.

    Raises:
      UserError: the folder holds a training of another kind.
    """
    run = TrainingConfig(
        batch_size=config.batch_size,
        max_steps=FLAGS.max_steps,
        precision=FLAGS.precision,
        seed=FLAGS.seed,
    )
    training.train(config, training.DataConfig(pattern), run, workdir)


def measure(workdir: str, pattern: str) -> dict[str, object]:
    """What a trained network makes of scenes that it was not trained on."""
    trained = embedding.load(workdir, "last")
    _, encoding, records = open_clips(pattern, "eval_pattern")
    network, config = trained.network, trained.config
    found = evaluation.embed_pairs(network, records, encoding, config)
    scores = evaluation.score(found, gallery())
    return {
        "as_in_training": drawn_accuracy.measure(network, records, encoding, config),
        "accuracy": scores["accuracy"],
        "recall@10": scores["recall@10"],
    }


def gallery() -> int:
    """Clips among which retrieval is measured."""
    return min(GALLERY, FLAGS.test_clips)


def table(rows: dict[str, dict]) -> str:
    """The two trainings, for reading."""
    titles = [
        "sounds of mismatched pairs",
        "accuracy %, drawn as in training",
        "95 % interval",
        "accuracy %, all on the grid",
        f"R@10 % of {gallery()}",
    ]
    cells = []
    for grid, row in rows.items():
        drawn = row["as_in_training"]
        cells.append([
            f"{'on the grid' if grid == 'same' else 'anywhere'} (mismatched_grid={grid})",
            f"{100 * drawn['estimate']:.1f}",
            f"{100 * drawn['low']:.1f} to {100 * drawn['high']:.1f}",
            f"{100 * row['accuracy']:.1f}",
            f"{100 * row['recall@10']:.1f}",
        ])
    cells.append(["chance", "50.0", "-", "50.0", f"{1000 / gallery():.1f}"])
    return reports.markdown(titles, cells, 1)


def main() -> None:
    """Makes scenes, trains twice, prints the table and writes the report."""
    base = recipes.override(recipes.recipe("ave"), CHANGES)
    train_pattern = make_scenes("train", FLAGS.num_clips)
    test_pattern = make_scenes("test", FLAGS.test_clips)
    rows = {}
    for grid in MISMATCHED_GRIDS:
        config = recipes.override(base, {"mismatched_grid": grid})
        workdir = os.path.join(FLAGS.output, grid)
        train(config, train_pattern, workdir)
        rows[grid] = measure(workdir, test_pattern)
    print(f"\n{FLAGS.max_steps} steps, clicks of {FLAGS.click_dbfs:g} dBFS\n\n{table(rows)}")
    path = os.path.join(FLAGS.output, "shortcut.json")
    reports.write_json(
        path,
        {"rows": rows, "avc_config": configuration.to_dict(base), "scenes": SCENES}
        | {name: FLAGS[name].value for name in SAVED},
    )
    print(f"\nreport: {path}")


if __name__ == "__main__":
    commands.run(main)
