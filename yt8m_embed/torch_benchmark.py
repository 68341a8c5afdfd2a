"""The `paper` network, its loss and its step in PyTorch, to be compared with.

Written the way PyTorch is fastest on a CPU: a fused Adam, clipping over lists of tensors,
and weight decay added to the gradients rather than differentiated.
"""

from collections.abc import Mapping

import keras
import numpy as np
import torch

from yt8m_embed.configuration import EmbeddingConfig

ADAM_EPSILON = 1e-8
MODALITIES = {"visual": "mean_rgb", "audio": "mean_audio"}


def linear(layer: keras.layers.Dense) -> torch.nn.Linear:
    """A layer with the weights of a Keras layer."""
    kernel, bias = (torch.from_numpy(np.array(weight)) for weight in layer.get_weights())
    made = torch.nn.Linear(*kernel.shape)
    with torch.no_grad():
        made.weight.copy_(kernel.T)
        made.bias.copy_(bias)
    return made


def unit(x: torch.Tensor) -> torch.Tensor:
    """Rows divided by their Euclidean norm."""
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-12)


class Network(torch.nn.Module):
    """Two towers and a shared classifier, with the weights of a model of `build_model`."""

    def __init__(self, model: keras.Model) -> None:
        """Copies the weights of the `paper` network."""
        super().__init__()
        self.towers = torch.nn.ModuleDict()
        for modality in MODALITIES:
            layers = []
            for layer in model.get_layer(f"{modality}_tower").layers:
                if isinstance(layer, keras.layers.Dense):
                    layers += [linear(layer), torch.nn.ReLU()]
            self.towers[modality] = torch.nn.Sequential(*layers[:-1])  # the embedding is linear
        self.classifier = linear(model.get_layer("classifier"))

    def forward(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Embeddings [batch, dim] and logits [batch, classes] of both modalities."""
        outputs = {}
        for modality, name in MODALITIES.items():
            embedding = unit(self.towers[modality](unit(batch[name])))
            outputs[f"{modality}_embedding"] = embedding
            outputs[f"{modality}_logits"] = self.classifier(embedding)
        return outputs


def softmax_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with the targets c / |c|; labels [batch, n] padded with -1, no repeats."""
    present = (labels >= 0).float()
    chosen = torch.log_softmax(logits, -1).gather(1, labels.clamp(min=0))
    return (-(chosen * present).sum(-1) / present.sum(-1).clamp(min=1)).mean()


def loss(
    network: Network, batch: Mapping[str, torch.Tensor], margin: float, class_weight: float
) -> torch.Tensor:
    """Cosine loss and classification (full paper, equations 2 to 5), without weight decay."""
    outputs = network(batch)
    cosine = (outputs["visual_embedding"] * outputs["audio_embedding"]).sum(-1)
    pairs = torch.where(batch["match"] > 0, 1 - cosine, torch.relu(cosine - margin)).mean()
    classes = softmax_cross_entropy(outputs["visual_logits"], batch["labels"])
    classes = classes + softmax_cross_entropy(outputs["audio_logits"], batch["audio_labels"])
    return pairs + class_weight * classes


class Step:
    """One optimizer step on one batch, to be called again and again."""

    def __init__(
        self, model: keras.Model, batch: Mapping[str, np.ndarray], config: EmbeddingConfig
    ) -> None:
        """Copies the weights of `model` and the numeric features of `batch`."""
        self.network, self.config = Network(model), config
        self.batch = {
            name: torch.from_numpy(np.array(values))
            for name, values in batch.items()
            if values.dtype.kind in "fi"
        }
        self.parameters = list(self.network.parameters())
        self.kernels = [p for p in self.parameters if p.ndim == 2]
        self.optimizer = torch.optim.Adam(
            self.parameters, config.optimizer.learning_rate, eps=ADAM_EPSILON, fused=True
        )

    def gradients(self) -> torch.Tensor:
        """Leaves the gradients of the whole loss in the parameters; returns the loss."""
        config = self.config
        self.optimizer.zero_grad()
        value = loss(self.network, self.batch, config.loss.margin, config.loss.class_weight)
        value.backward()
        # The derivative of l2 * sum(w ** 2).
        kernel_gradients = [kernel.grad for kernel in self.kernels]
        torch._foreach_add_(kernel_gradients, [k.detach() for k in self.kernels],
                            alpha=2 * config.model.l2)
        return value.detach()

    def __call__(self) -> float:
        """Takes a step: gradients, a norm limit for each variable, Adam; returns the loss."""
        value = self.gradients()
        gradients = [parameter.grad for parameter in self.parameters]
        norms = torch._foreach_norm(gradients)
        torch._foreach_mul_(
            gradients, [(self.config.clip_norm / norm).clamp(max=1.0) for norm in norms]
        )
        self.optimizer.step()
        return value.item()
