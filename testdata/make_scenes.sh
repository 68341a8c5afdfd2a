#!/bin/sh
# Rewrites the bundled scenes, about 10 s: sh testdata/make_scenes.sh [FOLDER]
set -eu
output="${1:-$(dirname "$0")/scenes}"
rm -rf "$output"
python -m launch.make_scenes --output="$output" --split=train --num_clips=8 --clips_per_shard=4 --set=picture_size=96,clip_seconds=2,jpeg_quality=85,ambient_dbfs=-90
python -m launch.make_scenes --output="$output" --split=test --num_clips=4 --clips_per_shard=4 --swap_pairs=1 --set=picture_size=96,clip_seconds=2,jpeg_quality=85,ambient_dbfs=-90
