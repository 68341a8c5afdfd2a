"""What the explorer's page shows, as HTML: the cards of other pages, in the style of this one."""

import html
from collections.abc import Sequence

from avc.explorer import Answer
from crossmodal import card_page, cards

_STYLE = """
.gradio-container { max-width: 80rem !important; margin: 0 auto !important }
.gradio-container h1 { font-size: 1.5rem; margin: 0 }
.found { --back: var(--background-fill-primary); --front: var(--body-text-color);
  --soft: var(--body-text-color-subdued); --line: var(--border-color-primary);
  --card: var(--background-fill-secondary); font-size: 1rem; line-height: 1.45;
  color: var(--front); overflow-wrap: anywhere }
.found * { box-sizing: border-box } .found p { margin: .15rem 0 }
.found ul, .found ol { margin: 0; padding: 0; list-style: none }
.found h2 { font-size: 1.05rem; margin: 0 0 .5rem } .found .facts { color: var(--soft) }
.found .maps { display: inline-flex; gap: .4rem; align-items: center; min-height: 2rem }
.found .refused { border: 2px solid #b3261e; border-radius: .4rem; padding: .5rem .75rem }
.found:has(.maps input:not(:checked)) .map { display: none }
.found .picture img { margin: 0 } .found audio { height: 2.5rem }
.dark .found audio { color-scheme: dark }
.file-preview .download { display: none }
"""
_NARROW = "@media (max-width: 30rem) { .found .cards { grid-template-columns: 1fr 1fr } }"


def style() -> str:
    """The page's style: that of cards elsewhere, for what is found alone."""
    return f"{_STYLE}.found {{ {card_page.CARD_STYLE} }}\n{_NARROW}"


def answer(found: Answer) -> str:
    """What was found, as HTML."""
    facts = "".join(f"<p>{cards.text(fact)}</p>" for fact in found.facts)
    maps = ""
    if any(card.heatmap for group in found.groups for card in group.cards):
        maps = '<label class="maps"><input type="checkbox" checked> heat maps</label>'
    groups = "\n".join(cards.group_html(group, i) for i, group in enumerate(found.groups, 1))
    # Without a script of ours the browser's own controls play the sounds.
    return (
        f'<div class="found"><div class="facts" role="status">{facts}</div>{maps}\n{groups}</div>'
    )


def refusal(reason: str) -> str:
    """One line that says why nothing was found."""
    line = " ".join(cards.clean(reason).split())
    return f'<div class="found"><p class="refused" role="alert">{html.escape(line)}</p></div>'


def heading(title: str, facts: Sequence[str]) -> str:
    """The page's title, and lines below it."""
    lines = "".join(f"<p>{cards.text(fact)}</p>" for fact in facts)
    return (
        f'<div class="found"><h1>{cards.text(title)}</h1><div class="facts">{lines}</div></div>'
    )
