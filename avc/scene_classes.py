"""The classes of sounding scenes: which sound and picture go by which AudioSet label.

A class has a name (of a folder, or of a sprite that this package draws) and a label, an
id of the AudioSet ontology, which is what records hold. A table of one's own is a CSV
file with the columns `name,label,display_name` and perhaps `character`, the class's
picture in an emoji font:

    name,label,display_name,character
    001-Dogbark,/m/05tny_,Bark,🐶
"""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence

from crossmodal import files
from crossmodal.errors import UserError

COLUMNS = ("name", "label", "display_name")


@dataclasses.dataclass(frozen=True)
class SceneClass:
    """One class of things that sound.

    Attributes:
      name: of its folder or sprite.
      label: id in the AudioSet ontology; what records hold.
      display_name: of that id in the ontology.
      character: its picture in an emoji font; empty for none.
    """

    name: str
    label: str
    display_name: str
    character: str = ""


OWN = (
    SceneClass("bell", "/m/0395lw", "Bell", "🔔"),
    SceneClass("bird", "/m/020bb7", "Bird vocalization, bird call, bird song", "🐦"),
    SceneClass("clock", "/m/07qjznl", "Tick-tock", "⏰"),
    SceneClass("dog", "/m/05tny_", "Bark", "🐶"),
    SceneClass("drum", "/m/026t6", "Drum", "🥁"),
    SceneClass("engine", "/m/02mk9", "Engine", "⚙"),
    SceneClass("guitar", "/m/042v_gx", "Acoustic guitar", "🎸"),
    SceneClass("rain", "/m/06mb1", "Rain", "🌧"),
    SceneClass("siren", "/m/03kmc9", "Siren", "🚨"),
    SceneClass("whistle", "/m/0l156k", "Whistle", "📯"),
)
# The folders of ESC-10 (Piczak 2015).
ESC10 = (
    SceneClass("001-Dogbark", "/m/05tny_", "Bark", "🐶"),
    SceneClass("002-Rain", "/m/06mb1", "Rain", "🌧"),
    SceneClass("003-Seawaves", "/m/034srq", "Waves, surf", "🌊"),
    SceneClass("004-Babycry", "/t/dd00002", "Baby cry, infant cry", "👶"),
    SceneClass("005-Clocktick", "/m/07qjznl", "Tick-tock", "⏰"),
    SceneClass("006-Personsneeze", "/m/01hsr_", "Sneeze", "🤧"),
    SceneClass("007-Helicopter", "/m/09ct_", "Helicopter", "🚁"),
    SceneClass("008-Chainsaw", "/m/01j4z9", "Chainsaw", "🪚"),
    SceneClass("009-Rooster", "/m/07qn5dc", "Crowing, cock-a-doodle-doo", "🐓"),
    SceneClass("010-Firecrackling", "/m/07pzfmf", "Crackle", "🔥"),
)


def read_classes(path: str) -> tuple[SceneClass, ...]:
    """Reads a table of classes.

    Raises:
      UserError: the file cannot be read, lacks a column, or names a class twice.
    """
    reader = csv.DictReader(io.StringIO(files.read_text(path)))
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise UserError(f"{path}: has no column {missing[0]}: the columns are {','.join(COLUMNS)}")
    classes: dict[str, SceneClass] = {}
    for row in reader:
        name, label = (row["name"] or "").strip(), (row["label"] or "").strip()
        if not name or not label:
            raise UserError(f"{path}: line {reader.line_num} lacks a name or a label")
        if name in classes:
            raise UserError(f"{path}: line {reader.line_num} names {name} a second time")
        shown = (row["display_name"] or "").strip() or name
        classes[name] = SceneClass(name, label, shown, (row.get("character") or "").strip())
    return tuple(classes.values())


def select_classes(
    table: Sequence[SceneClass], names: Sequence[str], source: str
) -> tuple[SceneClass, ...]:
    """The classes of the given names, in their order.

    Args:
      table: all that are known.
      names: those that are wanted.
      source: what named them, for the error.

    Raises:
      UserError: a name is unknown, or two of the classes share a label.
    """
    known: Mapping[str, SceneClass] = {entry.name: entry for entry in table}
    for name in names:
        if name not in known:
            raise UserError(f"{source}: class {name} is in no table: give its label by --classes")
    chosen = tuple(known[name] for name in names)
    owner: dict[str, str] = {}
    for entry in chosen:
        other = owner.setdefault(entry.label, entry.name)
        if other != entry.name:
            raise UserError(f"{source}: {other} and {entry.name} share the label {entry.label}")
    return chosen
