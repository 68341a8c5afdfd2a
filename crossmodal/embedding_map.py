"""Embeddings as points of a plane, to look at."""

import numpy as np

from crossmodal import embeddings
from crossmodal.errors import UserError


def project(vectors: np.ndarray, seed: int, perplexity: float = 30.0) -> np.ndarray:
    """Places vectors in a plane by t-SNE (van der Maaten and Hinton 2008), near ones near.

    Args:
      vectors: [items, size], at least four items.
      seed: the same gives the same plane.
      perplexity: about how many neighbours an item has; at most a third of the others.

    Returns:
      float32 [items, 2].

    Raises:
      UserError: scikit-learn is not installed, there are too few items, or one is not finite.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise UserError(f"{error}: install the package with its extra `pictures`") from error
    vectors = embeddings.check_rows("plane", vectors)
    if len(vectors) < 4:
        raise UserError(f"t-SNE of {len(vectors)} items: at least 4 are needed")
    perplexity = min(perplexity, (len(vectors) - 1) / 3)
    # A random start: that of principal components is undefined for vectors all alike.
    return TSNE(perplexity=perplexity, init="random", random_state=seed).fit_transform(vectors)
