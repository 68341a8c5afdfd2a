"""What commands of the documentation need and no page makes: videos, records, networks, tables.

`MATERIALS` says by a command, a flag and a value what to make where it names a file that is not
there. Most is copied from `testdata`; networks are trained once, for two steps, and copied.
"""

import csv
import dataclasses
import glob
import json
import os
import pathlib
import re
import shutil
from collections.abc import Callable

import numpy as np
import odd_media
import tensorflow as tf
from documented_commands import shrink
from page_commands import ROOT
from scipy.io import wavfile

from avc import encoding, recipes, recordings, scene_classes

YT8M = ROOT / "testdata" / "yt8m"
SCENES = ROOT / "testdata" / "scenes"


@dataclasses.dataclass
class Kitchen:
    """Makes materials.

    Attributes:
      run: runs a command in a folder and returns what went wrong, or nothing.
      shared: folder of what is made once and copied.
    """

    run: Callable[[str, list[str], pathlib.Path], str]
    shared: pathlib.Path

    def provide(self, module: str, arguments: list[str], sandbox: pathlib.Path) -> None:
        """Makes what the arguments name and is not there."""
        for argument in arguments:
            name, _, value = argument.lstrip("-").partition("=")
            for part in value.split(","):
                path = sandbox / part
                if not part or glob.glob(str(path)):
                    continue
                for command, flag, text, make in MATERIALS:
                    fits = re.fullmatch(command, module) and re.fullmatch(flag, name)
                    if fits and re.search(text, part):
                        path.parent.mkdir(parents=True, exist_ok=True)
                        make(self, path)
                        break

    def must_run(self, module: str, *arguments: str) -> None:
        wrong = self.run(module, shrink(module, list(arguments), ""), self.shared)
        assert not wrong, f"{module} {arguments}: {wrong}"


def file_of(pattern: pathlib.Path, number: int = 0) -> pathlib.Path:
    """A file that a pattern finds."""
    path = pathlib.Path(re.sub(r"\*|\[[^]]*\]", f"{number:04}", str(pattern)))
    path.parent.mkdir(parents=True, exist_ok=True)
    return path if path.suffix else path.with_suffix(".tfrecord")


def copies(source: str) -> Callable[[Kitchen, pathlib.Path], None]:
    """Copies files of the project: those that a pattern finds."""
    def make(_: Kitchen, path: pathlib.Path) -> None:
        found = sorted(ROOT.glob(source))
        if "*" not in path.name:
            shutil.copy(found[0], path)
        for number, file in enumerate(found if "*" in str(path) else []):
            shutil.copy(file, file_of(path, number))
    return make


def made(module: str, *arguments: str) -> Callable[[Kitchen, pathlib.Path], None]:
    """Copies the records that a command writes."""
    def make(kitchen: Kitchen, path: pathlib.Path) -> None:
        folder = kitchen.shared / "-".join([module, *arguments]).replace("/", "_")[:60]
        if not folder.exists():
            kitchen.must_run(module, f"--output={folder}", *arguments)
        for number, file in enumerate(sorted(folder.glob("*.tfrecord"))):
            shutil.copy(file, file_of(path, number))
    return make


def embedding(kitchen: Kitchen, path: pathlib.Path) -> None:
    """The work folder, or the export, of a joint embedding of YouTube-8M features."""
    recipe = "temporal" if "temporal" in str(path) else "contrastive"
    shards = YT8M / ("frame" if recipe == "temporal" else "train")
    network(kitchen, path, "yt8m", recipe, f"{shards}/train0000.tfrecord", "")


