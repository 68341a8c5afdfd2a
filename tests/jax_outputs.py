"""Run with KERAS_BACKEND=jax: outputs of networks with given weights on given pairs.

    python jax_outputs.py CASES.json FOLDER

For each name and NetworkConfig of CASES.json it reads FOLDER/NAME.npz (weights by number) and
FOLDER/pairs.npz, and writes FOLDER/NAME.found.npz.
"""

import json
import sys

import keras
import numpy as np

from avc import networks
from avc.configuration import NetworkConfig
from crossmodal import configuration


def main(cases: str, folder: str) -> None:
    assert keras.backend.backend() == "jax"
    given = dict(np.load(f"{folder}/pairs.npz"))
    with open(cases) as file:
        named = json.load(file)
    for name, values in named.items():
        model = networks.build(configuration.from_dict(NetworkConfig, values)).training
        weights = np.load(f"{folder}/{name}.npz")
        model.set_weights([weights[f"arr_{index}"] for index in range(len(weights.files))])
        found = model({x: given[x] for x in model.input}, training=False)
        np.savez(f"{folder}/{name}.found.npz", **{k: np.asarray(v) for k, v in found.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
