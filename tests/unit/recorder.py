"""The program run to its end against a recording monitor: every registration as the engine would see it."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import json_format, struct_pb2
from pulumi.runtime import _callbacks, mocks, settings
from pulumi.runtime import resource as registrations
from pulumi.runtime.proto import resource_pb2, source_pb2

from components.kube.pods import runner_code_name, runner_modules
from components.kube.runner.flag import Flag
from components.region import Region, RegionArgs
from settings import load
from settings.load import SECRETS, tries_in_previews
from settings.roles import Role
from tests.examples import PROJECT, example
from tests.unit.fakes import FakeArchive, FakeCluster, FakeFiles, FakeRecords

_SECRET = "4dabf18193072939515e22adb298388d"  # how Pulumi marks a secret on the wire
Hook = Any

COMBINATIONS: list[tuple[Role, Role]] = [
    ("primary", "primary"),
    ("primary", "secondary"),
    ("secondary", "primary"),
    ("secondary", "secondary"),
]
"""Stack, and the region that serves."""


def deployed(serving: Role) -> dict[str, Any]:
    """`active` as it ordinarily is: while the primary serves nobody has set it, for that is how both regions are deployed."""
    return {} if serving == "primary" else {"active": serving}


def is_secret(value: Any) -> bool:
    return isinstance(value, dict) and _SECRET in value


def revealed(value: Any) -> Any:
    """The value of a secret input, and of any other as it is."""
    return value["value"] if is_secret(value) else value


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One registered resource. `provider` is the name of its explicit provider, empty for a default one; `hooks` maps the
    moment, as in `before_create`, to the names of its hooks; `timeout` and `update_timeout` are how long its creation and its
    update may take; `ignored` are inputs whose change the engine ignores, `replaced_by` those whose change replaces it; `source`
    is where the program makes it, a file's URI and a line; `known_as` holds how states may know it, by its own URN or an alias:
    `<parent's type>$<type>::<name>`."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    depends_on: frozenset[str]
    protect: bool
    retain_on_delete: bool
    provider: str
    custom: bool
    hooks: dict[str, list[str]]
    replacement_trigger: Any
    ignore_changes: tuple[str, ...]
    timeout: str
    update_timeout: str
    replaced_by: tuple[str, ...]
    source: tuple[str, int]
    known_as: frozenset[str]

    @property
    def identity(self) -> str:
        """`<parent's type>$<type>::<name>`: what the engine knows it by, its stack and project apart."""
        return _identity(self.parent, self.type, self.name)

    @property
    def kind(self) -> str:
        """The last part of the type: `Job`, `Bucket`."""
        return self.type.rsplit(":", 1)[-1]

    @property
    def metadata(self) -> dict[str, Any]:
        return dict(self.inputs["metadata"])

    @property
    def spec(self) -> dict[str, Any]:
        return dict(self.inputs["spec"])


class Answers(mocks.Mocks):
    """Ids and the outputs that only a provider could know: timestamps, statuses, ARNs."""

    def __init__(
        self,
        restore_status: dict[str, Any] | None = None,
        *,
        database_phase: str = "Cluster in healthy state",
        backup_status: dict[str, Any] | None = None,
    ) -> None:
        self.database_phase = database_phase
        self.backup_status = backup_status or {"phase": "Completed"}
        self.restore_status = restore_status or {
            "phase": "Completed",
            "startTimestamp": "2026-01-01T03:00:00Z",
            "completionTimestamp": "2026-01-01T03:00:08Z",
        }

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        outputs = dict(args.inputs)
        if args.typ.startswith("kubernetes:"):
            metadata = {"name": f"{args.name}-1a2b3c4d", **dict(outputs.get("metadata") or {})}
            outputs["metadata"] = {**metadata, "creationTimestamp": "2026-01-01T03:00:40Z"}
        if args.typ == "kubernetes:velero.io/v1:Restore":
            outputs["status"] = self.restore_status
        if args.typ == "kubernetes:velero.io/v1:Backup":
            outputs["status"] = self.backup_status
        if args.typ == "kubernetes:batch/v1:Job":
            outputs["status"] = {"startTime": "2026-01-01T03:00:10Z", "completionTime": "2026-01-01T03:00:25Z", "succeeded": 1}
        if args.typ == "kubernetes:postgresql.cnpg.io/v1:Cluster":
            outputs["status"] = {"phase": self.database_phase, "phaseReason": "the reason of the operator"}
        if args.typ.startswith("aws:"):
            outputs["arn"] = f"arn:aws:mock::{args.name}"
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(f"a look-up in the program: {args.token}")


class HookRefusedError(Exception):
    """A hook raised: the engine fails the resource, and everything that waits for it."""


def _where_it_is_made() -> source_pb2.StackTrace:
    """The one frame of a registration's stack that `Seen.source` needs: the innermost that is not of a package, above the three
    constructors of a resource. The SDK sends the whole stack, which takes a sixth of a run."""
    frame, constructors = sys._getframe(1), 0
    while frame.f_back is not None and (constructors < 3 or "/site-packages/" in frame.f_code.co_filename):
        constructors += frame.f_code.co_name == "__init__"
        frame = frame.f_back
    position = source_pb2.SourcePosition(uri=f"file://{frame.f_code.co_filename}", line=frame.f_lineno)
    return source_pb2.StackTrace(frames=[source_pb2.StackFrame(pc=position)])


registrations._get_stack_trace = _where_it_is_made


class Recorder(mocks.MockMonitor):
    """Remembers every registration and answers as `Answers` does. With `run_hooks` it calls the hooks of everything that
    is created, as the engine does in an `up` of an empty stack, or those of the names that are given."""

    def __init__(self, answers: mocks.Mocks, *, run_hooks: bool | set[str] = False, preview: bool = False) -> None:
        super().__init__(answers)
        self._run_hooks, self._preview = run_hooks, preview
        self.seen: list[Seen] = []
        self.outputs: dict[str, Any] = {}
        self.hooks: dict[str, Hook] = {}
        self.hooks_on_preview: set[str] = set()
        self.loop: asyncio.AbstractEventLoop | None = None

    def RegisterResource(self, request: Any) -> Any:
        self._call_all(request.hooks.before_create)
        self._remember(request)
        response = super().RegisterResource(request)
        self._call_all(request.hooks.after_create, response.object)
        return response

    def _remember(self, request: Any) -> None:
        trigger = json_format.MessageToDict(request.replacement_trigger) if request.HasField("replacement_trigger") else None
        self.seen.append(
            Seen(
                urn=self.make_urn(request.parent, request.type, request.name),
                type=request.type,
                name=request.name,
                inputs=_plain(json_format.MessageToDict(request.object)),
                parent=request.parent,
                depends_on=frozenset(map(_name_of, request.dependencies)),
                protect=request.protect,
                retain_on_delete=request.retainOnDelete,
                provider=_name_of(request.provider.rpartition("::")[0]) if request.provider else "",
                custom=request.custom,
                hooks={descriptor.name: list(names) for descriptor, names in request.hooks.ListFields()},
                replacement_trigger=trigger,
                ignore_changes=tuple(request.ignoreChanges),
                timeout=request.customTimeouts.create,
                update_timeout=request.customTimeouts.update,
                replaced_by=tuple(request.replaceOnChanges),
                source=next(((frame.pc.uri, frame.pc.line) for frame in request.stackTrace.frames), ("", 0)),
                known_as=frozenset(_known_as(request, self._types_of(request.parent))),
            )
        )

    def _types_of(self, urn: str) -> set[str]:
        """The types by which a state may know a resource: the engine looks for its children below each of them."""
        found = next((seen for seen in self.seen if seen.urn == urn), None)
        return {known.rpartition("::")[0].rpartition("$")[2] for known in found.known_as} if found else {""}

    def RegisterResourceHook(self, request: Any) -> Any:
        self.hooks[request.name] = next(
            servicer._callbacks[request.callback.token]
            for servicer in _callbacks._CallbackServicer._servicers
            if request.callback.token in servicer._callbacks
        )
        if request.on_dry_run:
            self.hooks_on_preview.add(request.name)
        return super().RegisterResourceHook(request)

    def call_hook(self, name: str, **outputs: Any) -> str:
        """Call a hook as the engine does, and return the error it is told: nothing if the hook agreed.

        Only right after `run_program`: the hook sees the preview or the update that ran last in this process.
        """
        return self._call(name, new_outputs=_struct(outputs))

    def call_update_hook(self, name: str, *, old: dict[str, Any], new: dict[str, Any]) -> str:
        """As `call_hook`, for one that is called before an update, with the inputs as they were and as they shall be."""
        return self._call(name, old_inputs=_struct(old), new_inputs=_struct(new))

    def _call(self, name: str, **structs: Any) -> str:
        request = resource_pb2.ResourceHookRequest(**structs)
        answer = self.hooks[name](request.SerializeToString())
        if self.loop is not None and self.loop.is_running():  # as the engine does it, beside the program that still runs
            return str(asyncio.run_coroutine_threadsafe(answer, self.loop).result(timeout=60).error)
        with _event_loop() as loop:
            return str(loop.run_until_complete(answer).error)

    def _call_all(self, names: Sequence[str], outputs: Any = None) -> None:
        for name in names if self._run_hooks else ():
            wanted = self._run_hooks is True or name in self._run_hooks
            if (
                wanted
                and (not self._preview or name in self.hooks_on_preview)
                and (error := self._call(name, new_outputs=outputs))
            ):
                raise HookRefusedError(error)

    def __getitem__(self, name: str) -> Seen:
        """The one custom resource of this name."""
        found = [seen for seen in self.seen if seen.name == name and seen.custom]
        assert len(found) == 1, f"{len(found)} resources are called {name}; there are {sorted(self.names())}"
        return found[0]

    def of(self, kind: str) -> list[Seen]:
        """Every resource of one kind, as in `Job` or `Bucket`, in the order of registration."""
        return [seen for seen in self.seen if seen.kind == kind]

    def custom(self) -> list[Seen]:
        """Every resource that a provider makes, the providers themselves apart."""
        return [seen for seen in self.seen if seen.custom and not seen.type.startswith("pulumi:")]

    def names(self) -> set[str]:
        return {seen.name for seen in self.custom()}

    def identities(self) -> set[tuple[str, str]]:
        """Type and name of everything but the stack."""
        return {(seen.type, seen.name) for seen in self.seen if seen.type != "pulumi:pulumi:Stack"}


def run_program(
    stack: str,
    changes: dict[str, Any] | None = None,
    *,
    preview: bool = False,
    answers: Answers | None = None,
    cluster: FakeCluster | None = None,
    archive: FakeArchive | None = None,
    flag: Callable[[], Flag | None] | None = lambda: None,
    not_copied: Sequence[str] = (),
    files: FakeFiles | None = None,
    records: FakeRecords | None = None,
    run_hooks: bool | set[str] = False,
    directory: Path | None = None,
) -> Recorder:
    """Run the program for `stack` with the committed configuration and `changes` to it. Raises what the program raises.

    `flag` is who is asked what the traffic flag says, None for the object itself; `directory` is where the program runs, by
    default an empty one.
    """
    recorder, error = attempt_program(
        stack,
        changes,
        preview=preview,
        answers=answers,
        cluster=cluster,
        archive=archive,
        flag=flag,
        not_copied=not_copied,
        files=files,
        records=records,
        run_hooks=run_hooks,
        directory=directory,
    )
    if error is not None:
        raise error
    return recorder


def attempt_program(
    stack: str,
    changes: dict[str, Any] | None = None,
    *,
    preview: bool = False,
    answers: Answers | None = None,
    cluster: FakeCluster | None = None,
    archive: FakeArchive | None = None,
    flag: Callable[[], Flag | None] | None = lambda: None,
    not_copied: Sequence[str] = (),
    files: FakeFiles | None = None,
    records: FakeRecords | None = None,
    run_hooks: bool | set[str] = False,
    directory: Path | None = None,
) -> tuple[Recorder, Exception | None]:
    """As `run_program`, for programs that must fail: what was registered until then, and the error."""
    configured = load(stack, example(stack, changes), SECRETS)
    _leave_the_sdk_alone()
    recorder = Recorder(answers or Answers(), run_hooks=run_hooks, preview=preview)

    def keep(outputs: dict[str, Any]) -> None:
        recorder.outputs = outputs

    @pulumi.runtime.test
    def body() -> None:
        asked = RegionArgs(
            settings=configured,
            cluster=cluster or FakeCluster(),
            archive=archive or FakeArchive(),
            flag=flag,
            not_copied=lambda: not_copied,
            files=lambda _: files or FakeFiles(),
            unseen=lambda _: (),
            tries_in_previews=tries_in_previews(),
            records=records or FakeRecords(),
        )
        region = Region("region", asked)
        pulumi.Output.all(**region.outputs()).apply(keep)

    # What the program writes, a report, must not end up in the checkout.
    with _event_loop(threads=bool(run_hooks)) as recorder.loop, tempfile.TemporaryDirectory() as empty, chdir(directory or empty):
        settings.reset_options(project=PROJECT, stack=stack)  # or the stack of the run before would be everything's parent
        mocks.set_mocks(recorder.mocks, project=PROJECT, stack=stack, preview=preview, monitor=recorder)
        try:
            body()
        except Exception as error:  # noqa: BLE001 - whatever the program raises is what the test asks for
            return recorder, error
    return recorder, None


@cache
def _leave_the_sdk_alone() -> None:
    """The SDKs make a million objects that never go away: looking through them again and again takes half of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class _Loop(asyncio.SelectorEventLoop):
    """A loop that answers a registration at once, and not from a thread: a run of the program has more than a hundred."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001 - whoever awaits it is told, as of a thread
            done.set_exception(error)
        return done


@contextmanager
def _event_loop(*, threads: bool = True) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop of its own for each run: what a failed program leaves unfinished must not reach into the next one.

    With hooks, which are called while the program runs, it answers from `threads`.
    """
    loop = asyncio.new_event_loop() if threads else _Loop()
    loop.set_exception_handler(lambda *_: None)  # of outputs that nobody waits for any more
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        loop.close()
        asyncio.set_event_loop(None)


