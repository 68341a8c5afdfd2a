"""The rules of the house: who imports whom, and what models and losses are made of."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("crossmodal", "yt8m_embed", "avc", "launch")
ALLOWED = {
    "crossmodal": {"crossmodal"},
    "yt8m_embed": {"crossmodal", "yt8m_embed"},
    "avc": {"crossmodal", "avc"},
    "launch": set(PACKAGES),
}
NETWORK_FILES = (
    "networks", "trunks", "motion_trunks", "resnet", "convolutions", "heads", "losses",
    "spectrogram", "augmentation", "derangement", "visual_inputs", "instance_pooling", "davenet",
    "davenet_trunks", "masks", "matchmaps", "mel", "openl3", "parts", "triplet",
)
YT8M_FILES = (
    "model", "towers", "layers", "temporal_layers", "losses", "synchronous_losses",
)
KERAS_ONLY = (
    *(f"yt8m_embed/{name}.py" for name in YT8M_FILES),
    *(f"avc/{name}.py" for name in NETWORK_FILES),
)


def sources(package):
    return sorted((ROOT / package).rglob("*.py"))


def imports(path):
    """Top-level names of everything a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package):
    assert sources(package)
    for path in sources(package):
        assert imports(path) & set(PACKAGES) <= ALLOWED[package], path


def test_models_and_losses_are_made_of_keras():
    for name in KERAS_ONLY:
        assert "tensorflow" not in imports(ROOT / name), name


def test_flags_live_in_launch():
    for package in ("crossmodal", "yt8m_embed", "avc"):
        for path in sources(package):
            assert "absl" not in imports(path), path


def imported_at_once(name, seen):
    """Top-level names of all that importing one of our modules imports, functions' apart."""
    path = ROOT / pathlib.Path(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if name in seen or not path.exists():
        return set()
    seen.add(name)
    outside = set()
    for node in ast.parse(path.read_text()).body:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for each in names:
            if each.split(".")[0] in PACKAGES:
                outside |= imported_at_once(each, seen)
            else:
                outside.add(each.split(".")[0])
    return outside


def test_the_demo_needs_no_extra():
    # What the extras of setup.py install; the demo's environment has none of them.
    extras = {"av", "apache_beam", "skimage", "matplotlib", "PIL", "sklearn", "jax", "torch",
              "faiss", "librosa", "pytest", "gradio", "uvicorn"}
    commands = re.findall(r"^run (launch\.\w+)", (ROOT / "launch/demo.sh").read_text(), re.M)
    assert "launch.localize_scenes" in commands
    for command in commands:
        found = imported_at_once(command, set())
        assert "tensorflow" in found, command
        assert not found & extras, command
    assert "av" in imported_at_once("launch.localize_avc", set())


def test_a_search_by_rows_needs_no_extra():
    assert "av" in imported_at_once("avc.queries", set())
    assert not imported_at_once("launch.search", set()) & {"av", "faiss", "matplotlib", "sklearn"}


def test_embedding_a_single_file_needs_no_beam():
    assert "apache_beam" in imported_at_once("avc.sharded_embedding", set())
    for command in ("launch.embed_avc", "launch.embed_yt8m"):
        assert "apache_beam" not in imported_at_once(command, set()), command


def test_some_libraries_have_one_place_each():
    for package in PACKAGES:
        for path in sources(package):
            if "apache_beam" in imports(path):
                assert "conver" in path.name, path
            if "torch" in imports(path):
                assert "benchmark" in path.name, path
            if imports(path) & {"gradio", "fastapi", "uvicorn"}:
                assert path.name == "explorer_page.py", path
            if "faiss" in imports(path):
                assert "benchmark" in path.name or "faiss" in path.name, path
