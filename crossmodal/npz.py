"""An .npz file written row by row, so that memory does not grow with the rows."""

import os
import tempfile
import zipfile
from types import TracebackType

import numpy as np
import tensorflow as tf

from crossmodal import files


class Writer:
    """Appends rows to named arrays; the file appears only when complete.

    A context manager. Rows go to a temporary file for each array first, since an array's
    header in an .npz file tells its length. Byte strings are stored with the width of
    the longest.
    """

    def __init__(self, path: str):
        """`path`: the .npz file, on any file system of tf.io.gfile."""
        self.path = path
        self.folder = tempfile.TemporaryDirectory()
        self.rows: dict[str, int] = {}
        self.shapes: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
        self.strings: dict[str, list[np.ndarray]] = {}

    def __enter__(self) -> "Writer":
        """Returns itself."""
        return self

    def append(self, **arrays: np.ndarray) -> None:
        """Adds rows: arrays `[n, ...]` whose further dimensions never change."""
        for name, array in arrays.items():
            if array.dtype.kind in "OS":
                self.strings.setdefault(name, []).append(array.astype("S"))
                continue
            form = (array.dtype, array.shape[1:])
            if self.shapes.setdefault(name, form) != form:
                raise ValueError(f"array {name} changed from {self.shapes[name]} to {form}")
            self.rows[name] = self.rows.get(name, 0) + len(array)
            with open(os.path.join(self.folder.name, name), "ab") as file:
                file.write(np.ascontiguousarray(array).tobytes())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Writes the .npz file, unless an error ended the block."""
        with self.folder:
            if kind is None:
                # A remote file cannot be sought in, as writing an archive needs.
                local = os.path.join(self.folder.name, "archive.npz")
                with zipfile.ZipFile(local, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                    self._write(archive)
                with files.whole_file(self.path) as temporary:
                    tf.io.gfile.copy(local, temporary)

    def _write(self, archive: zipfile.ZipFile) -> None:
        for name, parts in self.strings.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.concatenate(parts))
        for name, (dtype, shape) in self.shapes.items():
            header = {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": (self.rows[name], *shape),
            }
            with (
                archive.open(f"{name}.npy", "w", force_zip64=True) as entry,
                open(os.path.join(self.folder.name, name), "rb") as file,
            ):
                np.lib.format.write_array_header_2_0(entry, header)
                while chunk := file.read(1 << 24):
                    entry.write(chunk)