def snapshot_of(recorder: Recorder) -> Iterator[dict[str, Any]]:
    """Every registration, sorted by name, in the form that a reviewer reads in a diff."""
    for seen in sorted(recorder.seen, key=lambda one: (one.name, one.type)):
        if seen.type == "pulumi:pulumi:Stack":
            continue
        entry: dict[str, Any] = {"resource": f"{seen.name} ({seen.type})", "parent": _name_of(seen.parent)}
        entry |= {"depends_on": sorted(seen.depends_on)} if seen.depends_on else {}
        entry |= {key: True for key in ("protect", "retain_on_delete") if getattr(seen, key)}
        entry |= {key: value for key in ("provider", "timeout", "update_timeout", "hooks") if (value := getattr(seen, key))}
        inputs = {key: value for key, value in seen.inputs.items() if key not in ("apiVersion", "kind")}
        entry |= {"inputs": _readable(inputs)} if inputs else {}
        yield entry


def _struct(values: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def _known_as(request: Any, parents: set[str]) -> Iterator[str]:
    """Under which parent, type and name a state may have it: as registered, by each alias, and by those of its parent."""
    yield from (f"{parent}${request.type}::{request.name}" for parent in parents)
    for alias in request.aliases:
        if alias.urn:
            kind, name = alias.urn.split("::")[2:4]
            yield f"{'$'.join(kind.split('$')[-2:])}::{name}"
            continue
        kind, name = alias.spec.type or request.type, alias.spec.name or request.name
        if alias.spec.noParent or alias.spec.parentUrn:
            yield _identity("" if alias.spec.noParent else alias.spec.parentUrn, kind, name)
        else:
            yield from (f"{parent}${kind}::{name}" for parent in parents)


def _identity(parent: str, kind: str, name: str) -> str:
    under = parent.split("::")[2].split("$")[-1] if parent else ""
    return f"{under}${kind}::{name}"


def _name_of(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


def _plain(value: Any) -> Any:
    """Whole numbers as such: on the wire every number is a float. Keys in order: on the wire they have none."""
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _readable(value: Any) -> Any:
    """JSON documents inside strings (policies) as documents, secrets hidden, the runner's modules and the runbook by name: a
    reviewer reads their content where it is written, and it changes without a change of any registration."""
    if is_secret(value):
        return "[secret]"
    if value == runner_modules():
        return dict.fromkeys(value, "[module]")
    if value == runner_code_name():
        return "runner-[digest]"
    if isinstance(value, dict):
        return {key: _readable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_readable(inner) for inner in value]
    if isinstance(value, str) and value.startswith("> This is the runbook"):
        return "[the runbook]"
    if isinstance(value, str) and value.startswith("{"):
        with suppress(ValueError):
            return json.loads(value)
    return value
