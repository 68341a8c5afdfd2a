r"""Says what is in records of clips: counts, labels, lengths, sample rates, what is wrong.

With --output it also writes a page of some of them: frames, log-spectrogram, sound. The page is
one HTML file that needs no other. --contents decodes all frames and sounds, to find those
that cannot be.

Examples (a second per 1,000 clips; with --contents a minute):

  python -m launch.inspect_records --input_pattern='testdata/scenes/train*.tfrecord'
  python -m launch.inspect_records --input_pattern='/data/clips/*.tfrecord' --contents \
      --on_bad_record=skip --output=/tmp/clips.html --number=30
"""

import os

from absl import flags

from avc import inspection, inspection_page, page_media, reading
from avc.page_media import PageMedia
from crossmodal import card_page, configuration, files
from crossmodal.errors import UserError
from crossmodal.opening import report_damage
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string("input_pattern", None, "Records of clips or scenes: glob patterns, by commas.")
flags.DEFINE_enum("on_bad_record", "fail", ["fail", "skip"], "What a bad record does.")
flags.DEFINE_bool("contents", False, "Also decode all frames and sounds.")
flags.DEFINE_integer("most_labels", 20, "So many labels are listed.", lower_bound=1)
flags.DEFINE_string("output", "", "Also write: a page of clips (.html), or the numbers (.json).")
flags.DEFINE_integer("number", 20, "Clips on the page, drawn at random.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Of the drawn clips.")
flags.DEFINE_integer("shorter_side", 160, "Most pixels of a picture's shorter side.")
flags.DEFINE_integer("jpeg_quality", 80, "Of the pictures, 1 to 100.")
flags.DEFINE_enum("sound", "aac", page_media.SOUNDS, "aac is smaller; wav plays everywhere.")
flags.DEFINE_float("sound_seconds", 10.0, "Most of a clip's sound, from its middle.")
flags.DEFINE_float("most_megabytes", 50.0, "A page that would be larger is not written.")
flags.mark_flags_as_required(["input_pattern"])


def main() -> None:
    """Prints the numbers, and writes the page if one is asked for."""
    media = PageMedia(FLAGS.shorter_side, FLAGS.jpeg_quality, FLAGS.sound, FLAGS.sound_seconds)
    extension = os.path.splitext(FLAGS.output)[1].lower()
    if FLAGS.output:
        if extension not in (".html", ".json"):
            raise UserError(f"--output={FLAGS.output}: its name must end with .html or .json")
        files.check_writable(FLAGS.output, "output")
    kind, encoding, records = reading.open_clips(
        FLAGS.input_pattern, "input_pattern", FLAGS.on_bad_record
    )
    numbers = inspection.inspect(records, encoding, FLAGS.contents).to_dict()
    numbers |= {"kind": kind, "audio_encoding": encoding, "files_of_records": len(records.shards)}
    head = f"{kind}s with sound as {encoding}, in {len(records.shards)} files of records"
    print(head, inspection.table(numbers, FLAGS.most_labels), sep="\n\n")
    damage = records.describe_damage()
    if extension == ".json":
        configuration.save(FLAGS.output, {**numbers, "damage": damage.splitlines()})
    elif FLAGS.output:
        shown = inspection_page.groups(
            inspection_page.draw(records, FLAGS.number, FLAGS.seed), encoding, media,
            FLAGS.most_megabytes,
        )
        facts = [
            f"{numbers['clips']} {kind}s of {numbers['videos']} videos, {numbers['hours']:.3f} h,"
            f" {len(numbers['labels'])} labels; {len(numbers['problems'])} with wrong contents.",
            f"{len(shown)} drawn with seed {FLAGS.seed}.", *damage.splitlines(),
        ]
        page = card_page.page("Clips in records", facts, shown)
        files.write_text(FLAGS.output, page)
        print(f"{len(shown)} {kind}s, {len(page.encode()) / 1e6:.1f} MB: {FLAGS.output}")
    report_damage(records)


if __name__ == "__main__":
    commands.run(main)