def audio_visual(kitchen: Kitchen, path: pathlib.Path) -> None:
    """The same of an audio-visual network: the one that its folder is named for."""
    name = path.parent.name if path.name == "export" else path.name
    name = name.removeprefix("moving-")
    recipe = max((r for r in recipes.RECIPES if name.startswith(r)), key=len, default="ave")
    train, test = f"{SCENES}/train-*", f"{SCENES}/test-*"
    for beginning, make in (("davenet", NARRATIONS), ("ave_of", MOVING)):
        if recipe.startswith(beginning):
            train = test = str(kitchen.shared / f"of_{beginning}-*")
            if not glob.glob(train):
                make(kitchen, pathlib.Path(train))
    network(kitchen, path, "avc", recipe, train, test)


def network(kitchen: Kitchen, path, kind: str, recipe: str, train: str, test: str) -> None:
    workdir = kitchen.shared / recipe
    if not workdir.exists():
        kitchen.must_run(
            f"launch.train_{kind}", f"--recipe={recipe}", f"--workdir={workdir}",
            f"--train_pattern={train}", f"--eval_pattern={test}",
        )
    folder = path.parent if path.name == "export" else path
    shutil.copytree(workdir, folder, dirs_exist_ok=True)
    if path.name == "export":
        kitchen.must_run(f"launch.export_{kind}", f"--workdir={folder}", "--tflite=false")


def report(kind: str) -> Callable[[Kitchen, pathlib.Path], None]:
    """The report of an evaluation of a network, beside its checkpoints."""
    def make(kitchen: Kitchen, path: pathlib.Path) -> None:
        path = file_of(path)
        once = kitchen.shared / f"{kind if kind == 'yt8m' else path.parent.name}.json"
        if not once.exists():
            (embedding if kind == "yt8m" else audio_visual)(kitchen, path.parent)
            more = [f"--eval_pattern={SCENES}/test-*"]
            if kind == "yt8m":
                more = [f"--eval_pattern={YT8M}/dev/*.tfrecord", "--baseline=cca"]
            kitchen.must_run(
                f"launch.evaluate_{kind}", f"--workdir={path.parent}", f"--output={once}", *more
            )
        shutil.copy(once, path)
    return make


def embedded(kitchen: Kitchen, path: pathlib.Path) -> None:
    """Embeddings of the bundled videos' features."""
    workdir = kitchen.shared / "embedding"
    embedding(kitchen, workdir)
    kitchen.must_run(
        "launch.embed_yt8m", f"--workdir={workdir}", f"--output={path}".replace("*", "0000"),
        f"--input_pattern={YT8M}/dev/*.tfrecord",
    )


# Two ids as AudioSet has them, and the video of the bundled transcripts; classes; seconds.
VIDEOS = {"--PJHxphWEs": "Acoustic guitar", "glLQrEijrKg": "Hammer", "pesto": "Drum"}
SECONDS = {"pesto": 8.0}


def folder_of_videos(_: Kitchen, path: pathlib.Path) -> None:
    path.mkdir(parents=True)
    for number, name in enumerate(VIDEOS):
        video(None, path / f"{name}.mp4", number, SECONDS.get(name, 2.0 + number / 2))


def many_videos(_, path: pathlib.Path) -> None:
    """As many as a batch and a validation split need."""
    path.mkdir(parents=True)
    for number in range(14):
        video(None, path / f"{number}.mp4", number)


def video(_, path: pathlib.Path, number: int = 0, length: float = 2.0) -> None:
    def paint(frame, width, height):
        return odd_media.picture((frame * 37 + number * 101) % 1024, width, height)

    def play(seconds):
        return odd_media.sound(np.asarray(seconds) + 2 * number)

    odd_media.write(
        path, seconds=length, frames_per_second=12, size=(128, 96), paint=paint, play=play
    )


def sound(_, path: pathlib.Path) -> None:
    samples = 32767 * odd_media.sound(np.arange(2 * 48_000) / 48_000)
    wavfile.write(path, 48_000, samples.astype(np.int16))


def picture(_, path: pathlib.Path) -> None:
    path.write_bytes(encoding.encode_jpeg(odd_media.picture(300).astype(np.uint8), 90))


