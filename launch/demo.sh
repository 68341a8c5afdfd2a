#!/usr/bin/env bash
# Sets up .venv, then trains, evaluates and exports on bundled data: a joint embedding of
# YouTube-8M features, and an AVE-Net and an AVOL-Net of scenes.
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
echo "Audio-visual networks, each trained for some seconds on 8 scenes and evaluated on 4:"
echo "this shows that everything runs. The numbers and the map say nothing of what networks"
echo "learn; docs/networks.md and docs/evaluation.md have the commands for larger sets."
echo
run launch.train_avc --train_pattern='testdata/scenes/train-*.tfrecord' --workdir="$workdir"/ave \
  --eval_pattern='testdata/scenes/test-*.tfrecord' --recipe=ave_small --batch_size=8 \
  --max_steps=40 --evaluate_every_steps=20
run launch.evaluate_avc --workdir="$workdir"/ave --eval_pattern='testdata/scenes/test-*.tfrecord'
run launch.train_avc --train_pattern='testdata/scenes/train-*.tfrecord' --workdir="$workdir"/avol \
  --eval_pattern='testdata/scenes/test-*.tfrecord' --recipe=avol_small --batch_size=8 \
  --max_steps=40 --evaluate_every_steps=20
run launch.evaluate_avc --workdir="$workdir"/avol --eval_pattern='testdata/scenes/test-*.tfrecord' \
  --swap_pattern='testdata/scenes/test_swap-*.tfrecord'
run launch.localize_scenes --workdir="$workdir"/avol --checkpoint=last \
  --input_pattern='testdata/scenes/test-*.tfrecord,testdata/scenes/train-*.tfrecord' \
  --output="$workdir"/maps.png

echo
echo "YouTube-8M features"
echo "  SavedModel:      $workdir/export"
echo "  report:          $workdir/evaluation.json"
echo "  TensorBoard log: $workdir/tensorboard   (tensorboard --logdir=$workdir)"
echo "AVE-Net and AVOL-Net on 12 scenes (too few to learn from)"
echo "  work folders:    $workdir/ave, $workdir/avol"
echo "  reports:         $workdir/ave/evaluation.json, $workdir/avol/evaluation.json"
echo "  heat maps:       $workdir/maps.png"
