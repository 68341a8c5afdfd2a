#!/usr/bin/env bash
# From a folder of videos to something to look at: cuts clips, trains an AVOL-Net on them, embeds
# every second, and writes a page of what is found for them with heat maps, a page of what one video
# finds, that video with sounds of the others, and with the map of where its sound comes from.
#   bash launch/own_videos.sh /data/videos                       # to runs/own_videos
#   bash launch/own_videos.sh /data/videos runs/mine --max_steps=3000
# What follows the two folders goes to launch.train_avc. A second run goes on with what is there.
set -euo pipefail
if [ ! -d "${1:-}" ]; then
  echo "error: ${1:-nothing} is no folder; name one with videos: bash launch/own_videos.sh /data/videos" >&2
  exit 1
fi
videos="$(cd "$1" && pwd)"
here="$(pwd)"
cd "$(dirname "$0")/.."
source launch/environment.sh beam media pictures

out="${2:-runs/own_videos}"
if [ $# -gt 1 ]; then case "$out" in /*) ;; *) out="$here/$out" ;; esac; shift; fi
shift
run() { .venv/bin/python -m "$@"; }

run launch.convert_clips --input="$videos" --output="$out"/clips --audio_encoding=pcm16 \
  --validation_percent=0
# The first video that gave a clip, and a batch that is not larger than the set: at most 64.
read -r clips video < <(.venv/bin/python - "$out"/clips/manifest.csv <<'END'
import csv, sys
written = [row["file"] for row in csv.DictReader(open(sys.argv[1])) if row["status"] == "written"]
print(len(written), *written[:1])
END
)
if [ "$clips" -lt 2 ]; then
  echo "error: $videos gave $clips clips, and pairs need two; $out/clips/manifest.csv says why" >&2
  exit 1
fi
run launch.train_avc --train_pattern="$out/clips/train-*" --workdir="$out"/avol \
  --recipe=avol_small --batch_size="$((clips < 64 ? clips / 2 * 2 : 64))" --max_steps=200 "$@"
run launch.embed_avc --workdir="$out"/avol --checkpoint=last --input="$videos" \
  --output="$out"/videos.npz
run launch.gallery --database="$out"/videos.npz --media="$videos" --workdir="$out"/avol \
  --checkpoint=last --output="$out"/gallery.html
run launch.search --database="$out"/videos.npz --workdir="$out"/avol --checkpoint=last \
  --query_video="$videos/$video" --exclude_own --output="$out"/found.html
run launch.sonorize --database="$out"/videos.npz --media="$videos" --workdir="$out"/avol \
  --checkpoint=last --mode=seconds --video="$videos/$video" --output="$out"/sonorised.mp4
run launch.localize_avc --workdir="$out"/avol --checkpoint=last --video="$videos/$video" \
  --output="$out"/map.mp4

echo
echo "What the network finds for your videos, with heat maps:  $out/gallery.html"
echo "$video:"
echo "  what it finds among the others:                        $out/found.html"
echo "  with sounds of the others:                             $out/sonorised.mp4"
echo "  where its sound comes from:                            $out/map.mp4"
if [ "$clips" -lt 1000 ]; then
  echo "From $clips clips a network learns next to nothing: this shows how things look. For results"
  echo "take thousands of clips and steps (docs/training.md)."
fi
