"""How each command of the documentation runs at a small size, and which cannot.

A command of a page runs in a folder of its own, the *sandbox*, with what the page made before it:

1. Paths from the root of the disk lie in the sandbox instead: `/data/clips` becomes
   `SANDBOX/data/clips`; so do `gs://` and `$CROSSMODAL_DATA`. `testdata` is the project's.
2. `SMALL` lowers the numbers of flags, also where a command leaves them to their defaults.
   A flag that a command has not is no harm. `FIELDS` does the same for --set.
3. What a flag names and the page has not made is made by tests/command_materials.py, which goes
   by the flag and the name: `--workdir=runs/ave_small-1` is a small trained AVE-Net.
4. Commands of one line that differ in digits only, as the seeds of a loop, run once.

To add a command to a page, write it; most need no change here. Where one takes long, add its
number to SMALL. Where it needs a kind of file that is new, add a row to MATERIALS. Where it cannot
run on any machine that runs tests, add a row to EXCEPTIONS with the reason; where it needs a
package that not all have, to NEEDED. A row that fits no command of the pages fails.
"""

import re

import avc_runs

# A regular expression of the whole command, and why it does not run.
EXCEPTIONS = {
    r"--runner=DataflowRunner": "needs a project of Google Cloud",
    r"^tensorboard ": "goes on until it is stopped, and serves a port",
    r"^bash launch/(demo|test)\.sh": "installs an environment; test_launch.py runs what it runs",
    r"^(docker|curl) ": "needs containers; test_dockerfiles.py and test_serving.py check these",
    r"launch\.query_server ": "needs a model server; test_serving.py runs it against one",
    r"launch\.import_openl3 ": "needs OpenL3's files; test_openl3.py makes such",
    r"launch\.reproduce ": "takes minutes at least; test_reproduce.py runs every paper's",
    r"launch\.explore ": "goes on until it is stopped; test_explorer_in_browser.py runs it",
    r"worker_pool_main|--environment_type=EXTERNAL": "goes on until it is stopped; "
    "test_beam_runners.py runs it",
    r"--strategy=multi_worker": "is two processes at once; test_workers_avc.py runs them",
    r"^bash launch/own_videos\.sh": "installs an environment; test_own_videos.py runs it",
    r"launch\.benchmark_avc .*--only=negatives": "trains on more clips than are bundled, for "
    "minutes; test_avc_benchmark.py runs it",
    r"launch\.benchmark_yt8m .*--large": "ranks 100,000 items, for minutes",
}
# A regular expression of the whole command, and packages without which it does not run.
NEEDED = {
    r"launch\.benchmark_avc .*--only=\S*step": ["torch"],
    r"launch\.benchmark_avc .*--only=\S*spectrogram": ["librosa"],
    r"launch\.benchmark_yt8m .*--only=\S*(step|recall)": ["torch", "faiss"],
    r"--index=faiss": ["faiss"],
}
# Commands that set up TensorFlow's devices or threads: they need a process of their own.
ALONE = r"launch\.benchmark_|saved_model_cli|--strategy="
# Flags and their largest values; those not given are added.
SMALL = {
    "batch_size": 8,
    "checkpoint_every_steps": 2,
    "clips_per_shard": 12,
    "copies": 2,
    "evaluate_every_steps": 2,
    "flow_shorter_side": 32,
    "gallery_size": 8,
    "hearing_steps": 2,
    "inner_folds": 2,
    "items": 60,
    "max_steps": 2,
    "num_clips": 24,
    "num_galleries": 2,
    "num_queries": 2,
    "num_videos": 8,
    "number": 4,
    "rounds": 1,
    "shorter_side": 96,
    "steps_per_call": 1,
    "test_clips": 10,
    "train_seconds": 1,
    "train_videos": 60,
    "validate_videos": 20,
}
# The same of flags that are left alone where they are not given.
SMALL_IF_GIVEN = {"num_permutations": 2, "num_shards": 1, "num_workers": 1, "swap_pairs": 1}
# Where a command cannot do with so little.
LARGER = {("experiment_shortcut", "num_clips"): 64, ("make_scenes", "num_clips"): 96}
# What bundled records are enough for.
ENOUGH = {("evaluate_yt8m", "gallery_sizes"): "256"}
# Values that need a network.
INSTEAD = {"weights": "none", "class_names": "class_names.txt"}
# Fields of --set, by the command; those that a page gives count more.
NETWORK = {**avc_runs.TINY, "negatives_per_clip": 1}
EMBEDDING = {"visual_layers": 16, "audio_layers": 16, "embedding_dim": 8, "temporal_units": 8,
             "attention_heads": 2}
