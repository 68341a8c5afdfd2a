"""Metadata and dependencies of the package."""

from pathlib import Path

from setuptools import find_packages, setup

# tensorflow-io 0.37.1 loads its native operations on TensorFlow 2.16 only, and
# TensorFlow 2.16 needs NumPy 1; Keras 3.15 needs Python 3.11.
BASE = [
    "tensorflow==2.16.2",
    "tensorflow-io==0.37.1",
    "keras==3.15.1",
    "numpy>=1.26,<2",
    "scipy>=1.13,<1.18",
    "absl-py>=2.1,<3",
    "h5py>=3.10,<4",
    "google-crc32c>=1.5,<2",
    "tqdm>=4.66,<5",
]
EXTRAS = {
    "beam": ["apache-beam>=2.60,<2.78"],
    "media": ["av>=18,<19"],
    "flow": ["scikit-image>=0.26,<0.27"],
    "weak": ["webvtt-py>=0.6,<0.7"],
    "pictures": ["matplotlib>=3.8,<4", "pillow>=10,<13", "scikit-learn>=1.4,<2"],
    "probe": ["av>=18,<19", "scikit-learn>=1.4,<2"],
    "search": ["faiss-cpu>=1.8,<2"],
    "serving": ["tensorflow-serving-api==2.16.1"],
    # Also runs beside NumPy 1.
    "explore": ["gradio>=6.31,<6.32"],
    "gpu": ["tensorflow[and-cuda]==2.16.2"],
    "benchmark": [
        "torch>=2.4,<3", "faiss-cpu>=1.8,<2", "librosa>=0.10,<0.12", "scikit-learn>=1.4,<2",
    ],
}
EXTRAS["test"] = [
    *EXTRAS["beam"],
    *EXTRAS["media"],
    *EXTRAS["flow"],
    *EXTRAS["weak"],
    *EXTRAS["pictures"],
    *EXTRAS["probe"],
    *EXTRAS["serving"],
    *EXTRAS["explore"],
    "librosa>=0.10,<0.12",
    # The newest that goes with TensorFlow 2.16 and NumPy 1.
    "jax[cpu]==0.4.34",
    "pytest>=8,<10",
    "pytest-xdist>=3.6,<4",
    "ruff>=0.6,<0.18",
]

setup(
    name="crossmodal",
    version="0.1.0",
    description="Joint audio-visual embeddings from video, without labels: "
    "training, retrieval, localisation and serving in TensorFlow and Keras 3.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.13",
    packages=find_packages(include=["crossmodal*", "yt8m_embed*", "avc*", "launch*"]),
    install_requires=BASE,
    extras_require=EXTRAS,
)
