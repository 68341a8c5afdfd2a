"""Command-line jobs: each file parses its flags and calls the library."""

import os

# Before TensorFlow is loaded: its notes on missing GPUs and ended iterators are no news.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
