r"""Embeds the middle frames of clips with VGG16, as a baseline for evaluate_avc --embeddings.

The .npz file holds `ids` and `visual` [n, 4096], the last hidden layer; with
--audio_embeddings, which embed_avc --moments=middle writes, also their `audio`, so that
evaluate_avc can align the two by CCA.

Examples (0.3 seconds a clip on one core):

  python -m launch.embed_vgg16 --input_pattern='/data/clips/test-*.tfrecord' \
      --weights=/data/vgg16.h5 --output=/tmp/vgg16.npz
  python -m launch.embed_vgg16 --input_pattern='/data/clips/test-*.tfrecord' \
      --audio_embeddings=/tmp/l3_test.npz --output=/tmp/vgg16_l3.npz
"""

import numpy as np
import tqdm
from absl import flags

from avc import clip_embedding, clip_features, reading, vgg16
from avc.vgg16 import VggConfig
from crossmodal import npz
from crossmodal.errors import UserError
from crossmodal.opening import report_damage
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string("input_pattern", None, "Records of clips: glob patterns, by commas.")
flags.DEFINE_string("output", None, "The .npz file; it appears only when complete.")
flags.DEFINE_string("weights", "imagenet", "`imagenet`, a file .h5 or .keras, or `none`: random.")
flags.DEFINE_integer("image_size", 224, "Pixels a side; trained weights are for 224.")
flags.DEFINE_float("crop_share", 0.875, "Middle square, in parts of the shorter side.")
flags.DEFINE_string("audio_embeddings", "", "An .npz file with `audio` of the same clips.")
flags.DEFINE_enum("on_bad_record", "fail", ["fail", "skip"], "What a bad record does.")
flags.mark_flags_as_required(["input_pattern", "output"])


def main() -> None:
    """Embeds as the flags say."""
    config = VggConfig(FLAGS.weights, FLAGS.image_size, FLAGS.crop_share)
    clip_embedding.check_output(FLAGS.output)
    _, _, records = reading.open_clips(FLAGS.input_pattern, "input_pattern", FLAGS.on_bad_record)
    names = clip_features.read_names(records).id.tolist()
    sounds = {}
    if FLAGS.audio_embeddings:
        _, audio = clip_features.align_features(FLAGS.audio_embeddings, names)
        if not audio.shape[1]:
            raise UserError(f"--audio_embeddings={FLAGS.audio_embeddings}: has no array audio")
        sounds = dict(zip(names, audio, strict=True))
    model = vgg16.build(config)
    number = 0
    with tqdm.tqdm(total=len(names), unit="clip") as bar, npz.Writer(FLAGS.output) as output:
        for ids, visual in vgg16.embed_clips(records, model, config):
            output.append(ids=np.array(ids, "S"), visual=visual)
            if sounds:
                output.append(audio=np.stack([sounds[name] for name in ids]))
            number += len(ids)
            bar.update(len(ids))
        if not number:
            raise UserError(f"--input_pattern={FLAGS.input_pattern}: no clip holds a frame")
    report_damage(records)
    if number < len(names):
        print(f"left out: {len(names) - number} clips without a frame")
    print(f"{number} clips: {FLAGS.output}")


if __name__ == "__main__":
    commands.run(main)
