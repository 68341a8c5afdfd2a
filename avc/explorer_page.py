"""The explorer as a local web page, made with Gradio.

What is found comes to the page as text that holds its pictures and sounds, so nothing is
served from the disk, and nothing is asked of any other host. Gradio is imported by `build`.
"""

import asyncio
import contextlib
import logging
import math
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from avc import explorer_html, page_guard, query_kinds
from avc.explorer import Explorer
from crossmodal.errors import UserError

if TYPE_CHECKING:
    import uvicorn

TITLE = "What does it sound like, what does it look like?"
MISSING = "the page needs Gradio, the extra `explore`: pip install 'crossmodal[explore]'"
# Searches at once, and how many may wait for them.
_AT_ONCE, _WAITING = 2, 16
# Uploads are looked after every so many seconds, and removed when so old.
_LOOK_SECONDS, _OLD_SECONDS = 60, 900
_LABELS = {"visual_to_audio": "picture → sounds", "audio_to_visual": "sound → pictures",
           "visual_to_visual": "picture → pictures", "audio_to_audio": "sound → sounds"}


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
        return explorer_html.answer(explorer.explore(path, direction, moment, leave_out))
    except UserError as error:
        return explorer_html.refusal(str(error))
    except Exception:
        # Whoever uses the page cannot mend it; whoever started it sees why.
        logging.exception("a search failed")
        return explorer_html.refusal("this file could not be searched for; the terminal says why")


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


def check_gradio() -> ModuleType:
    """Gradio, which tells nothing to anybody; raises UserError where it is not installed."""
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1",
                   "HF_HUB_DISABLE_TELEMETRY": "1"}
    try:
        import gradio
    except ImportError:
        raise UserError(MISSING) from None
    return gradio


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
    # Read when a page is made; nothing is told to anybody.
    os.environ["GRADIO_TEMP_DIR"] = uploads
    gradio = check_gradio()
    import fastapi

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
        gradio.HTML(explorer_html.heading(TITLE, facts), js_on_load=None)
        with gradio.Row():
            file = gradio.File(
                label=f"Picture, sound or video, at most {most_megabytes:g} MB",
                file_types=kinds, height=180,
            )
            with gradio.Column():
                direction = gradio.Radio(
                    choices, value=explorer.directions[0], label="Search by → for",
                )
                seconds = gradio.Textbox(
                    label="Moment in seconds", placeholder="empty: the mean of all",
                    max_length=20,
                )
                leave_out = gradio.Checkbox(
                    False, label="Leave out the video that is called like the file",
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
        css=explorer_html.style(), allowed_paths=[],
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
    config = uvicorn.Config(
        guard, log_level="warning", timeout_graceful_shutdown=1, server_header=False
    )
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    return uvicorn.Server(config)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether it is more than that open pages are left when the server ends."""
    error = record.exc_info[1] if record.exc_info else None
    left = "timeout graceful shutdown exceeded" in str(record.msg)
    return not left and not isinstance(error, asyncio.CancelledError)


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at an address; raises UserError where there can be none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            # From here on whoever asks waits, though the page may not be ready.
            listener.listen()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"--host={host} --port={port}: cannot be listened at ({reason}): choose another"
                " --port, or 0 for a free one"
            ) from None
        yield listener
    finally:
        listener.close()
