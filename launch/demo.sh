#!/usr/bin/env bash
# Sets up .venv, then trains, evaluates and exports a joint embedding on the bundled shards.
# The results go to runs/demo; a second run goes on with what is there. Under 5 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh

workdir="${1:-runs/demo}"
run() { .venv/bin/python -m "$@"; }

run launch.train_yt8m --train_pattern='testdata/yt8m/train/*.tfrecord' --workdir="$workdir" \
  --recipe=contrastive --cache=memory --gallery_size=256 \
  --batch_size=512 --max_steps=60 \
  --set=visual_layers=1024,audio_layers=1024,num_towers=1,linear_towers=1,cca_visual_ridge=1.0,cca_audio_ridge=1.0
run launch.evaluate_yt8m --workdir="$workdir" --eval_pattern='testdata/yt8m/dev/*.tfrecord' \
  --gallery_sizes=256,512 --baseline=cca --topic_model=testdata/yt8m/topic_model.json \
  --vocabulary=testdata/yt8m/vocabulary.csv --brief
run launch.export_yt8m --workdir="$workdir" --vocabulary=testdata/yt8m/vocabulary.csv

echo
echo "SavedModel:      $workdir/export"
echo "report:          $workdir/evaluation.json"
echo "TensorBoard log: $workdir/tensorboard   (tensorboard --logdir=$workdir/tensorboard)"
