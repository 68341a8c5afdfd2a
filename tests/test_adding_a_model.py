"""The example of docs/adding_a_model.md is a network like those of the table."""

import re

import keras
import numpy as np
from test_networks import drawn, pairs, small

from avc import configuration, networks


def test_the_example_of_the_page_can_be_trained(monkeypatch, request):
    page = (request.config.rootpath / "docs/adding_a_model.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1)
    names = dict(vars(networks))
    exec(code, names)  # as if it stood in avc/networks.py
    monkeypatch.setitem(networks.TABLE, "ave_mean", names["_ave_mean"])
    monkeypatch.setattr(configuration, "NETWORKS", (*configuration.NETWORKS, "ave_mean"))
    keras.utils.set_random_seed(0)
    network = networks.build(small("ave_mean"))
    own, other = pairs(4), pairs(4, seed=1)
    embeddings = network.deployed(own)["visual_embedding"].numpy()
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert "visual_mean" in {each.name for each in network.deployed.get_layer("towers").layers}
    assert np.abs(network.deployed(other)["logits"] - network.deployed(own)["logits"]).max() > 1e-4
    model, batch = network.training, drawn(own)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    matched = np.ones(4, np.int32)
    model.compile(keras.optimizers.Adam(1e-3), loss={"logits": loss})
    history = model.fit(batch, {"logits": matched}, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