FIELDS = {
    "train_avc": NETWORK,
    "sweep_avc": NETWORK,
    "train_yt8m": EMBEDDING,
    "sweep_yt8m": EMBEDDING,
    "make_narrations": {"video_seconds": 20},
    "make_scenes": {"picture_size": 48, "clip_seconds": 2},
}
# Fields that no page's value may have: they need a network, or time.
FIELDS_ANYWAY = {"image_weights": "none"}
PLACEHOLDERS = {"RECIPE": "contrastive", "...": "elided"}


def exception(words: tuple[str, ...]) -> str:
    """Why a command is not run; empty where it is."""
    text = " ".join(words)
    return next((why for found, why in EXCEPTIONS.items() if re.search(found, text)), "")


def packages(words: tuple[str, ...]) -> list[str]:
    """What a command needs beside the extra `test`."""
    text = " ".join(words)
    return [name for found, names in NEEDED.items() if re.search(found, text) for name in names]


def shrink(module: str, arguments: list[str], sandbox) -> list[str]:
    """The arguments of a command that makes little of everything, in the sandbox."""
    command = module.rpartition(".")[2]
    given = {}  # a flag may be given several times
    for argument in arguments:
        name, equals, value = argument.removeprefix("--").partition("=")
        given.setdefault(name, []).append(moved(value, sandbox) if equals else None)
    limits = {**SMALL, **SMALL_IF_GIVEN}
    limits |= {flag: limit for (of, flag), limit in LARGER.items() if of == command}
    for name in given.keys() & limits.keys():
        given[name] = [lowered(value, limits[name]) for value in given[name]]
    added = []
    if module.startswith("launch."):
        added = [*(SMALL.keys() - given.keys()), *INSTEAD]
        given |= {name: [str(limits[name])] for name in added if name in limits}
        given |= {name: [value] for name, value in INSTEAD.items()}
    given |= {name: [value] for (of, name), value in ENOUGH.items() if of == command}
    if command in FIELDS:
        given["set"] = [changes(FIELDS[command], given.get("set", []))]
    if command.startswith("sweep_") and "grid" in given:
        given["grid"] = [first_values(given["grid"][0])]
    words = [f"--{name}" if value is None else f"--{name}={value}"
             for name, values in given.items() for value in values]
    return words + [f"--undefok={','.join(added)}"] * bool(added)


def moved(value: str, sandbox) -> str:
    """A flag's value with its paths in the sandbox."""
    value = "elided.tfrecord" if value == "..." else value
    for placeholder, word in PLACEHOLDERS.items():
        value = re.sub(rf"(?<![\w.]){re.escape(placeholder)}(?![\w.])", word, value)
    value = re.sub(r"\bgs://", "/gs/", value)
    value = value.replace("$CROSSMODAL_DATA", "/crossmodal_data")
    return re.sub(r"(^|[,=])/(?=\w)", rf"\1{sandbox}/", value)


def lowered(value: str, limit: int) -> str:
    """The smaller one of two numbers; of several numbers, each."""
    return ",".join(str(min(int(part), limit)) if part.isdigit() else part
                    for part in value.split(","))


def changes(small: dict, given: list[str]) -> str:
    """The value of --set with the fields of a small size and those that are given."""
    fields = [item for text in given for item in text.split(",")]
    fields = dict(item.split("=", 1) for item in fields)
    anyway = {name: value for name, value in FIELDS_ANYWAY.items() if name in fields}
    return ",".join(f"{name}={value}" for name, value in {**small, **fields, **anyway}.items())


def first_values(grid: str) -> str:
    """One value of each field."""
    return re.sub(r"=([^,\s]*)\S*", r"=\1", grid)
