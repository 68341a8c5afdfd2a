"""Joint audio-visual embeddings from YouTube-8M features.

    model = yt8m_embed.load("runs/demo")
    vectors = model.embed_visual(mean_rgb)
    scores = yt8m_embed.evaluate(model, "testdata/yt8m/dev/*.tfrecord", gallery_sizes=(256,))
"""

from yt8m_embed.embedding import JointEmbedding, load
from yt8m_embed.evaluation import evaluate

__all__ = ["JointEmbedding", "evaluate", "load"]
