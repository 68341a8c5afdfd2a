"""An HTML page of cards that needs no other file and no network.

It can be filtered by label and kind, and used by keyboard alone. The page's own policy
(Content-Security-Policy) lets nothing run but the script below, known by its digest, and
nothing load but what the page holds.
"""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence

from crossmodal import cards
from crossmodal.cards import Group
from crossmodal.errors import UserError

_PAGE_STYLE = """
:root { color-scheme: light dark; --back: #fff; --front: #1b1b1b; --soft: #595959; --line: #b5b5b5;
  --card: #f5f5f5; --right: #1a6b2b; --wrong: #a3241f; --focus: #0b57d0 }
@media (prefers-color-scheme: dark) { :root { --back: #161616; --front: #ededed; --soft: #b0b0b0;
  --line: #565656; --card: #222; --right: #7fd492; --wrong: #ff9d97; --focus: #8ab4f8 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 90rem; background: var(--back);
  color: var(--front); font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; margin: 0 0 .5rem } h2 { font-size: 1.05rem; margin: 0 0 .5rem }
p { margin: .15rem 0 } ul, ol { margin: 0; padding: 0; list-style: none }
.facts { color: var(--soft); font-size: .9rem }
.filters { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: .5rem 1rem;
  align-items: center; padding: .5rem 0; background: var(--back);
  border-bottom: 1px solid var(--line) }
.filters label { display: inline-flex; gap: .4rem; align-items: center }
select, button { font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: .3rem; min-height: 2.5rem; max-width: 100% }
select { width: 12rem } input { width: 1.2rem; height: 1.2rem }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px }
"""

# What cards look like, wherever they are.
CARD_STYLE = """
.group { margin: 1.25rem 0 } .group[hidden] { display: none }
.cards { display: grid; gap: .6rem; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)) }
.card { height: 100%; padding: .5rem; background: var(--card); font-size: .82rem;
  border: 3px solid var(--line); border-radius: .4rem }
.right { border-color: var(--right); border-style: solid }
.wrong { border-color: var(--wrong); border-style: dashed }
.unknown { border-style: dotted }
.badge { font-weight: 600 } .verdict { font-weight: 600 }
.right .verdict { color: var(--right) } .wrong .verdict { color: var(--wrong) }
.name { color: var(--soft) }
.picture { position: relative; background: #000; margin: .25rem 0 }
.picture img { display: block; width: 100%; height: auto }
.picture .map { position: absolute; inset: 0; height: 100% }
.none { color: #ddd; aspect-ratio: 4 / 3; display: grid; place-items: center }
.play { width: 100%; cursor: pointer } .play[aria-pressed=true] { font-weight: 700 }
.play[hidden] { display: none } audio { width: 100% } audio:not([controls]) { display: none }
.labels { display: flex; flex-wrap: wrap; gap: .25rem; margin-top: .25rem }
.labels li { border: 1px solid var(--line); border-radius: 1rem; padding: 0 .5rem }
.nomaps .map { display: none }
"""

_NARROW_STYLE = """
@media (max-width: 30rem) { body { padding: .5rem }
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)) } select { width: 100% }
  .filters { position: static } .filters label { width: 100% } }
"""

STYLE = _PAGE_STYLE + CARD_STYLE + _NARROW_STYLE

