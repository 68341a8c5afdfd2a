"""What is wrong with commands and links of pages: each finding names the file and the line.

Nothing is run: a command's module is imported, its flags are parsed, and a command that takes
--set or --grid goes on until its configuration is made.
"""

import ast
import contextlib
import importlib
import importlib.util
import io
import itertools
import pathlib
import pkgutil
import re
import textwrap
import unittest.mock

from absl import flags
from absl.testing import flagsaver
from launching import fresh_flags
from page_commands import FENCE, ROOT, Command

from crossmodal.errors import UserError

# Where the work begins of a command that has --set or --grid, and flags that name real files.
JOBS = {
    "analyze_transcripts": ("avc.transcript_analysis.run", ()),
    "label_pairs": ("avc.labelling.run", ()),
    "make_narrations": ("avc.narration_shards.make_narrations", ()),
    "make_scenes": ("avc.scene_shards.make_scenes", ("sounds", "sprites", "classes")),
    "sweep_avc": ("avc.training.train", ()),
    "sweep_windows": ("avc.window_sweep.run", ()),
    "sweep_yt8m": ("yt8m_embed.training.train", ()),
    "train_avc": ("avc.training.train", ()),
    "train_yt8m": ("yt8m_embed.training.train", ()),
}
# Programs that are not the project's: they are not looked into.
PROGRAMS = {
    "cat", "cd", "cp", "curl", "dirname", "docker", "gcloud", "git", "gsutil", "kubectl", "ls",
    "mkdir", "mv", "pip", "rm", "ruff", "saved_model_cli", "tensorboard", "wait", "wget",
}
PACKAGES = ("avc", "crossmodal", "launch", "testdata", "yt8m_embed")
# What a reader is to write himself.
PLACEHOLDERS = {"RECIPE": "contrastive"}


class Reached(Exception):
    """A command has read its flags and made its configuration."""


def problems(commands: list[Command]) -> list[str]:
    """What is wrong with the commands."""
    found = []
    for module, group in itertools.groupby(sorted(commands, key=by_module), by_module):
        check = check_launch if module.startswith("launch.") else check_other
        found += [f"{command.where}: {problem}" for command, problem in check(module, list(group))]
    return sorted(found)


def by_module(command: Command) -> str:
    return command.module


def check_launch(module: str, commands: list[Command]):
    if importlib.util.find_spec(module) is None:
        yield from ((command, f"there is no {module}") for command in commands)
        return
    with fresh_flags():
        imported = importlib.import_module(module)
        for command in commands:
            with flagsaver.flagsaver():
                problem = check_flags(imported, command)
            if problem:
                yield command, problem


def check_flags(module, command: Command) -> str:
    """What is wrong with the flags of a command, or nothing."""
    given = [written(argument) for argument in command.arguments]
    try:
        rest = flags.FLAGS([module.__name__, *given])[1:]
    except flags.Error as error:
        return str(error)
    if rest:
        return f"unexpected argument {rest[0]!r}"
    if "recipe" in flags.FLAGS:
        recipes = {**importlib.import_module("avc.recipes").RECIPES,
                   **importlib.import_module("yt8m_embed.configuration").RECIPES}
        if flags.FLAGS.recipe not in recipes:
            return f"there is no recipe {flags.FLAGS.recipe}"
    name = module.__name__.removeprefix("launch.")
    changeable = {"set", "grid"} & set(flags.FLAGS) and name != "probe_sounds"
    if changeable and name not in JOBS:
        return f"add {name} to JOBS in {pathlib.Path(__file__).name}"
    return check_configuration(module.main, *JOBS[name]) if name in JOBS else ""


def written(argument: str) -> str:
    for placeholder, value in PLACEHOLDERS.items():
        argument = re.sub(rf"\b{placeholder}\b", value, argument)
    return argument


