"""AVE-Net, its loss and its training step in PyTorch, to be compared with.

Layer by layer the network of `avc.networks`, on the same batches: augmentation and
log-spectrogram included. Written the way PyTorch is fastest on a CPU: a fused Adam that
has the weight decay in it, and the order of the axes that its convolutions prefer.
"""

from collections.abc import Mapping

import keras
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from avc.augmentation import LUMA
from avc.configuration import NetworkConfig
from avc.heads import LEAST_SQUARE
from avc.recipes import AvcConfig
from avc.spectrogram import SpectrogramConfig

# Those of Keras.
ADAM_EPSILON = 1e-7
NORM_EPSILON = 1e-3
Batch = Mapping[str, torch.Tensor]


class Spectrogram(nn.Module):
    """`[batch, samples]` to `[batch, 1, frequency, time]`, by `torch.stft`."""

    def __init__(self, config: SpectrogramConfig) -> None:
        """Makes window and Mel bands."""
        super().__init__()
        self.config = config
        padding = (0, config.fft_length - config.window_samples)
        window = np.pad(config.window_values(), padding).astype(np.float32)
        self.register_buffer("window", torch.from_numpy(window))
        bands = config.mel_weights().T.astype(np.float32) if config.mel_bands else None
        self.register_buffer("bands", None if bands is None else torch.tensor(bands))

    @torch.no_grad()
    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """Transforms waveforms."""
        c = self.config
        padded = functional.pad(waveform, (0, c.fft_length - 1))
        found = torch.stft(
            padded, c.fft_length, c.hop_samples, window=self.window, center=False,
            return_complex=True,
        )
        spectrum = found.abs() if c.spectrum == "magnitude" else found.abs().square()
        if self.bands is not None:
            spectrum = self.bands @ spectrum
        return ((spectrum + c.epsilon).log().sub(c.mean) / c.deviation)[:, None]