SCRIPT = """
'use strict';
const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
const groups = all('.group').map(element => ({
  element, kind: element.dataset.kind, labels: new Set(JSON.parse(element.dataset.labels))
}));
const label = document.getElementById('label');
const kind = document.getElementById('kind');
const count = document.getElementById('count');
const maps = document.getElementById('maps');

function stopAll(except) {
  for (const audio of all('audio')) if (audio !== except && !audio.paused) audio.pause();
}

function filter() {
  let shown = 0;
  for (const group of groups) {
    const wanted = (label.value === '' || group.labels.has(label.value.slice(1)))
      && (!kind || kind.value === '' || group.kind === kind.value);
    group.element.hidden = !wanted;
    if (wanted) shown += 1;
    else for (const audio of all('audio', group.element)) audio.pause();
  }
  count.textContent = shown + ' of ' + groups.length + ' shown';
}

for (const box of all('.sound')) {
  const button = box.querySelector('button');
  const audio = box.querySelector('audio');
  const caption = button.querySelector('span');
  const idle = caption.textContent;
  audio.controls = false;
  button.hidden = false;
  button.setAttribute('aria-pressed', 'false');
  button.addEventListener('click', () => {
    if (audio.paused) {
      stopAll(audio);
      audio.currentTime = 0;
      audio.play().catch(() => { caption.textContent = 'cannot be played here'; });
    } else audio.pause();
  });
  const tell = () => {
    const playing = !audio.paused && !audio.ended;
    button.setAttribute('aria-pressed', String(playing));
    caption.textContent = playing ? '\\u25a0 stop' : idle;
  };
  for (const name of ['play', 'pause', 'ended']) audio.addEventListener(name, tell);
}

document.addEventListener('keydown', event => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step || !event.target.classList.contains('play')) return;
  const buttons = all('.group:not([hidden]) .play');
  const next = buttons[buttons.indexOf(event.target) + step];
  if (next) { next.focus(); event.preventDefault(); }
});

label.addEventListener('change', filter);
if (kind) kind.addEventListener('change', filter);
if (maps) maps.addEventListener('change', () => {
  document.body.classList.toggle('nomaps', !maps.checked);
});
filter();
"""


def page(
    title: str,
    facts: Sequence[str],
    groups: Sequence[Group],
    kinds: Mapping[str, str] | None = None,
) -> str:
    """The page.

    Args:
      title: of the page.
      facts: lines below it.
      groups: what is shown, in order.
      kinds: what the groups' kinds are called, where one can choose among them.
    """
    body = "\n".join(cards.group_html(group, i) for i, group in enumerate(groups, 1))
    lines = "\n".join(f"<p>{cards.text(fact)}</p>" for fact in facts)
    policy = (
        f"default-src 'none'; img-src data:; media-src data:; style-src '{_digest(STYLE)}';"
        f" script-src '{_digest(SCRIPT)}'; base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{cards.text(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{cards.text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{cards.text(title)}</h1>
<div class="facts">
{lines}
</div>
</header>
{_filters(groups, kinds or {})}
<main>
{body}
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


def check_size(done: int, most_megabytes: float, mend: str) -> None:
    """Raises UserError where pictures and sounds of so many bytes are too much.

    Args:
      done: bytes.
      most_megabytes: so many are allowed.
      mend: what to do.
    """
    if done > most_megabytes * 1e6:
        raise UserError(f"the page would be larger than {most_megabytes:g} MB: {mend}")


def check_name(path: str, flag: str = "output") -> None:
    """Raises UserError unless the name of a page ends with .html."""
    if os.path.splitext(path)[1].lower() != ".html":
        raise UserError(f"--{flag}={path}: its name must end with .html")


def _filters(groups: Sequence[Group], kinds: Mapping[str, str]) -> str:
    labels = cards.labels_of(groups)
    # A label may be the empty text: the mark in front tells it from "all".
    choices = "".join(
        f'<option value="={cards.text(label)}">{cards.text(label)} ({number})</option>'
        for label, number in labels.items()
    )
    parts = [
        f'<label>class <select id="label"><option value="">all</option>{choices}</select></label>'
    ]
    if len(kinds) > 1:
        choices = "".join(
            f'<option value="{cards.text(kind)}">{cards.text(shown)}</option>'
            for kind, shown in kinds.items()
        )
        parts.append(
            f'<label>direction <select id="kind"><option value="">all</option>{choices}</select>'
            "</label>"
        )
    if any(card.heatmap for group in groups for card in group.cards):
        parts.append('<label><input type="checkbox" id="maps" checked> heat maps</label>')
    parts.append(f'<output id="count">{len(groups)} shown</output>')
    return f'<form class="filters" aria-label="what is shown">{"".join(parts)}</form>'


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