def check_configuration(main, job: str, files: tuple[str, ...]) -> str:
    """Runs a command until its job begins."""
    for name in files:
        flags.FLAGS[name].value = flags.FLAGS[name].default
    importlib.import_module(job.rpartition(".")[0])
    said = io.StringIO()
    with (
        unittest.mock.patch(job, side_effect=Reached), contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            main()
        except Reached:
            return ""
        except UserError as error:
            return str(error)
        except SystemExit:
            return said.getvalue().strip()
    return f"{job} is never called"


def check_other(module: str, commands: list[Command]):
    for command in commands:
        program, *arguments = command.words
        if module and importlib.util.find_spec(module.split(".")[0]) is None:
            yield command, f"there is no module {module}"
        elif module.startswith("testdata."):
            problem = check_testdata(module, arguments[2:])
            if problem:
                yield command, problem
        elif program in ("bash", "sh", "source", "python"):
            if not module and not (ROOT / (arguments or ["nothing"])[0]).is_file():
                yield command, f"there is no {' '.join(arguments)}"
        elif program not in PROGRAMS:
            yield command, (
                f"{program!r} is no program that is known; if this is no command, name the "
                "language of its block, as ```csv"
            )


def check_testdata(module: str, arguments: list[str]) -> str:
    """What argparse has against the arguments."""
    if importlib.util.find_spec(module) is None:
        return f"there is no {module}"
    imported = importlib.import_module(module)
    parse = imported.argparse.ArgumentParser.parse_args

    def parse_only(parser, *_):
        parse(parser, arguments)
        raise Reached

    said = io.StringIO()
    with (
        unittest.mock.patch.object(imported.argparse.ArgumentParser, "parse_args", parse_only),
        contextlib.redirect_stderr(said),
        contextlib.suppress(Reached),
    ):
        try:
            imported.main()
        except SystemExit:
            return said.getvalue().strip().splitlines()[-1]
    return ""


def python_problems(path: pathlib.Path, root: pathlib.Path = ROOT) -> list[str]:
    """What Python blocks of a page name of our packages and these have not."""
    text, found = path.read_text(), []
    for match in FENCE.finditer(text):
        if match[3] != "python":
            continue
        line = 1 + text.count("\n", 0, match.start(4))
        source = textwrap.dedent(match[4])
        try:
            tree = ast.parse(source)
        except SyntaxError as error:
            found.append((line + (error.lineno or 1) - 1, error.msg))
            continue
        known = {name: name for name in PACKAGES}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in PACKAGES:
                known |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        names = [*known.values()]
        for node in ast.walk(tree):
            of = getattr(node, "value", None)
            if isinstance(node, ast.Attribute) and getattr(of, "id", None) in known:
                names.append(f"{known[of.id]}.{node.attr}")
        found += [(line, f"there is no {name}") for name in names if not exists(name)]
    page = path.relative_to(root).as_posix()
    return [f"{page}:{line}: {what}" for line, what in found]


def exists(name: str) -> bool:
    """Whether a module, or a name in one, can be imported."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


LINK = re.compile(r"\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#{1,6}[ ]+(.+?)[ ]*#*$", re.MULTILINE)
OUR_FILE = re.compile(
    r"(?<![\w/.-])((?:avc|crossmodal|docs|launch|testdata|tests|yt8m_embed)/[\w/.-]+\.(?:md|py|sh))\b"
)


def link_problems(path: pathlib.Path, root: pathlib.Path = ROOT) -> list[str]:
    """Links of a page to files and headings that there are not, and files that it names."""
    text = path.read_text()
    prose = FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    found = []
    for match in LINK.finditer(prose):
        target, _, anchor = (match[1] or match[2]).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (path.parent / target).resolve() if target else path
        if not file.exists():
            found.append((match.start(), f"there is no {target}"))
        elif anchor and anchor not in anchors(file.read_text()):
            found.append((match.start(), f"{target or 'this page'} has no heading #{anchor}"))
    for match in OUR_FILE.finditer(text):
        if not (root / match[1]).exists():
            found.append((match.start(), f"there is no {match[1]}"))
    page = path.relative_to(root).as_posix()
    return [f"{page}:{1 + text.count(chr(10), 0, at)}: {what}" for at, what in sorted(found)]


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    names: set[str] = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = next(n for n in itertools.count() if f"{name}-{n}" * bool(n) + name * (not n)
                      not in names)
        names.add(f"{name}-{number}" if number else name)
    return names


MENTION = re.compile(r"`--(no)?(\w+)")
# Flags of other programs: of Docker, of TensorFlow's server, of Beam's workers.
OF_OTHERS = {
    "memory", "cpus", "tensorflow_intra_op_parallelism", "tensorflow_inter_op_parallelism",
    "rest_api_timeout_in_ms", "rest_api_num_threads", "worker_pool", "user", "build",
}


def mention_problems(path: pathlib.Path, known: set[str], root: pathlib.Path = ROOT) -> list[str]:
    """Flags that a page mentions in its sentences and that no command has."""
    text = path.read_text()
    page = path.relative_to(root).as_posix()
    return [
        f"{page}:{1 + text.count(chr(10), 0, match.start())}: no command has --{match[2]}"
        for match in MENTION.finditer(text)
        if not {match[2], (match[1] or "") + match[2]} & known
    ]


def all_flags() -> set[str]:
    """The names of the flags of all commands."""
    defined = re.compile(r'(?:flags\.DEFINE_\w+|add_argument)\(\s*"(?:--)?(\w+)"')
    paths = [*(ROOT / "launch").glob("*.py"), *(ROOT / "testdata").glob("*.py")]
    return {"help"}.union(*(defined.findall(path.read_text()) for path in paths))
