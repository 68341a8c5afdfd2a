"""Pictures and sounds with what is known of them, as cards of an HTML page.

All text is escaped: labels and names of files are somebody else's.
"""

import base64
import dataclasses
import html
import json
import re
from collections.abc import Sequence

# Symbol, text and class of the style: never colour alone.
VERDICTS = {
    "own": ("✓", "own video", "right"),
    "shared": ("✓", "shares a label", "right"),
    "wrong": ("✗", "no shared label", "wrong"),
    "unknown": ("?", "not judged: no labels", "unknown"),
}
# Control characters are no text of HTML.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
      content: a JPEG file.
      alt: what it shows, for who does not see it.
    """

    content: bytes
    alt: str


@dataclasses.dataclass(frozen=True)
class Sound:
    """A sound.

    Attributes:
      content: a file.
      kind: its media type, such as `audio/wav`.
      seconds: its length.
    """

    content: bytes
    kind: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Card:
    """One thing to see and hear.

    Attributes:
      name: what it is called.
      badge: its part in the group, a word or two.
      lines: what more there is to say.
      labels: its classes.
      picture: None where there is none; `lines` should say why.
      heatmap: the same picture with a map over it, which can be hidden.
      sound: None where there is none.
      verdict: of VERDICTS; "" where nothing is judged.
      shared: of `labels`, those that made the verdict.
    """

    name: str
    badge: str = ""
    lines: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    picture: Picture | None = None
    heatmap: Picture | None = None
    sound: Sound | None = None
    verdict: str = ""
    shared: tuple[str, ...] = ()

    def size(self) -> int:
        """Bytes of its pictures and its sound as the page holds them."""
        held = [part.content for part in (self.picture, self.heatmap, self.sound) if part]
        return sum(4 * -(-len(content) // 3) for content in held)


@dataclasses.dataclass(frozen=True)
class Group:
    """Cards that belong together.

    Attributes:
      title: of the group.
      kind: by which the page can be filtered, such as a direction of retrieval.
      labels: by which it can be filtered, too.
      cards: the first one is the query, where there is one.
    """

    title: str
    kind: str
    labels: tuple[str, ...]
    cards: tuple[Card, ...]


def clean(value: str) -> str:
    """Text without characters that HTML cannot hold."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", value)


def text(value: str) -> str:
    """Text for HTML, also within an attribute."""
    return html.escape(clean(value))


def isolated(value: str) -> str:
    """The same as an element, whose direction of writing leaves its surroundings alone."""
    return f"<bdi>{text(value)}</bdi>"


def data_url(content: bytes, kind: str) -> str:
    """A file as an address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def group_html(group: Group, number: int) -> str:
    """A section of a page, with a heading.

    Args:
      group: what is shown.
      number: of the section, which makes its heading's name.
    """
    classes = text(json.dumps([clean(label) for label in group.labels]))
    cards = "\n".join(f"<li>{card_html(card)}</li>" for card in group.cards)
    return (
        f'<section class="group" data-kind="{text(group.kind)}" data-labels="{classes}"'
        f' aria-labelledby="group{number}">\n'
        f'<h2 id="group{number}">{isolated(group.title)}</h2>\n'
        f'<ol class="cards">\n{cards}\n</ol>\n</section>'
    )


def card_html(card: Card) -> str:
    """One card."""
    style = VERDICTS[card.verdict][2] if card.verdict else "plain"
    parts = [f'<article class="card {style}" aria-label="{text(f"{card.badge} {card.name}")}">']
    if card.badge:
        parts.append(f'<p class="badge">{text(card.badge)}</p>')
    parts.append(_pictures(card))
    if card.sound:
        parts.append(_sound(card, card.sound))
    if card.verdict:
        symbol, words, _ = VERDICTS[card.verdict]
        reason = f": {', '.join(card.shared)}" if card.shared else ""
        parts.append(
            f'<p class="verdict"><span aria-hidden="true">{symbol}</span>'
            f" {isolated(words + reason)}</p>"
        )
    if card.name:
        parts.append(f'<p class="name">{isolated(card.name)}</p>')
    parts += [f"<p>{isolated(line)}</p>" for line in card.lines]
    if card.labels:
        items = "".join(f"<li>{isolated(label)}</li>" for label in card.labels)
        parts.append(f'<ul class="labels" aria-label="labels">{items}</ul>')
    return "\n".join([part for part in parts if part] + ["</article>"])


def labels_of(groups: Sequence[Group]) -> dict[str, int]:
    """How many groups have each label, in alphabetical order."""
    counts: dict[str, int] = {}
    for group in groups:
        for label in dict.fromkeys(map(clean, group.labels)):
            counts[label] = counts.get(label, 0) + 1
    return dict(sorted(counts.items()))


def _pictures(card: Card) -> str:
    if card.picture is None:
        return '<div class="picture none"><p>no picture</p></div>'
    shown = [("frame", card.picture), *([("map", card.heatmap)] if card.heatmap else [])]
    images = "".join(
        f'<img class="{style}" alt="{text(picture.alt)}"'
        f' src="{data_url(picture.content, "image/jpeg")}">'
        for style, picture in shown
    )
    return f'<div class="picture">{images}</div>'


def _sound(card: Card, sound: Sound) -> str:
    what = text(f"sound of {card.name}, {sound.seconds:.1f} seconds")
    # Without the script the browser's own controls are there.
    return (
        f'<div class="sound"><button type="button" class="play" hidden aria-label="Play: {what}">'
        f'<span aria-hidden="true">▶ {sound.seconds:.1f} s</span></button>'
        f'<audio controls preload="none" aria-label="{what}"'
        f' src="{data_url(sound.content, sound.kind)}"></audio></div>'
    )
