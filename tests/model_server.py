"""A stand-in for TensorFlow Serving: SavedModels over its REST API and, if there, gRPC.

Run as `python model_server.py NAME=FOLDER ...`; imports TensorFlow, none of this project. Prints
the ports of REST and gRPC (0 without tensorflow_serving) once it answers, and ends with its
standard input. It feeds what it is sent as a server does: arrays of any shape.
"""

import base64
import concurrent.futures
import http.server
import json
import os
import sys
import threading

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import config_pb2

try:
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
except ImportError:
    grpc = None


class Model:
    """A SavedModel in a session: no check of Python's lies between a client and the graph."""

    def __init__(self, folder: str):
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self.session, ["serve"], folder)
        self.signatures = dict(loaded.signature_def)
        self.calls, self.lock = {}, threading.Lock()

    def call(self, name: str, given: dict) -> dict[str, np.ndarray]:
        signature = self.signatures[name]
        if set(given) != set(signature.inputs):
            raise ValueError(f"inputs must be {sorted(signature.inputs)}, not {sorted(given)}")
        with self.lock:
            if name not in self.calls:
                options = config_pb2.CallableOptions()
                options.feed.extend(value.name for value in signature.inputs.values())
                options.fetch.extend(value.name for value in signature.outputs.values())
                self.calls[name] = self.session._make_callable_from_options(options)
            found = self.calls[name](*(given[key] for key in signature.inputs))
        return dict(zip(signature.outputs, found, strict=True))

    def array(self, signature: str, name: str, value) -> np.ndarray:
        """JSON as an array of the input's type, as Serving reads it."""
        if name not in self.signatures[signature].inputs:
            raise ValueError(f"{name} is no input")
        kind = tf.as_dtype(self.signatures[signature].inputs[name].dtype)
        if kind == tf.string:
            return np.array([base64.b64decode(each["b64"]) for each in value], object)
        array = np.array(value)
        if kind.is_integer and array.size and array.dtype.kind not in "iu":
            raise ValueError(f"{name} must be whole numbers")
        return array.astype(kind.as_numpy_dtype)


def message(error: Exception) -> str:
    """What a client is told."""
    return getattr(error, "message", None) or str(error)


class Handler(http.server.BaseHTTPRequestHandler):
    models: dict[str, Model]

    def log_message(self, *_):
        pass

    def answer(self, status: int, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def model(self) -> tuple[Model | None, str]:
        name = self.path.removeprefix("/v1/models/").removesuffix("/metadata")
        name = name.removesuffix(":predict").removesuffix("/versions/1")
        if name not in self.models:
            self.answer(404, {"error": f"Servable not found for request: Latest({name})"})
        return self.models.get(name), name

    def do_GET(self):
        model, name = self.model()
        if model is None:
            return
        described = {
            key: json_format.MessageToDict(
                value, preserving_proto_field_name=True, including_default_value_fields=True
            )
            for key, value in model.signatures.items()
        }
        metadata = {"signature_def": {"signature_def": described}}
        self.answer(200, {"model_spec": {"name": name}, "metadata": metadata})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        model, _ = self.model()
        if model is None:
            return
        try:
            request = json.loads(body)
            name = request.get("signature_name", "serving_default")
            if name not in model.signatures:
                raise ValueError(f"Serving signature name: \"{name}\" not found in signature def")
            inputs = {k: model.array(name, k, v) for k, v in request["inputs"].items()}
            found = {k: v.tolist() for k, v in model.call(name, inputs).items()}
        except (ValueError, KeyError, TypeError, tf.errors.OpError) as error:
            self.answer(400, {"error": message(error)})
        else:
            only = next(iter(found.values())) if len(found) == 1 else found
            self.answer(200, {"outputs": only})


def serve_grpc(models: dict[str, Model]) -> int:
    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            spec = request.model_spec
            inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
            try:
                found = models[spec.name].call(spec.signature_name or "serving_default", inputs)
            except (ValueError, KeyError, tf.errors.OpError) as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, message(error))
            answer = predict_pb2.PredictResponse()
            for name, value in found.items():
                answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return answer

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    serve_grpc.server = server  # it stops with its last reference
    return port


def main() -> None:
    folders = dict(argument.split("=", 1) for argument in sys.argv[1:])
    Handler.models = {name: Model(folder) for name, folder in folders.items()}
    rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    port = serve_grpc(Handler.models) if grpc else 0
    ours = {"avc", "crossmodal", "yt8m_embed", "launch"} & set(sys.modules)
    assert not ours, ours
    print(rest.server_port, port, flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
