"""The explorer as a local web page, made with Gradio.

What is found comes to the page as text that holds its pictures and sounds, so nothing is
served from the disk, and nothing is asked of any other host. Gradio is imported by `build`.
"""

import contextlib
import html
import logging
import math
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from avc import page_guard, query_kinds
from avc.explorer import Answer, Explorer
from crossmodal import card_page, cards
from crossmodal.errors import UserError

if TYPE_CHECKING:
    import uvicorn

TITLE = "What does it sound like, what does it look like?"
MISSING = "the page needs Gradio, the extra `explore`: pip install 'crossmodal[explore]'"
# Searches at once, and how many may wait for them.
_AT_ONCE, _WAITING = 2, 16
# Uploads are looked after every so many seconds, and removed when so old.
_LOOK_SECONDS, _OLD_SECONDS = 60, 900
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
.file-preview .download { display: none }
"""
_NARROW = "@media (max-width: 30rem) { .found .cards { grid-template-columns: 1fr 1fr } }"
_LABELS = {"visual_to_audio": "picture → sounds", "audio_to_visual": "sound → pictures",
           "visual_to_visual": "picture → pictures", "audio_to_audio": "sound → sounds"}


def style() -> str:
    """The page's style: that of cards elsewhere, for what is found alone."""
    return f"{_STYLE}.found {{ {card_page.CARD_STYLE} }}\n{_NARROW}"


def answer_html(answer: Answer) -> str:
    """What was found, as HTML."""
    facts = "".join(f"<p>{cards.text(fact)}</p>" for fact in answer.facts)
    maps = ""
    if any(card.heatmap for group in answer.groups for card in group.cards):
        maps = '<label class="maps"><input type="checkbox" checked> heat maps</label>'
    groups = "\n".join(cards.group_html(group, i) for i, group in enumerate(answer.groups, 1))
    # Without a script of ours the browser's own controls play the sounds.
    return (
        f'<div class="found"><div class="facts" role="status">{facts}</div>{maps}\n{groups}</div>'
    )


def refusal_html(reason: str) -> str:
    """One line that says why nothing was found."""
    line = " ".join(cards.clean(reason).split())
    return f'<div class="found"><p class="refused" role="alert">{html.escape(line)}</p></div>'


def search(
    explorer: Explorer,
    uploads: str,
    path: str | None,
    direction: str,
    seconds: str,
    leave_out: bool,
) -> str:
    """The answer to one request, or one line of refusal, as HTML.

    Args:
      explorer: what searches.
      uploads: the folder of uploaded files; no other is read.
      path: the uploaded file.
      direction, leave_out: see `Explorer.explore`.
      seconds: the same, as it was typed; empty for None.
    """
    try:
        if not path:
            raise UserError("drop a file first")
        inside = os.path.realpath(path).startswith(f"{os.path.realpath(uploads)}{os.sep}")
        if not inside or not os.path.isfile(path):
            raise UserError(f"{os.path.basename(path)}: is no longer there: drop it again")
        if not os.path.getsize(path):
            raise UserError(f"{os.path.basename(path)}: empty file")
        moment = seconds_of(seconds)
        return answer_html(explorer.explore(path, direction, moment, leave_out))
    except UserError as error:
        return refusal_html(str(error))
    except Exception:
        # Whoever uses the page cannot mend it; whoever started it sees why.
        logging.exception("a search failed")
        return refusal_html("this file could not be searched for; the terminal says why")


def seconds_of(typed: str) -> float | None:
    """A time in seconds as somebody types it; raises UserError for what is none."""
    if not (typed or "").strip():
        return None
    try:
        found = float(typed.strip().replace(",", "."))
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise UserError(f"moment {typed.strip()}: type seconds, such as 2.5, or leave it empty")
    return found


