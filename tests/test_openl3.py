"""OpenL3's weights from files in its layout, against its network written out."""

import json

import h5py
import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from launching import launch

from avc import openl3, openl3_weights, probe_features
from crossmodal.errors import ConfigurationError, UserError

FILTERS = (64, 64, 128, 128, 256, 256, 512, 512)
LAST = {"audio": "audio_embedding_layer", "image": "vision_embedding_layer"}


def random_layers(modality: str) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Layers in the order and with the names of the published files."""
    rng = np.random.default_rng(len(modality))
    depth, found = 1 if modality == "audio" else 3, []

    def norm(size: int) -> None:
        values = {
            "gamma": rng.uniform(0.7, 1.3, size), "beta": rng.normal(0, 0.2, size),
            "moving_mean": rng.normal(0, 0.2, size), "moving_variance": rng.uniform(0.5, 2, size),
        }
        number = sum(name.startswith("batch") for name, _ in found) + 1
        found.append((f"batch_normalization_{number}", values))

    norm(depth)
    for number, filters in enumerate(FILTERS, start=1):
        kernel = rng.normal(0, np.sqrt(2 / (9 * depth)), (3, 3, depth, filters))
        name = LAST[modality] if number == 8 else f"conv2d_{number}"
        found.append((name, {"kernel": kernel, "bias": rng.normal(0, 0.1, filters)}))
        if number < 8:
            norm(filters)
        depth = filters
    return [(n, {k: v.astype(np.float32) for k, v in arrays.items()}) for n, arrays in found]


def write(path, found, group: str = "", extra: dict | None = None) -> str:
    """A file as `save_weights` of Keras 2 writes it, with layers of no weights among them."""
    with h5py.File(path, "w") as file:
        held = file.create_group(group) if group else file
        names = ["input_1", *(name for name, _ in found), "activation_1"]
        held.attrs["layer_names"] = [name.encode() for name in names]
        held.attrs["backend"], held.attrs["keras_version"] = b"tensorflow", b"2.4.0"
        arrays = {**dict(found), "input_1": {}, "activation_1": {}}
        if extra:
            names.insert(1, "melspectrogram_1")
            held.attrs["layer_names"] = [name.encode() for name in names]
            arrays["melspectrogram_1"] = extra
        for name in names:
            each = held.create_group(name)
            each.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in arrays[name]]
            for key, value in arrays[name].items():
                each[f"{name}/{key}:0"] = value
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openl3")
    found = {}
    for modality in LAST:
        arrays = random_layers(modality)
        name = f"openl3_{modality}_mel128_music.h5"
        found[modality] = write(folder / name, arrays), arrays
    return found


def spectrogram(waveform: np.ndarray, representation: str) -> np.ndarray:
    """Their front end of one clip, float64 [frequency, time], by librosa and NumPy."""
    size = 512 if representation == "linear" else 2048
    # Silence behind, for windows that begin within the sound; linear has whole ones only.
    padded = np.pad(waveform, (0, size))
    columns = 197 if representation == "linear" else 199
    window = np.hanning(size + 1)[:-1]
    cut = [padded[242 * i : 242 * i + size] * window for i in range(columns)]
    magnitude = np.abs(np.fft.rfft(cut, axis=1)).T
    if representation != "linear":
        bands = int(representation.removeprefix("mel"))
        magnitude = librosa.filters.mel(sr=48_000, n_fft=size, n_mels=bands) @ magnitude
    levels = 10 * np.log10(np.maximum(magnitude, 1e-10))
    return np.maximum(levels - levels.max(), -80)


def restated(x: np.ndarray, found, modality: str, pool: tuple[int, int]) -> np.ndarray:
    """Their network on what follows the front end, operation by operation."""
    arrays = iter([values for _, values in found])

    def norm(x):
        v = next(arrays)
        normal = (x - v["moving_mean"]) / np.sqrt(v["moving_variance"] + 1e-3)
        return normal * v["gamma"] + v["beta"]

    def conv(x):
        v = next(arrays)
        return tf.nn.conv2d(x, v["kernel"], 1, "SAME").numpy() + v["bias"]

    x = norm(x.astype(np.float32))
    for number in range(1, 8):
        x = conv(x)
        if modality == "image" and number == 2:
            x = norm(np.maximum(x, 0))
        else:
            x = np.maximum(norm(x), 0)
        if number % 2 == 0:
            height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
            x = x[:, :height, :width]
            x = x.reshape(len(x), height // 2, 2, width // 2, 2, -1).max((2, 4))
    x = conv(x)
    pooled = layers.MaxPooling2D(pool, padding="same")(x)
    return np.asarray(keras.ops.reshape(pooled, (len(x), -1)))


def sounds(number: int = 2) -> np.ndarray:
    """Tones in noise whose loudness differs and changes."""
    rng, time = np.random.default_rng(0), np.arange(48_000) / 48_000
    made = [
        0.5 / (1 + i) * np.sin(2 * np.pi * 440 * (i + 1) * time) * time
        + 1e-3 * rng.normal(0, 1, 48_000)
        for i in range(number)
    ]
    return np.float32(made)


@pytest.mark.parametrize("representation", openl3.INPUT_REPRESENTATIONS)
def test_the_front_end_is_theirs(representation):
    config = openl3.OpenL3Config("audio", representation)
    tower = openl3.build(config)
    front = keras.Model(tower.input, tower.get_layer("below_loudest").output)
    found = np.asarray(front(sounds())[..., 0])
    for row, waveform in enumerate(sounds().astype(np.float64)):
        want = spectrogram(waveform, representation)
        assert found[row].shape == want.shape
        # Rounding is a share of a window's loudest place: it shows where it is 50 dB lower.
        loud = want > -50
        assert loud.mean() > 0.2
        np.testing.assert_allclose(found[row][loud], want[loud], atol=1e-2)
        np.testing.assert_allclose(10 ** (found[row] / 10), 10 ** (want / 10), atol=2e-6)
    loud, quiet = np.asarray(front(np.float32([sounds()[0], 0.01 * sounds()[0]]))[..., 0])
    np.testing.assert_allclose(quiet[loud > -50], loud[loud > -50], atol=1e-2)


@pytest.mark.parametrize(("modality", "embedding_dim", "pool"), [
    ("audio", 512, (16, 24)), ("audio", 6144, (4, 8)), ("image", 512, (28, 28)),
    pytest.param("image", 8192, (7, 7), marks=pytest.mark.slow),
])
def test_a_tower_says_what_their_network_does(files, modality, embedding_dim, pool):
    path, arrays = files[modality]
    tower = openl3_weights.load(path, embedding_dim=embedding_dim)
    assert tower.config == openl3.OpenL3Config(modality, "mel128", embedding_dim)
    if modality == "audio":
        given = sounds()
        entered = np.stack([spectrogram(w, "mel128") for w in given.astype(float)])[..., None]
    else:
        given = np.random.default_rng(1).random((1, 224, 224, 3), np.float32)
        entered = 2 * given - 1
    want = restated(entered, arrays, modality, pool)
    found = np.asarray(tower.model(given, training=False))
    assert found.shape == want.shape == (len(given), embedding_dim)
    np.testing.assert_allclose(found, want, atol=2e-3 * np.abs(want).max())
    assert np.abs(want).std() > 0.05 * np.abs(want).max()


def test_a_probe_takes_its_embedding(files):
    tower = openl3_weights.load(files["audio"][0])
    extractor = probe_features.of_openl3("OpenL3", tower)
    assert (extractor.sample_rate_hz, extractor.samples) == (48_000, 48_000)
    (found,) = extractor.extract(sounds()).values()
    want = np.asarray(tower.model(sounds(), training=False))
    np.testing.assert_allclose(found, want, atol=1e-4 * np.abs(want).max())
    with pytest.raises(UserError, match="for pictures hears nothing"):
        probe_features.of_openl3("OpenL3", openl3_weights.load(files["image"][0]))


def test_files_of_older_versions_and_of_whole_models_are_read(files, tmp_path):
    path, arrays = files["audio"]
    constants = {"freq2mel": np.zeros((1025, 128), np.float32)}
    older = write(tmp_path / "older.h5", arrays, "model_weights", constants)
    read, wanted = openl3_weights.read(older), openl3_weights.read(path)
    assert [name for name, _ in read] == [name for name, _ in wanted]
    assert len(read) == 16
    for (_, ours), (_, theirs) in zip(read, wanted, strict=True):
        for key, value in theirs.items():
            np.testing.assert_array_equal(ours[key], value)


def changed(arrays, layer: int, **values):
    name, held = arrays[layer]
    return [*arrays[:layer], (name, {**held, **values}), *arrays[layer + 1 :]]


def test_what_are_no_weights_of_openl3_is_named(files, tmp_path):
    _, arrays = files["audio"]
    (tmp_path / "text_mel128.h5").write_text("no")
    path = tmp_path / "mel128.h5"
    cases = {
        "is no HDF5 file": str(tmp_path / "text_mel128.h5"),
        "unpack it with gunzip": str(tmp_path / "openl3_audio_mel128_music.h5.gz"),
    }
    for message, given in cases.items():
        with pytest.raises(UserError, match=message):
            openl3_weights.load(given)
    wrong = [
        (arrays[:-1], "its last layer is batch_normalization_8, not audio_embedding_layer"),
        (arrays[1:], "has 15 layers with weights; a tower of OpenL3 has 16"),
        ([arrays[1], arrays[0], *arrays[2:]], "layer conv2d_1 has kernel, bias where"),
        (changed(arrays, 1, kernel=np.zeros((3, 3, 2, 64), np.float32)),
         r"kernel of layer conv2d_1 has shape \(3, 3, 2, 64\), not \(3, 3, 1, 64\)"),
        (changed(arrays, 2, gamma=np.full(64, np.nan, np.float32)), "gamma .* has a NaN"),
        (changed(arrays, 2, moving_variance=np.full(64, -1, np.float32)), "variance below 0"),
    ]
    for held, message in wrong:
        write(path, held)
        with pytest.raises(UserError, match=message):
            openl3_weights.load(str(path))
    nameless = write(tmp_path / "weights.h5", arrays)
    with pytest.raises(UserError, match="give --input_representation, one of linear, mel128"):
        openl3_weights.load(nameless)
    with pytest.raises(ConfigurationError, match="embedding_dim is 8192: of audio it must be 512"):
        openl3_weights.load(nameless, "mel128", 8192)


def test_an_import_is_served(files, tmp_path):
    path, _ = files["audio"]
    run = launch("import_openl3", weights=path, output=tmp_path / "export")
    assert run.status == 0, run.error
    assert "audio tower of mel128: 512 numbers" in run.out
    signatures = tf.saved_model.load(str(tmp_path / "export")).signatures
    assert set(signatures) == {"embed_audio", "serving_default"}
    waveform = sounds()
    longer = np.pad(waveform, ((0, 0), (500, 500)))  # the middle counts
    found = signatures["embed_audio"](waveform=tf.constant(longer))["embedding"]
    want = openl3_weights.load(path).model(waveform, training=False)
    np.testing.assert_allclose(found, want, atol=1e-4 * np.abs(want).max())
    assert signatures["embed_audio"](waveform=tf.zeros([0, 9]))["embedding"].shape == (0, 512)
    with pytest.raises(tf.errors.InvalidArgumentError, match="waveform must be finite"):
        signatures["embed_audio"](waveform=tf.fill([1, 9], np.nan))
    saved = json.loads((tmp_path / "export" / "configuration.json").read_text())
    assert saved["openl3"]["input_representation"] == "mel128"
    card = (tmp_path / "export" / "model_card.md").read_text()
    assert all(difference in card for difference in openl3.DIFFERENCES)
    run = launch("import_openl3", weights=tmp_path / "none.h5", output=tmp_path / "other")
    assert run.status == 1 and len(run.error_lines()) == 1 and not (tmp_path / "other").exists()


def test_an_image_tower_is_served(files, tmp_path):
    path, _ = files["image"]
    assert launch("import_openl3", weights=path, output=tmp_path / "export").status == 0
    signatures = tf.saved_model.load(str(tmp_path / "export")).signatures
    assert set(signatures) == {"embed_image", "embed_jpeg", "serving_default"}
    frame = np.random.default_rng(2).integers(0, 256, (1, 256, 300, 3)).astype(np.uint8)
    found = signatures["embed_image"](frame=tf.constant(frame))["embedding"]
    square = frame[:, 16:240, 38:262].astype(np.float32) / 255
    want = openl3_weights.load(path).model(square, training=False)
    np.testing.assert_allclose(found, want, atol=1e-4 * np.abs(want).max())