def recorded_sounds(_, path: pathlib.Path) -> None:
    """Sounds as ESC-50 has them: four classes, four folds, and recordings for each split."""
    wanted = {"train": 4, "validation": 1, "test": 3}
    for index, entry in enumerate(scene_classes.ESC10[:4]):
        (path / entry.name).mkdir(parents=True)
        left, source = dict(wanted), 1000 * index
        while any(left.values()):
            source += 1
            name = f"{1 + sum(left.values()) % 4}-{source}-A"
            split = recordings.split_of(name + ".wav")
            if left[split]:
                left[split] -= 1
                tone = np.sin(np.arange(24_000) * (0.05 + source % 30 / 100)) * 9000
                wavfile.write(path / entry.name / f"{name}.wav", 48_000, tone.astype(np.int16))


def sprites(_, path: pathlib.Path) -> None:
    """A folder of pictures where a page has a font."""
    path.mkdir(parents=True)
    for number, entry in enumerate(scene_classes.ESC10):
        pixels = np.full((32, 32, 4), (20 * number, 200, 100, 255), np.uint8)
        pixels[:8, :, 3] = pixels[-8:, :, 3] = 0  # the ground
        tf.io.write_file(str(path / f"{entry.name}.png"), tf.io.encode_png(pixels))


def ontology(_, path: pathlib.Path) -> None:
    """The classes of scenes and videos below 'Musical instrument', 'Singing' and 'Tools'."""
    scenes = [(entry.label, entry.display_name)
              for entry in (*scene_classes.OWN, *scene_classes.ESC10)]
    others = [(f"/m/{name}", name) for name in VIDEOS.values()]
    children = {"Musical instrument": [*scenes[::2], *others[::2]], "Singing": [],
                "Tools": [*scenes[1::2], *others[1::2]]}
    roots = [{"id": f"/m/{name}", "name": name, "child_ids": [label for label, _ in below]}
             for name, below in children.items()]
    leaves = [{"id": label, "name": name, "child_ids": []}
              for label, name in dict([*scenes, *others]).items()]
    path.write_text(json.dumps(roots + leaves))


def class_names(_, path: pathlib.Path) -> None:
    path.write_text("".join(f"class {number}\n" for number in range(1000)))


def label_table(_, path: pathlib.Path) -> None:
    """In the official form of VGGSound, or in AudioSet's where the file is named for segments."""
    with open(path, "w", newline="") as file:
        if "segments" in path.name:
            file.write("# YTID, start_seconds, end_seconds, positive_labels\n")
            for name, label in VIDEOS.items():
                file.write(f'{name}, 0.000, 10.000, "/m/{label}"\n')
        else:
            rows = [[name, 1, label, "train"] for name, label in VIDEOS.items()]
            csv.writer(file).writerows(rows)


def boxes(_, path: pathlib.Path) -> None:
    """Boxes in the form of VGG-SS, of the bundled scenes."""
    names = [f"test-0-0000000{number}_000000000" for number in range(4)]
    box = [0.2, 0.2, 0.8, 0.8]
    path.write_text(json.dumps([{"file": n, "class": "dog", "bbox": [box]} for n in names]))


def mediapipe(_, path: pathlib.Path) -> None:
    """What MediaPipe's extractor writes of a video."""
    lists = {}
    for name, size in (("RGB", 1024), ("AUDIO", 128)):
        rows = [tf.train.Feature(float_list=tf.train.FloatList(value=[0.5] * size))] * 3
        lists[f"{name}/feature/floats"] = tf.train.FeatureList(feature=rows)
    record = tf.train.SequenceExample(feature_lists=tf.train.FeatureLists(feature_list=lists))
    file_of(path).write_bytes(record.SerializeToString())


def arrays(_, path: pathlib.Path) -> None:
    """The inputs of `saved_model_cli run`, in the folder where it runs."""
    np.save(path.parent / "frames.npy", np.zeros((2, 32, 32, 3), np.uint8))
    np.save(path.parent / "waveforms.npy", np.zeros((2, 12_000), np.float32))


