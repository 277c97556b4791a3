"""The common part of both provider stand-ins: the protocol, the log of calls, and errors in the engine's format."""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from lab.standins.differences import differences, respond
from lab.standins.serving import serve
from lab.standins.values import from_struct, reveal, to_struct

LOG_VARIABLE = "LAB_PROVIDER_LOG"
"""Environment variable: the file to which each call is appended as one line of JSON."""


class RefusedError(Exception):
    """The provider refuses a request; the user reads the message."""


class NotCoveredError(RefusedError):
    """The stand-in refuses because it does not implement what the real provider would do."""


class PartialFailureError(Exception):
    """The object exists but is not ready. The engine keeps it in the state, and the next `up` tries again."""

    def __init__(self, identifier: str, properties: Mapping[str, Any], reasons: Sequence[str], inputs: Any = None) -> None:
        super().__init__(reasons[0])
        self.identifier, self.properties, self.reasons, self.inputs = identifier, properties, reasons, inputs


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call for the log. `place` is the AWS region or the context of the kubeconfig."""

    provider: str
    method: str
    type: str
    urn: str
    place: str
    preview: bool


def type_of(urn: str) -> str:
    """The type token of a resource: `urn:pulumi:stack::project::parent$type::name`."""
    return urn.split("::")[2].rpartition("$")[2]


def name_of(urn: str) -> str:
    return urn.split("::", 3)[3]


class CallLog:
    """Appends calls to the file that LAB_PROVIDER_LOG names. Does nothing if the variable is not set."""

    _lock = threading.Lock()

    def append(self, call: Call) -> None:
        file = os.environ.get(LOG_VARIABLE)
        if not file:
            return
        place = {"region" if call.provider == "aws" else "context": call.place}
        entry = {
            "time": datetime.now(UTC).isoformat(),
            "provider": call.provider,
            "type": call.type,
            "method": call.method,
            "urn": call.urn,
            **place,
            "preview": call.preview,
        }
        with self._lock, Path(file).open("a") as log:
            log.write(json.dumps(entry) + "\n")


class Engine:
    """The engine's log, for messages that the CLI shows with a resource."""

    def __init__(self, address: str) -> None:
        self._address = address

    def say(self, severity: Literal["INFO", "WARNING"], message: str, urn: str) -> None:
        with grpc.insecure_channel(self._address) as channel:
            level = engine_pb2.LogSeverity.Value(severity)
            engine_pb2_grpc.EngineStub(channel).Log(engine_pb2.LogRequest(severity=level, message=message, urn=urn), timeout=5)


def _fail(context: Any, message: str, detail: Any = None) -> None:
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message)
    if detail is not None:
        status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.set_code(grpc.StatusCode.UNKNOWN)
    context.set_details(message)


