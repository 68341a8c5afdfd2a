"""What a file may be a query by, told by the ending of its name before it is opened."""

import os

from crossmodal.errors import UserError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".au")
VIDEOS = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".ogv",
)
ALL = (*PICTURES, *SOUNDS, *VIDEOS)


def modalities_of(path: str) -> tuple[str, ...]:
    """What a file may be a query by, told by its name."""
    ending = os.path.splitext(path)[1].lower()
    if ending in PICTURES:
        return ("visual",)
    return ("audio",) if ending in SOUNDS else ("visual", "audio")


def is_picture(path: str) -> bool:
    """Whether a file is a picture by its name."""
    return path.lower().endswith(PICTURES)


def check(path: str, modality: str) -> None:
    """Raises UserError for a file that has not what a query needs, told by its name."""
    name, ending = os.path.basename(path), os.path.splitext(path)[1].lower()
    if ending not in ALL:
        raise UserError(
            f"{name}: files called {ending or 'without an ending'} are not taken; pictures are"
            f" {' '.join(PICTURES)}, sounds {' '.join(SOUNDS)}, videos {' '.join(VIDEOS)}"
        )
    if modality not in modalities_of(path):
        has, lacks = ("picture", "sound") if modality == "audio" else ("sound", "picture")
        raise UserError(f"{name}: a {has} has no {lacks}: choose a direction from {has}")