NARRATIONS = made("launch.make_narrations", "--set=picture_size=32,audio_encoding=pcm16")
MOVING = made(
    "launch.make_scenes", "--only=bell,rain,siren",
    "--set=motion=by_class,looks=any,motion_range=0.05,flow=true,flow_shorter_side=32,"
    "picture_size=48,clip_seconds=1.2,frames_per_second=12.5,max_objects=2,two_classes_share=0,"
    "same_class_share=0,switch_share=0,off_screen_share=0,silent_share=0,audio_encoding=pcm16",
)
# More than the bundled ones: CCA keeps some apart.
SCENES_TO_TRAIN_ON = made("launch.make_scenes", "--set=picture_size=96")
READS = r"(?!launch\.(train|sweep)_).*"
OF_YT8M = r"launch\.(\w+_yt8m|\w+_seconds)"
# The command, the flag, a part of the value, and what makes it; the first row that fits counts.
MATERIALS = (
    (r"launch\.convert_yt8m", r"input_pattern", r"\.pb$", mediapipe),
    (OF_YT8M, r"\w*_pattern", r"frame", copies("testdata/yt8m/frame/*.tfrecord")),
    (OF_YT8M, r"\w*_pattern", r"train", copies("testdata/yt8m/train/*.tfrecord")),
    (OF_YT8M, r"\w*_pattern", r"", copies("testdata/yt8m/dev/*.tfrecord")),
    (r".*", r"\w*_pattern", r"narrations|cooking", NARRATIONS),
    (r".*", r"\w*_pattern", r"moving", MOVING),
    (r".*", r"\w*_pattern", r"swap", copies("testdata/scenes/test_swap*.tfrecord")),
    (r".*", r"\w*_pattern", r"train", SCENES_TO_TRAIN_ON),
    (r".*", r"\w*_pattern", r"", copies("testdata/scenes/test-*.tfrecord")),
    (rf"(?={OF_YT8M}){READS}", r"(baseline_)?workdirs?|saved_model", r"", embedding),
    (READS, r"(baseline_)?workdirs?", r"", audio_visual),
    (r".*", r"(audio|visual)_init", r"/", audio_visual),
    (r".*", r"input", r"cooking", many_videos),
    (r".*", r"input|media|videos", r"", folder_of_videos),
    (r".*", r"(query_)?video", r"", video),
    (r".*", r"audio|sound|query_sound", r"\.", sound),
    (r".*", r"image|query_image", r"", picture),
    (r".*", r"sounds", r"", recorded_sounds),
    (r".*", r"sprites", r"", sprites),
    (r".*", r"ontology", r"", ontology),
    (r".*", r"vggss", r"", boxes),
    (r".*", r"class_names", r"", class_names),
    (r".*", r"label_table|test_table", r"", label_table),
    (r".*", r"vocabulary", r"", copies("testdata/yt8m/vocabulary.csv")),
    (r"launch\.tabulate_yt8m", r"reports", r"", report("yt8m")),
    (r"launch\.tabulate_avc", r"reports", r"", report("avc")),
    (r"launch\.search", r"database", r"", embedded),
    (r"saved_model_cli", r"inputs", r"\.npy", arrays),
)


def folder_for(sandbox: pathlib.Path, arguments: list[str]) -> None:
    """Makes the sandbox's own folders, and those at its top that arguments name."""
    sandbox.mkdir(exist_ok=True)
    (sandbox / "docs").mkdir(exist_ok=True)
    if not (sandbox / "testdata").exists():
        os.symlink(ROOT / "testdata", sandbox / "testdata")
    for found in re.findall(rf"{re.escape(str(sandbox))}/(\w+)", " ".join(arguments)):
        (sandbox / found).mkdir(exist_ok=True)
