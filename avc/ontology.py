"""AudioSet's ontology of sounds: names and ids, what is a kind of what, and how far apart.

Filtering by it and measuring retrieval follow Objects that Sound (Arandjelovic and
Zisserman, 2018), sections 2 and 3.1 and appendix A. The file is `ontology.json` of the
AudioSet ontology: entries with `id`, `name` and `child_ids`.
"""

import collections
import json
from collections.abc import Iterable, Sequence

from crossmodal import files
from crossmodal.errors import UserError

INSTRUMENT_ROOTS = ("Musical instrument", "Singing", "Tools")
"""AudioSet-Instruments: these and their descendants are its 110 classes."""


class Ontology:
    """The classes and their tree; a few classes have several parents.

    Attributes:
      names: name of each class by its id, in the file's order.
      children: ids of the children of each class by its id.
    """

    def __init__(self, names: dict[str, str], children: dict[str, tuple[str, ...]]) -> None:
        """See the attributes; every child must be a class."""
        self.names = names
        self.children = children
        self._ids = {name: identifier for identifier, name in names.items()}
        self._neighbours = collections.defaultdict(list)
        for parent, below in children.items():
            for child in below:
                self._neighbours[parent].append(child)
                self._neighbours[child].append(parent)

    def find(self, label: str) -> str | None:
        """The id of a class given by its id or its exact name; None if there is none."""
        return label if label in self.names else self._ids.get(label)

    def name_of(self, label: str) -> str:
        """The name of a class given by its id; anything else stays as it is."""
        return self.names.get(label, label)

    def descendants(self, roots: Iterable[str]) -> set[str]:
        """Ids of some classes, given by name or id, and of all that are below them.

        Raises:
          UserError: there is no such class.
        """
        found: set[str] = set()
        waiting = []
        for root in roots:
            identifier = self.find(root)
            if identifier is None:
                raise UserError(f"{root!r} is neither the name nor the id of a class")
            waiting.append(identifier)
        while waiting:
            identifier = waiting.pop()
            if identifier not in found:
                found.add(identifier)
                waiting += self.children[identifier]
        return found

    def distances(self, label: str) -> dict[str, int]:
        """Edges on the shortest path, up or down, from a class to each that it reaches.

        Args:
          label: the name or id of the class.

        Returns:
          Numbers of edges by id; 0 for the class itself.

        Raises:
          UserError: there is no such class.
        """
        identifier = self.find(label)
        if identifier is None:
            raise UserError(f"{label!r} is neither the name nor the id of a class")
        reached = {identifier: 0}
        waiting = collections.deque([identifier])
        while waiting:
            here = waiting.popleft()
            for other in self._neighbours[here]:
                if other not in reached:
                    reached[other] = reached[here] + 1
                    waiting.append(other)
        return reached

    def parse_roots(self, text: str) -> list[str]:
        """Splits names or ids separated by commas; names of classes hold commas too.

        Raises:
          UserError: a part is no class, alone or with the parts after it.
        """
        parts = [part.strip() for part in text.split(",")]
        roots: list[str] = []
        while parts:
            for length in range(len(parts), 0, -1):
                root = ", ".join(parts[:length])
                if self.find(root) is not None:
                    roots.append(root)
                    parts = parts[length:]
                    break
            else:
                raise UserError(f"{parts[0]!r} is neither the name nor the id of a class")
        return roots


def read(path: str) -> Ontology:
    """Reads an `ontology.json`.

    Raises:
      UserError: the file cannot be read or is something else.
    """
    text = files.read_text(path)
    try:
        entries: Sequence[dict] = json.loads(text)
        if not isinstance(entries, list):
            raise TypeError("not a list")
        names = {str(entry["id"]): str(entry["name"]) for entry in entries}
        children = {str(entry["id"]): tuple(entry["child_ids"]) for entry in entries}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: is not an ontology: a JSON list of entries with id, name and child_ids"
        ) from error
    for identifier, below in children.items():
        lost = [child for child in below if child not in names]
        if lost:
            raise UserError(f"{path}: {lost[0]!r}, a child of {identifier!r}, is not an entry")
    return Ontology(names, children)
