"""Audio-visual correspondence networks on frames and log-spectrograms."""
