"""What one shard holds: the records that can be used, and why the rest cannot.

Framing and checksums first (`crossmodal.tfrecord`); then, if asked, the
contents: whole blocks through the schema's graph, and record by record in
plain Python only where a block fails.
"""

import dataclasses
import functools
import mmap
import os
from collections.abc import Callable

import tensorflow as tf

from crossmodal.errors import UserError
from crossmodal.schema import Schema
from crossmodal.tfrecord import FOOTER, HEADER, Damage, salvage

# Larger files are mapped, so that they take no more memory than the system has to spare; not
# smaller ones, for a mapped file that is cut while it is looked at ends the process.
MAPPED_BYTES = 1 << 28

Span = tuple[int, int]  # payload offset and length in the file
Parser = Callable[[tf.Tensor], object]


@dataclasses.dataclass(frozen=True)
class Examination:
    """A file's bytes, its usable records and what lies between them."""

    data: bytes | mmap.mmap
    good: list[Span]
    damage: list[Damage]


def examine(path: str, schema: Schema | None) -> Examination:
    """Reads a file and tells its usable records from the rest.

    Args:
      path: the file.
      schema: what the records must hold; None to look at framing and checksums only.

    Raises:
      UserError: the file cannot be read.
    """
    data = _read(path)
    good, damage = salvage(data)
    kind = None if good else _kind_of_file(data)
    if kind:
        damage = [Damage(0, 0, kind, len(data))]
    reasons = _bad_contents(data, good, schema) if schema and good else {}
    if reasons:
        good, damage = _merge(good, damage, reasons)
    return Examination(data, good, damage)


def _merge(
    good: list[Span], damage: list[Damage], reasons: dict[Span, str]
) -> tuple[list[Span], list[Damage]]:
    # Indices count good and bad records alike, so they do not change here.
    places = sorted([*((d.offset, d) for d in damage), *((o - HEADER, (o, n)) for o, n in good)])
    merged = []
    for index, (offset, what) in enumerate(places):
        if isinstance(what, Damage):
            merged.append(what)
        elif what in reasons:
            merged.append(Damage(index, offset, reasons[what], HEADER + what[1] + FOOTER))
    return [span for span in good if span not in reasons], merged


def _bad_contents(data: bytes, spans: list[Span], schema: Schema) -> dict[Span, str]:
    """Why records whose checksums verify cannot be used all the same."""
    parse = _parser(schema)
    reasons: dict[Span, str] = {}
    size = schema.block_size
    for start in range(0, len(spans), size):
        block = spans[start : start + size]
        if _refusal(data, block, parse) is None:
            continue
        for offset, length in block:
            reason = schema.problem(data[offset : offset + length])
            if reason:
                reasons[offset, length] = reason
        # What the graph alone refuses; there is none as long as both follow one rule.
        rest = [span for span in block if span not in reasons]
        if rest and _refusal(data, rest, parse) is not None:
            alone = {span: _refusal(data, [span], parse) for span in rest}
            reasons.update({span: reason for span, reason in alone.items() if reason is not None})
    return reasons


@functools.lru_cache(maxsize=8)
def _parser(schema: Schema) -> Parser:
    # Traced once and then called for every block of every file.
    return tf.function(schema.parse, input_signature=[tf.TensorSpec([None], tf.string)])


def _refusal(data: bytes, spans: list[Span], parse: Parser) -> str | None:
    """What the graph says against some records; None when it takes them."""
    try:
        parse(tf.constant([data[offset : offset + length] for offset, length in spans], tf.string))
    except tf.errors.OpError as error:
        return f"cannot be parsed: {error.message.splitlines()[0]}"
    except UnicodeDecodeError:
        # TensorFlow quotes the record in its message and trips over the quotation.
        return "cannot be parsed"
    return None


def _kind_of_file(data: bytes) -> str | None:
    """What a file is that holds no record at all, if its first bytes tell."""
    head = data[:512]
    if not data:
        return "the file is empty"
    if head.startswith(b"\x1f\x8b"):
        return "not a TFRecord file but a GZIP one: decompress it first"
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "not a TFRecord file but an HTML page: check the file pattern"
    # Text has no control characters; the cut may split a character of UTF-8.
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in head) and _is_utf8(head):
        return "not a TFRecord file but a text file, such as CSV: check the file pattern"
    return None


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3
    return True


def _read(path: str) -> bytes | mmap.mmap:
    try:
        # Python reads local files at less than half the cost of tf.io.gfile.
        if "://" not in path:
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_size >= MAPPED_BYTES:
                    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                return file.read()
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read()
    except (OSError, tf.errors.OpError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.message
        raise UserError(f"{path}: {reason}") from error
