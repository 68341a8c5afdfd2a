"""What a result was made with: versions of software, and the machine."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

import tensorflow as tf

PACKAGES = ("tensorflow", "keras", "numpy")
OURS = "crossmodal"


def describe() -> dict[str, dict[str, Any]]:
    """`versions` and `hardware` of this process, JSON-compatible."""
    return {"versions": versions(), "hardware": hardware()}


def versions() -> dict[str, str]:
    """Python, what this library stands on, and the library itself.

    `revision` is the commit of the source tree, with `+` where files differ from it, if the
    library runs from one.
    """
    found = {"python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in PACKAGES}
    try:
        found[OURS] = importlib.metadata.version(OURS)
    except importlib.metadata.PackageNotFoundError:
        found[OURS] = "not installed: run from its source tree"
    return found | {"revision": _revision()}


def _revision() -> str:
    root = pathlib.Path(__file__).parents[1]
    if not (root / ".git").exists():
        return "unknown"
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")


def _git(root: pathlib.Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def hardware() -> dict[str, Any]:
    """The processor, how many cores this process may use, memory and accelerators."""
    usable = getattr(os, "sched_getaffinity", None)
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": len(usable(0)) if usable else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpus": [_gpu(device) for device in tf.config.list_physical_devices("GPU")],
        "system": platform.platform(),
    }


def _processor() -> str:
    path = pathlib.Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu(device: Any) -> str:
    return tf.config.experimental.get_device_details(device).get("device_name", device.name)
