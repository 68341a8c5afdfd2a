"""Joint audio-visual embeddings from YouTube-8M features."""