def _answered(method: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Log each call, and turn exceptions into gRPC errors that the engine understands."""

    @functools.wraps(method)
    def call(self: StandIn, request: Any, context: Any) -> Any:
        urn = getattr(request, "urn", "")
        self.log.append(
            Call(
                provider=self.name,
                method=method.__name__,
                type=type_of(urn) if urn.count("::") >= 3 else getattr(request, "tok", ""),
                urn=urn,
                place=self.place,
                preview=getattr(request, "preview", False),
            )
        )
        try:
            return method(self, request, context)
        except PartialFailureError as failure:
            detail = provider_pb2.ErrorResourceInitFailed(
                id=failure.identifier,
                properties=to_struct(failure.properties),
                reasons=failure.reasons,
                inputs=None if failure.inputs is None else to_struct(failure.inputs),
            )
            _fail(context, failure.reasons[0], detail)
        except RefusedError as error:
            _fail(context, str(error))
        except Exception as error:  # noqa: BLE001 - a bug in the stand-in: show where it is
            _fail(context, f"the {self.name} stand-in failed: {error!r}\n{traceback.format_exc()}")
        return None

    return call


class StandIn(provider_pb2_grpc.ResourceProviderServicer, ABC):
    """A provider. This class implements the protocol; subclasses implement the resources."""

    name: str
    version: str
    place: str = ""

    def __init__(self, engine: Engine, log: CallLog) -> None:
        self.engine, self.log = engine, log

    # What subclasses define. Values are plain data with secrets in their envelopes (see `values`).

    @abstractmethod
    def configure(self, settings: dict[str, Any]) -> None:
        """Take over the provider's configuration."""

    @abstractmethod
    def replaces_provider(self, old: dict[str, Any], new: dict[str, Any]) -> bool:
        """Whether a changed configuration means that the provider's resources have to be replaced."""

    @abstractmethod
    def check(self, urn: str, old: dict[str, Any], new: dict[str, Any], seed: bytes) -> dict[str, Any]:
        """The complete inputs, for example with a generated name. Raises RefusedError for inputs that are not covered."""

    @abstractmethod
    def diff(self, request: Any) -> Any:
        """What an update would change, as the engine's DiffResponse."""

    @abstractmethod
    def create(self, urn: str, inputs: dict[str, Any], *, timeout: float, preview: bool) -> tuple[str, dict[str, Any]]:
        """Create the resource, and return its id and state. Raises PartialFailureError if it exists but is not ready."""

    @abstractmethod
    def read(
        self, urn: str, identifier: str, state: dict[str, Any], inputs: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The current state and inputs of the resource; None if it is gone."""

    @abstractmethod
    def update(
        self, urn: str, identifier: str, state: dict[str, Any], inputs: dict[str, Any], *, timeout: float, preview: bool
    ) -> dict[str, Any]:
        """Change the resource, and return its new state."""

    @abstractmethod
    def delete(self, urn: str, identifier: str, state: dict[str, Any], *, timeout: float) -> None:
        """Delete the resource, and wait until it is gone."""

    # The protocol.

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        return plugin_pb2.PluginInfo(version=self.version)

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": self.name, "version": self.version}))

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        old, new = reveal(from_struct(request.old_inputs)), reveal(from_struct(request.news))
        replaces = self.replaces_provider(old, new)
        return respond(list(differences(old, new)), lambda _: replaces)

    @_answered
    def Configure(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        self.configure(reveal(from_struct(request.args)))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    @_answered
    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        raise NotCoveredError(f"the {self.name} stand-in covers no look-ups, and {request.tok} is one")

    @_answered
    def Construct(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        raise NotCoveredError(f"the {self.name} stand-in covers no components of a provider, and {request.type} is one")

    @_answered
    def Check(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        old, new = from_struct(request.olds), from_struct(request.news)
        return provider_pb2.CheckResponse(inputs=to_struct(self.check(request.urn, old, new, request.randomSeed)))

    @_answered
    def Diff(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        return self.diff(request)

    @_answered
    def Create(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        identifier, state = self.create(
            request.urn, from_struct(request.properties), timeout=request.timeout, preview=request.preview
        )
        return provider_pb2.CreateResponse(id="" if request.preview else identifier, properties=to_struct(state))

    @_answered
    def Read(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        found = self.read(request.urn, request.id, from_struct(request.properties), from_struct(request.inputs))
        if found is None:
            return provider_pb2.ReadResponse()
        state, inputs = found
        return provider_pb2.ReadResponse(id=request.id, properties=to_struct(state), inputs=to_struct(inputs))

    @_answered
    def Update(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        state = self.update(
            request.urn,
            request.id,
            from_struct(request.olds),
            from_struct(request.news),
            timeout=request.timeout,
            preview=request.preview,
        )
        return provider_pb2.UpdateResponse(properties=to_struct(state))

    @_answered
    def Delete(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        self.delete(request.urn, request.id, from_struct(request.properties), timeout=request.timeout)
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        return empty_pb2.Empty()


def serve_provider(kind: type[StandIn]) -> None:
    """Serve one provider; the engine passes its own address as the last argument."""
    provider = kind(Engine(sys.argv[-1]), CallLog())
    serve(lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server))
