"""TensorFlow Serving's REST API, asked with nothing but the standard library.

`GET /v1/models/MODEL/metadata` says which signatures a model has, and
`POST /v1/models/MODEL:predict` runs one, its inputs by name in columns.
"""

import base64
import dataclasses
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import numpy as np

from crossmodal.errors import UserError

# Type and sizes of each input, or the names of outputs, by name; -1 is any size.
Inputs = Mapping[str, tuple[str, tuple[int, ...]]]


@dataclasses.dataclass(frozen=True)
class Served:
    """A signature of a model on a server.

    Attributes:
      inputs: by name, the type as the server names it (`DT_UINT8`) and the sizes.
      outputs: names.
    """

    inputs: Inputs
    outputs: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Server:
    """A model server.

    Attributes:
      address: of the REST port, `http://127.0.0.1:8501`.
      model: its name there.
      version: a number, or empty for the latest.
      timeout_seconds: how long an answer may take.
    """

    address: str
    model: str
    version: str = ""
    timeout_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Raises UserError unless the address is one of HTTP, and the version a number."""
        parts = urllib.parse.urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UserError(f"--server={self.address}: write it as http://127.0.0.1:8501")
        if self.version and not self.version.isdecimal():
            raise UserError(f"--version={self.version}: must be a whole number")

    @property
    def url(self) -> str:
        """Of the model."""
        name = urllib.parse.quote(self.model, safe="")
        version = f"/versions/{self.version}" if self.version else ""
        return f"{self.address.rstrip('/')}/v1/models/{name}{version}"

    def signatures(self) -> dict[str, Served]:
        """What the model has, by name.

        Raises:
          UserError: the server is not there, or has no such model.
        """
        answer = self._ask("/metadata", None)
        try:
            found = answer["metadata"]["signature_def"]["signature_def"]
            return {
                name: Served(
                    {key: _described(value) for key, value in each["inputs"].items()},
                    tuple(each["outputs"]),
                )
                for name, each in found.items()
                if not name.startswith("__")
            }
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UserError(f"{self.url}/metadata: names no signatures") from error

    def predict(self, signature: str, inputs: Mapping[str, Any]) -> Any:
        """Runs a signature.

        Args:
          signature: its name.
          inputs: arrays [batch, ...], or bytes [batch], by name.

        Returns:
          The outputs by name as nested lists, or the only one without its name.

        Raises:
          UserError: the server is not there or refuses the request; with what it says.
        """
        columns = {name: _column(values) for name, values in inputs.items()}
        answer = self._ask(":predict", {"signature_name": signature, "inputs": columns})
        if "outputs" not in answer:
            raise UserError(f"{self.url}:predict: answers without outputs")
        return answer["outputs"]

    def _ask(self, what: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + what, data, kind)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_seconds) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            raise UserError(f"{self.url}{what}: {error.code}, {_reason(error)}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise UserError(
                f"--server={self.address}: no answer ({reason}); start TensorFlow Serving as"
                " docs/serving.md says, or name its REST port"
            ) from error
        except ValueError as error:
            raise UserError(
                f"{self.url}{what}: answers no JSON: is that TensorFlow Serving's REST port?"
            ) from error
        if not isinstance(found, dict):
            raise UserError(f"{self.url}{what}: answers no JSON object")
        return found


def _described(value: Mapping[str, Any]) -> tuple[str, tuple[int, ...]]:
    sizes = value.get("tensor_shape", {}).get("dim", [])
    return value["dtype"], tuple(int(each["size"]) for each in sizes)


def _reason(error: urllib.error.HTTPError) -> str:
    """What the server says of an error: its `error`, or else the status."""
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return str(error.reason)


def _column(values: Any) -> Any:
    if isinstance(values, np.ndarray) and values.dtype.kind not in "SO":
        return values.tolist()
    return [{"b64": base64.b64encode(value).decode()} for value in values]
