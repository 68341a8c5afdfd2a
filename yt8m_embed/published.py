"""What Surís et al. report: *Cross-modal Embeddings for Video and Audio Retrieval* (2018)."""

PAPER = "Surís et al. 2018"
TITLE = "Cross-modal Embeddings for Video and Audio Retrieval"
CUTOFFS = (1, 5, 10)
# Tables 1 and 2 of the full paper, in percent at CUTOFFS, by the size of the gallery: their
# data, their subset of 6,000 videos.
RECALL = {
    "audio_to_visual": {256: (21.5, 52.0, 63.1), 512: (15.2, 39.5, 52.0), 1024: (9.8, 30.4, 39.6)},
    "visual_to_audio": {256: (22.3, 51.7, 64.4), 512: (14.7, 38.0, 51.5), 1024: (10.2, 29.1, 40.3)},
}
TABLES = {"audio_to_visual": "Table 1", "visual_to_audio": "Table 2"}
