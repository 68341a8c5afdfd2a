"""The commands that pages and docstrings show, as a shell understands them.

bash itself reads a page's blocks, so loops, variables and continuations mean what they mean to
a reader who pastes them in one terminal, page by page from the top. No program is found, and
bash's handler of commands that it does not find writes each one down instead.
"""

import ast
import dataclasses
import pathlib
import re
import subprocess
import tempfile

from crossmodal.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]
SHELL = ("", "bash", "sh", "shell", "console")
FENCE = re.compile(r"^( *)(`{3,}|~{3,})[ ]*(\w*)[^\n]*\n(.*?)^\1\2[ ]*$", re.DOTALL | re.MULTILINE)
EXAMPLE = re.compile(r"^[ ]+(?:python3?|bash|sh|for|tensorboard)[ ](?:.*\\\n)*.*\n?", re.MULTILINE)
# No PATH at all would be bash's own, with programs in it.
VARIABLES = {"CROSSMODAL_DATA": "$CROSSMODAL_DATA", "HOME": "$HOME", "PATH": "/nonexistent"}
BASH_VARIABLES = {"BASH_ENV", "OLDPWD", "PWD", "SHLVL", "_"}
# Line, number of words, words, number of variables, variables; each ended by a zero byte.
RECORDER = r"""
exec 3>found
command_not_found_handle() {
  local name names=()
  for name in $(compgen -e); do names+=("$name=${!name}"); done
  printf '%s\0' "${BASH_LINENO[${#BASH_LINENO[@]} - 2]}" $# "$@" ${#names[@]} "${names[@]}" >&3
}
cd() { :; }
source() { command_not_found_handle source "$@"; }
"""


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of a page.

    Attributes:
      page: the file, from the repository's root.
      line: where the command begins in it.
      words: as its process gets them: program and arguments.
      variables: of the environment, those that the page sets.
    """

    page: str
    line: int
    words: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def module(self) -> str:
        """What `python -m` runs; empty for other programs."""
        is_module = self.words[0] in ("python", "python3") and self.words[1:2] == ("-m",)
        return self.words[2] if is_module and len(self.words) > 2 else ""

    @property
    def arguments(self) -> list[str]:
        return list(self.words[3 if self.module else 1:])


class PageError(UserError):
    """A shell does not understand a page."""


def pages() -> list[pathlib.Path]:
    """The pages of the documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "testdata/README.md"]


def scripts() -> list[pathlib.Path]:
    """The modules that run as commands, and shell scripts that run them."""
    modules = [*(ROOT / "launch").glob("*.py"), *(ROOT / "testdata").glob("*.py")]
    shells = [*(ROOT / "launch").glob("*.sh"), *(ROOT / "testdata").glob("*.sh")]
    runs = re.compile(r"^\w+ (-m )?(launch|testdata)\.", re.MULTILINE)
    return sorted(modules) + sorted(path for path in shells if runs.search(path.read_text()))


def commands(path: pathlib.Path, root: pathlib.Path = ROOT) -> list[Command]:
    """All commands of a page, of a module's docstring or of a shell script, in their order.

    Raises:
      PageError: bash does not understand a block.
    """
    text, page = path.read_text(), path.relative_to(root).as_posix()
    if path.suffix == ".md":
        shown = [(m.start(4), m[4]) for m in FENCE.finditer(text) if m[3] in SHELL]
    elif path.suffix == ".py":
        shown = list(docstring_examples(text))
    else:
        shown = [(0, text)]
    return expand(page, only(text, shown)) if shown else []


def docstring_examples(source: str):
    """Where the commands of a module's docstring begin, and what they are."""
    body = ast.parse(source).body
    docstring = ast.get_docstring(ast.parse(source), clean=False)
    if docstring is None:
        return
    first = body[0].lineno - 1  # the value may have fewer backslashes than the source
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for match in EXAMPLE.finditer(docstring):
        yield starts[first + docstring[: match.start()].count("\n")], match[0]


def only(text: str, parts: list[tuple[int, str]]) -> str:
    """The parts on the lines that they have in the text, all other lines empty."""
    lines: list[str] = []
    for start, part in parts:
        lines += [""] * (text[:start].count("\n") - len(lines)) + part.rstrip("\n").split("\n")
    return "\n".join(lines) + "\n"


def expand(page: str, script: str) -> list[Command]:
    """What bash would run.

    Raises:
      PageError: it does not understand the script, or a variable has no value.
    """
    # Nothing is written, nothing left in the background, and paths of programs are their names.
    script = re.sub(r"(?<=\s)\d?>{1,2}\s*[^\s;|&()]+|(?<=\s)\d?>&\d", "", script)
    script = re.sub(r"(?<![&>])&[ ]*$", "", script, flags=re.MULTILINE)
    script = re.sub(r"(?<![\w/.])(?:[\w.]+/)+bin/(\w+)", r"\1", script)
    script = re.sub(r"^(\s*)(?:builtin|command|exec)\s+", r"\1", script, flags=re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("page", script), ("recorder", RECORDER)):
            (pathlib.Path(folder) / name).write_text(text)
        done = subprocess.run(
            ["/bin/bash", "-fu", "page"], cwd=folder, env={**VARIABLES, "BASH_ENV": "./recorder"},
            capture_output=True, text=True, check=False,
        )
        found = (pathlib.Path(folder) / "found").read_text().split("\0")[:-1]
    said = re.search(r"^page: line (\d+): (.*)", done.stderr, re.MULTILINE)
    if said:
        raise PageError(f"{page}:{said[1]}: bash says: {said[2]}")
    return list(parse(page, found))


def parse(page: str, items: list[str]):
    """The recorder's output as commands."""
    position = 0
    while position < len(items):
        line, count = int(items[position]), int(items[position + 1])
        words = tuple(items[position + 2 : position + 2 + count])
        position += 2 + count
        number = int(items[position])
        pairs = [item.split("=", 1) for item in items[position + 1 : position + 1 + number]]
        position += 1 + number
        own = tuple((k, v) for k, v in pairs if k not in {*VARIABLES, *BASH_VARIABLES})
        yield Command(page, line, words, own)