def trunk(channels: int, numbers: tuple[int, ...], config: NetworkConfig) -> nn.Sequential:
    """Blocks of two convolutions; the first of all takes a picture that is padded already."""
    layers: list[nn.Module] = []
    for block, filters in enumerate(numbers, start=1):
        for index in (1, 2):
            first = (block, index) == (1, 1)
            layers += [
                nn.Conv2d(channels, filters, 3, 2 if first else 1, 0 if first else 1),
                nn.BatchNorm2d(filters, NORM_EPSILON, 1 - config.batch_norm_momentum),
                nn.ReLU(inplace=True),
            ]
            channels = filters
        if block < len(numbers):
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class Network(nn.Module):
    """An AVE-Net with the weights of one of ours."""

    def __init__(self, config: NetworkConfig, model: keras.Model) -> None:
        """Makes the layers and copies the weights.

        Args:
          config: of an `ave` network.
          model: `training` of `avc.networks.build`.
        """
        super().__init__()
        self.config = config
        self.spectrogram = Spectrogram(config.audio)
        blocks = {"visual": config.visual_blocks, "audio": config.audio_blocks}
        self.trunks, self.fc1, self.fc2 = (nn.ModuleDict() for _ in range(3))
        for name, number in blocks.items():
            numbers = config.filters[:number]
            self.trunks[name] = trunk(3 if name == "visual" else 1, numbers, config)
            self.fc1[name] = nn.Linear(numbers[-1], config.embedding_dim)
            self.fc2[name] = nn.Linear(config.embedding_dim, config.embedding_dim)
        self.fc3 = nn.Linear(1, 2)
        copy_weights(self, model)

    def kernels(self) -> list[nn.Parameter]:
        """The weights that decay: of all convolutions and dense layers but the last."""
        return [p for n, p in self.named_parameters() if p.ndim > 1 and not n.startswith("fc3")]

    def forward(self, batch: Batch, half: bool, layout: torch.memory_format) -> torch.Tensor:
        """Logits `[2 n, 2]` of n true pairs and then of n mismatched ones."""
        size = self.config.image_size
        excess = max(2 * (-(-size // 2) - 1) + 3 - size, 0)
        edges = (excess // 2, excess - excess // 2) * 2
        with torch.no_grad():
            picture = functional.pad(2 * colours(batch) - 1, edges)
            sound = functional.pad(self.spectrogram(loudness(batch)), (0, 1))
        visual = self.embed("visual", picture, half, layout)
        audio = self.embed("audio", sound, half, layout)
        partner = torch.arange(len(audio)) + batch["partner_offset"][:, 0]
        square = (torch.cat([visual, visual]) - torch.cat([audio, audio[partner]])).square().sum(1)
        return self.fc3(square.clamp(min=LEAST_SQUARE).sqrt()[:, None])

    def embed(
        self, name: str, picture: torch.Tensor, half: bool, layout: torch.memory_format
    ) -> torch.Tensor:
        """Unit vectors of one tower; as in ours, the last layer stays float32."""
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            features = self.trunks[name](picture.contiguous(memory_format=layout)).amax((2, 3))
            features = torch.relu(self.fc1[name](features))
        return functional.normalize(self.fc2[name](features.float()), eps=1e-12)


def colours(batch: Batch) -> torch.Tensor:
    """`avc.augmentation.adjust_colours`, `[batch, 3, height, width]`."""
    share = batch["saturation"][:, None, None]
    matrix = share * torch.eye(3) + (1 - share) * torch.from_numpy(LUMA)[:, None]
    pixels = batch["frame"].float().flatten(1, 2) @ (matrix / 255)
    pixels = (pixels + batch["brightness"][:, None, None]).clamp(0, 1)
    return pixels.reshape(batch["frame"].shape).permute(0, 3, 1, 2)


def loudness(batch: Batch) -> torch.Tensor:
    """`avc.augmentation.adjust_loudness`."""
    samples = batch["waveform"].float() / 32768
    peak = samples.abs().amax(1).clamp(min=1e-6)
    return samples * torch.minimum(batch["gain"], 1 / peak)[:, None]


@torch.no_grad()
def copy_weights(network: Network, model: keras.Model) -> None:
    """Sets all weights to those of a model of ours, moving statistics too."""
    towers = model.get_layer("towers")
    for name, layers in network.trunks.items():
        for kind, title in ((nn.Conv2d, "conv"), (nn.BatchNorm2d, "norm")):
            for index, layer in enumerate(each for each in layers if isinstance(each, kind)):
                _copy(layer, towers.get_layer(f"{name}_{title}{index // 2 + 1}_{index % 2 + 1}"))
        _copy(network.fc1[name], towers.get_layer(f"{name}_fc1"))
        _copy(network.fc2[name], towers.get_layer(f"{name}_fc2"))
    _copy(network.fc3, model.get_layer("fc3"))


def _copy(layer: nn.Module, source: keras.Layer) -> None:
    values = [torch.from_numpy(np.array(value)) for value in source.get_weights()]
    if isinstance(layer, nn.Conv2d):
        values[0] = values[0].permute(3, 2, 0, 1)
    elif isinstance(layer, nn.Linear):
        values[0] = values[0].T
    targets = [layer.weight, layer.bias]
    if isinstance(layer, nn.BatchNorm2d):
        targets += [layer.running_mean, layer.running_var]
    for target, value in zip(targets, values, strict=True):
        target.copy_(value)


class Step:
    """One optimizer step on one batch, to be called again and again."""

    def __init__(
        self,
        model: keras.Model,
        batch: Mapping[str, np.ndarray],
        config: AvcConfig,
        half: bool = False,
        channels_last: bool = True,
    ) -> None:
        """Copies weights and batch.

        Args:
          model: `training` of `avc.networks.build`.
          batch: in which every row has one mismatched pair.
          config: the recipe.
          half: whether the trunks compute in bfloat16 (autocast).
          channels_last: whether pictures are held with their channels last.
        """
        self.batch = {name: torch.from_numpy(np.array(values)) for name, values in batch.items()}
        self.half = half
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.network = Network(config.network, model).to(memory_format=self.layout)
        kernels = self.network.kernels()
        decaying = {id(kernel) for kernel in kernels}
        others = [p for p in self.network.parameters() if id(p) not in decaying]
        self.optimizer = torch.optim.Adam(
            [{"params": kernels, "weight_decay": config.network.l2},
             {"params": others, "weight_decay": 0.0}],
            config.optimizer.learning_rate, eps=ADAM_EPSILON, fused=True,
        )
        rows = len(batch["frame"])
        self.label = torch.cat([torch.ones(rows), torch.zeros(rows)]).long()

    def gradients(self) -> torch.Tensor:
        """Leaves the gradients without weight decay in the parameters; returns the loss."""
        self.optimizer.zero_grad()
        logits = self.network(self.batch, self.half, self.layout)
        value = functional.cross_entropy(logits, self.label)
        value.backward()
        return value.detach()

    def __call__(self) -> float:
        """Takes a step; returns the loss without the penalty of weight decay."""
        value = self.gradients()
        self.optimizer.step()
        return value.item()
