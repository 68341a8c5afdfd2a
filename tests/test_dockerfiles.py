"""The Dockerfiles, as far as that can be seen without building them."""

import fnmatch
import importlib.util
import json
import pathlib
import re
import runpy

import pytest
import setuptools

ROOT = pathlib.Path(__file__).parents[1]
FILES = ("Dockerfile", "Dockerfile.gpu")
INSTRUCTIONS = {"FROM", "ARG", "ENV", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}


def instructions(name: str) -> list[tuple[str, str]]:
    """Instructions with their arguments, lines joined that a backslash divides."""
    lines = [x for x in (ROOT / name).read_text().splitlines() if not x.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def arguments(name: str, wanted: str) -> list[str]:
    return [argument for instruction, argument in instructions(name) if instruction == wanted]


def copied(name: str) -> list[str]:
    return [source for argument in arguments(name, "COPY") for source in argument.split()[:-1]]


def sent_to_docker(path: str) -> bool:
    """Whether .dockerignore lets a path at the top level through; the last match decides."""
    kept = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#") and fnmatch.fnmatch(path, line.lstrip("!")):
            kept = line.startswith("!")
    return kept


@pytest.fixture(scope="module")
def metadata():
    """What setup.py says."""
    given = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **values: given.update(values))
        patch.chdir(ROOT)
        runpy.run_path(str(ROOT / "setup.py"))
    return given


@pytest.mark.parametrize("name", FILES)
def test_an_image_has_a_pinned_base_and_no_root(name):
    found = instructions(name)
    assert {each[0] for each in found} <= INSTRUCTIONS
    assert all(len(each) == 2 for each in found)
    (base,) = arguments(name, "FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base)
    (user,) = arguments(name, "USER")
    order = [each[0] for each in found]
    assert user not in ("root", "0")
    assert f" {user}" in next(x for x in arguments(name, "RUN") if "useradd" in x)
    assert not {"RUN", "COPY"} & set(order[order.index("USER"):])


@pytest.mark.parametrize("name", FILES)
def test_what_is_copied_is_there_and_is_all_that_is_installed(name, metadata):
    sources = copied(name)
    for source in sources:
        assert (ROOT / source).exists() and sent_to_docker(source), source
    assert {package.split(".")[0] for package in metadata["packages"]} <= set(sources)
    # setup.py and pyproject.toml read these.
    assert {"setup.py", "pyproject.toml", "README.md", "LICENSE"} <= set(sources)
    assert not sent_to_docker(".git") and not sent_to_docker(".venv") and not sent_to_docker("runs")
    order = [each for each in instructions(name) if each[0] in ("COPY", "RUN")]
    install = next(i for i, each in enumerate(order) if "pip install" in each[1])
    before = " ".join(argument for kind, argument in order[:install] if kind == "COPY").split()
    assert {"setup.py", "crossmodal", "avc", "yt8m_embed", "launch"} <= set(before)


@pytest.mark.parametrize("name", FILES)
def test_the_extras_are_those_of_the_package(name, metadata):
    (install,) = [x for x in arguments(name, "RUN") if "pip install" in x]
    assert install.endswith('".[${EXTRAS}]"')
    (extras,) = [x.removeprefix("EXTRAS=") for x in arguments(name, "ARG")]
    assert set(extras.split(",")) <= set(metadata["extras_require"])
    assert ("gpu" in extras.split(",")) == name.endswith("gpu")
    version = arguments(name, "FROM")[0].partition(":")[2].split("-")[0]
    low, high = re.findall(r"\d+\.(\d+)", metadata["python_requires"])
    assert int(low) <= int(version.split(".")[1]) < int(high)


@pytest.mark.parametrize("name", FILES)
def test_what_an_image_runs_is_a_command(name):
    entry, command = (json.loads(arguments(name, kind)[0]) for kind in ("ENTRYPOINT", "CMD"))
    assert entry == ["python", "-m"]
    assert importlib.util.find_spec(command[0])
    text = (ROOT / name).read_text()
    assert not re.search(r"--index-url|--extra-index-url|https?://", text)
