import os
import pathlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = pathlib.Path(__file__).parents[1]


def pytest_collection_modifyitems(items):
    if os.environ.get("CROSSMODAL_DATA"):
        return
    skip = pytest.mark.skip(reason="CROSSMODAL_DATA names no folder of real data")
    for item in items:
        if "real_data" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """The folder of real data that CROSSMODAL_DATA names."""
    return pathlib.Path(os.environ["CROSSMODAL_DATA"])


@pytest.fixture(scope="session")
def testdata() -> pathlib.Path:
    """The data bundled with the project."""
    return ROOT / "testdata"


@pytest.fixture(scope="session")
def trained(testdata, tmp_path_factory) -> pathlib.Path:
    """The work folder of a small model with every kind of layer, trained for some steps."""
    from short_embeddings import train

    workdir = tmp_path_factory.mktemp("trained") / "run"
    train(testdata / "yt8m" / "train", workdir)
    return workdir


@pytest.fixture(scope="session")
def model(trained):
    """That model in use."""
    import yt8m_embed

    return yt8m_embed.load(str(trained))
