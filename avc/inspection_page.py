"""Some records to look at and to listen to: frames, spectrogram and sound, as a page."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from avc import page_media
from avc.contact_sheets import heard
from avc.encoding import decode_audio
from avc.page_media import PageMedia
from avc.shown_moments import shown_at
from crossmodal import card_page
from crossmodal.cards import Card, Group
from crossmodal.errors import UserError
from crossmodal.reading import Records, blocks, explained

# Where in a clip frames are shown, as shares of its length.
_PLACES = (0.0, 1 / 3, 2 / 3)


def draw(records: Records, number: int, seed: int) -> Iterator[dict]:
    """Draws records, without padding, in file order; all where there are no more.

    Raises:
      UserError: a record is bad.
    """
    total = records.count()
    drawn = np.random.default_rng(seed).choice(total, min(number, total), replace=False)
    chosen, position = set(drawn.tolist()), 0
    with explained(records):
        for block in blocks(records).as_numpy_iterator():
            places = [i for i in range(len(block)) if position + i in chosen]
            position += len(block)
            if places:
                parsed = records.schema.parse(block[places])
                yield from records.schema.rows({k: v.numpy() for k, v in parsed.items()})
            if position > max(chosen):
                return


def groups(
    rows: Iterator[dict], encoding: str, media: PageMedia, most_megabytes: float
) -> list[Group]:
    """A group of cards for each record.

    Args:
      rows: of `draw`.
      encoding: of their sound.
      media: how pictures and sounds are made smaller.
      most_megabytes: of the page.

    Raises:
      UserError: the page would become too large.
    """
    found, size = [], 0
    for row in rows:
        found.append(_group(row, encoding, media))
        size += sum(card.size() for card in found[-1].cards)
        card_page.check_size(
            size, most_megabytes, "lower --number or --sound_seconds, or allow more by"
            " --most_megabytes",
        )
    return found


def _group(row: Mapping, encoding: str, media: PageMedia) -> Group:
    name = row["id"].decode(errors="replace")
    labels = tuple(label.decode(errors="replace") for label in row["labels"])
    rate, samples = int(row["sample_rate_hz"][0]), int(row["num_samples"][0])
    seconds = samples / max(rate, 1)
    shown = [_frame(row, share * seconds, media, name) for share in _PLACES]
    facts = (
        f"{seconds:.2f} s from {float(np.ravel(row['start_seconds'])[0]):.2f} s of"
        f" {row['file'].decode(errors='replace')}",
        f"{len(row['frames'])} frames, {rate} Hz",
    )
    first = dataclasses.replace(shown[0], labels=labels, lines=(*facts, *shown[0].lines))
    return Group(name, "clip", labels, (first, *shown[1:], _sound(row, encoding, media, name)))


def _frame(row: Mapping, seconds: float, media: PageMedia, name: str) -> Card:
    badge = f"{seconds:.2f} s"
    scene = (f"heard: {heard(row, seconds)}",) if "event_labels" in row else ()
    try:
        picture = media.picture(shown_at(row, seconds), f"frame of {name} at {seconds:.2f} s")
    except UserError as error:
        return Card("", badge, (str(error), *scene))
    return Card("", badge, scene, picture=picture)


def _sound(row: Mapping, encoding: str, media: PageMedia, name: str) -> Card:
    rate = int(row["sample_rate_hz"][0])
    try:
        samples = decode_audio(row["audio"], encoding)
    except UserError as error:
        return Card("", "sound", (str(error),))
    if not len(samples) or rate <= 0:
        return Card("", "sound", ("no sound",))
    heard_part = media.around(samples, len(samples) // 2, rate)
    picture = media.picture(
        page_media.spectrum(heard_part, rate), f"log-spectrogram of {name}, up to {rate / 2:g} Hz"
    )
    peak = np.abs(heard_part.astype(np.int32)).max() / 32768
    level = f"peak {20 * np.log10(peak):.1f} dB of full scale" if peak else "silent"
    sound = media.encode(heard_part, rate)
    return Card("", "sound", (level,), picture=picture, sound=sound)
