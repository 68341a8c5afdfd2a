"""Audio-visual correspondence networks on frames and log-spectrograms.

    network = avc.load("runs/avol")
    vectors = network.embed_visual(frames)
    maps = network.localize(frames, waveforms)
"""

from typing import Any

__all__ = ["TrainedNetwork", "load"]


def __getattr__(name: str) -> Any:
    """Imports what loads networks when it is asked for: conversions need no TensorFlow."""
    if name in __all__:
        from avc import embedding

        return getattr(embedding, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
