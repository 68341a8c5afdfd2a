"""Command-line jobs: each file parses its flags and calls the library."""