def build(explorer: Explorer, facts: list[str], uploads: str, most_megabytes: float) -> Callable:
    """The page as an ASGI application.

    Args:
      explorer: what searches.
      facts: lines about the network and the database.
      uploads: an empty folder for uploaded files.
      most_megabytes: of an upload.

    Raises:
      UserError: Gradio is not installed.
    """
    # Read when Gradio is imported or a page is made; nothing is told to anybody.
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": uploads,
                   "HF_HUB_OFFLINE": "1"}
    try:
        import fastapi
        import gradio
    except ImportError:
        raise UserError(MISSING) from None
    # Fonts of the machine: others would be asked for elsewhere.
    theme = gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    choices = [(_LABELS[name], name) for name in explorer.directions]
    kinds = [*query_kinds.ALL]

    def suit(path: str | None, direction: str) -> str:
        return explorer.suited(path, direction) if path else direction

    def find(path, direction, seconds, leave_out):
        return search(explorer, uploads, path, direction, seconds, leave_out)

    with gradio.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(_LOOK_SECONDS, _OLD_SECONDS)
    ) as page:
        lines = "".join(f"<p>{cards.text(fact)}</p>" for fact in facts)
        gradio.HTML(f'<div class="found"><h1>{TITLE}</h1><div class="facts">{lines}</div></div>',
                    js_on_load=None)
        with gradio.Row():
            file = gradio.File(
                label=f"Picture, sound or video, at most {most_megabytes:g} MB",
                file_types=kinds, height=180,
            )
            with gradio.Column():
                direction = gradio.Radio(
                    choices, value=explorer.directions[0], label="Search by → for",
                )
                with gradio.Row():
                    seconds = gradio.Textbox(
                        label="Moment in seconds", placeholder="empty: the mean of all",
                        max_length=20, min_width=220,
                    )
                    leave_out = gradio.Checkbox(
                        False, label="Leave out the video that is called like the file",
                        min_width=220,
                    )
                button = gradio.Button("Search", variant="primary")
        found = gradio.HTML(js_on_load=None, elem_id="found", min_height=80)
        asked = [file, direction, seconds, leave_out]
        shared = {"api_visibility": "private", "show_progress": "minimal"}
        file.upload(suit, [file, direction], direction, **shared).then(
            find, asked, found, **shared
        )
        direction.input(find, asked, found, **shared)
        seconds.submit(find, asked, found, **shared)
        button.click(find, asked, found, api_name="search", show_progress="minimal")
        file.clear(lambda: "", None, found, **shared)
    page.queue(max_size=_WAITING, default_concurrency_limit=_AT_ONCE, api_open=False)
    return gradio.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None), page, path="", footer_links=[], run_history=False,
        show_error=False, max_file_size=round(most_megabytes * page_guard.MEGABYTE),
        ssr_mode=False, pwa=False, enable_monitoring=False, mcp_server=False, theme=theme,
        css=style(), allowed_paths=[],
    )


@contextlib.contextmanager
def upload_folder() -> Iterator[str]:
    """A folder for uploads, which is gone afterwards."""
    folder = tempfile.mkdtemp(prefix="explorer-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def serve(
    explorer: Explorer,
    facts: list[str],
    host: str,
    port: int,
    most_megabytes: float,
    tell: Callable[[str], None],
) -> None:
    """Serves the page until it is interrupted.

    Args:
      explorer: what searches.
      facts: lines about the network and the database.
      host: address of this machine to listen at.
      port: the same; 0 for a free one.
      most_megabytes: of an upload.
      tell: called with the page's address once it listens.

    Raises:
      UserError: the address cannot be listened at, or Gradio is not installed.
    """
    with upload_folder() as uploads, listening(host, port) as listener:
        local = host in page_guard.LOOPBACK
        server = make_server(explorer, facts, uploads, most_megabytes, local)
        shown = f"[{host}]" if ":" in host else host
        tell(f"http://{shown}:{listener.getsockname()[1]}/")
        server.run(sockets=[listener])


def make_server(
    explorer: Explorer, facts: list[str], uploads: str, most_megabytes: float, local: bool
) -> "uvicorn.Server":
    """A server of the page, and of nothing that the page does not need.

    Args:
      explorer, facts, uploads, most_megabytes: see `build`.
      local: whether the page is called by names of this machine alone, so that no other
        host's name can be led to it.
    """
    page = build(explorer, facts, uploads, most_megabytes)
    import uvicorn

    hosts = page_guard.LOOPBACK if local else None
    guard = page_guard.Guard(page, uploads, most_megabytes, hosts)
    return uvicorn.Server(uvicorn.Config(
        guard, log_level="warning", timeout_graceful_shutdown=1, server_header=False
    ))


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at an address; raises UserError where there can be none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"--host={host} --port={port}: cannot be listened at ({reason}): choose another"
                " --port, or 0 for a free one"
            ) from None
        yield listener
    finally:
        listener.close()
