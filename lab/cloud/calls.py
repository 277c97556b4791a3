"""How the endpoint serves one request: which regions it needs, whether one is silent, its answer, and its line in the log."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from lab.cloud import enforcement, moto_state
from lab.cloud.access_keys import ADMINISTRATOR
from lab.cloud.access_log import BLACK_HOLE, REPLICATOR, Request, fields, user_agent
from lab.cloud.black_hole import BlackHoles, SilenceError, Upload
from lab.cloud.buckets import WANTS_BODY, Answer, Buckets
from lab.cloud.lines import JsonLines, timestamp
from lab.cloud.operations import NEED_US_EAST_1, operation
from lab.cloud.scope import GLOBAL_REGION, target

_FORBIDDEN = "403"
_FORM = "application/x-www-form-urlencoded"

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class Aws:
    """moto, and the state that all requests share."""

    def __init__(self, log: JsonLines) -> None:
        self.log = log
        self.holes = BlackHoles()
        self.buckets = Buckets()
        self.moto = DomainDispatcherApplication(create_backend_app)
        moto_state.enforce_route53_rules()
        moto_state.create_administrator(ADMINISTRATOR)
        enforcement.enforce()


class Call:
    """One request; `environ` is WSGI's, with werkzeug's `RAW_URI` and `werkzeug.socket`."""

    def __init__(self, aws: Aws, environ: Environ) -> None:
        self._aws, self._environ = aws, environ
        self._arrived = timestamp()
        self._headers = _Headers(environ)
        self._path, _, self._query = str(environ["RAW_URI"]).partition("?")
        self._target = target(self._headers, self._path, self._query, moto_state.bucket_region)
        if self._target.virtual_host:
            self._path = f"/{self._target.bucket}{self._path}"
        self._operation = self._named("")
        self._swallowed: SilenceError | None = None

    def swallow(self) -> None:
        """Raise SilenceError, after the caller has given up, if a region that the request needs is silent."""
        regions = self._regions()
        if self._swallowed is None and self._aws.holes.covers(regions):
            self._swallowed = SilenceError(f"{', '.join(regions)} does not answer")
            self._log(BLACK_HOLE)
            self._aws.holes.hold(self._environ["werkzeug.socket"], regions)
        if self._swallowed is not None:
            raise self._swallowed

    def serve(self, start_response: StartResponse) -> Iterable[bytes]:
        self.swallow()
        body = self._take_body()
        try:
            head, parts = self._ask_moto()
        except Exception:
            if self._swallowed is None:
                self._log(500)
            raise
        # Permission comes first: a caller without it gets 403, whatever else is wrong with the request.
        allowed = not head[0].startswith(_FORBIDDEN)
        answer = (
            self._aws.buckets.answer(self._operation, self._target, body) if allowed and self._target.service == "s3" else None
        )
        if answer is not None:
            head, parts = _head(answer), [answer.body]
        status = int(head[0].split()[0])
        if answer is None and self._target.service == "s3" and status < 300:
            names = {name.lower(): value for name, value in head[1]}
            replica = user_agent(REPLICATOR) in self._agent
            self._aws.buckets.happened(self._operation, self._target, body, names, replica=replica)
        # If the region fell silent meanwhile, the change stays done, but the caller gets no answer.
        self.swallow()
        self._log(status)
        start_response(*head)
        return parts

    @property
    def _agent(self) -> str:
        return self._headers.get("User-Agent") or ""

    def _named(self, form: str) -> str | None:
        return operation(self._target.service, self._environ["REQUEST_METHOD"], self._path, self._query, self._headers, form)

    def _regions(self) -> list[str]:
        """All regions that the request needs to be answered. The called region comes first."""
        asked = self._target
        source = asked.copied_from.bucket if asked.copied_from else None
        homes = [moto_state.bucket_region(bucket) for bucket in (asked.bucket, source) if bucket]
        control = GLOBAL_REGION if asked.service == "s3" and self._operation in NEED_US_EAST_1 else None
        return list(dict.fromkeys(region for region in (asked.region, *homes, control) if region))

    def _take_body(self) -> bytes:
        """Prepare the request for moto. Returns the body if the endpoint has to read it itself, else nothing."""
        environ = self._environ
        upload = Upload(environ["wsgi.input"], self.swallow)
        environ["wsgi.input"] = upload
        if self._target.service == "s3":
            # moto takes the bucket from the host or from the path. The endpoint turns every request into path style.
            environ[enforcement.SENT] = (environ.get("HTTP_HOST", ""), environ["RAW_URI"])
            environ["HTTP_HOST"] = "s3.amazonaws.com"
            if self._target.virtual_host:
                bucket = f"/{self._target.bucket}"
                environ["PATH_INFO"] = bucket + environ["PATH_INFO"]
                environ["RAW_URI"] = environ["REQUEST_URI"] = quote(bucket) + environ["RAW_URI"]
        is_form = (environ.get("CONTENT_TYPE") or "").startswith(_FORM) and self._target.service != "s3"
        if not is_form and self._operation not in WANTS_BODY:
            return b""
        length = environ.get("CONTENT_LENGTH")
        body = upload.read(int(length)) if length else upload.read() if environ.get("wsgi.input_terminated") else b""
        environ["wsgi.input"] = io.BytesIO(body)
        if is_form:
            self._operation = self._named(body.decode(errors="replace"))
        return body

    def _ask_moto(self) -> tuple[list[Any], list[bytes]]:
        head: list[Any] = []
        parts = self._aws.moto(self._environ, lambda *answered: head.extend(answered))
        try:
            return head, list(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()

    def _log(self, status: int | str) -> None:
        request = Request(
            time=self._arrived,
            source=str(self._environ.get("REMOTE_ADDR", "")),
            agent=self._agent,
            service=self._target.service,
            region=self._target.region,
            regions=self._regions(),
            bucket=self._target.bucket,
            method=self._environ["REQUEST_METHOD"],
            path=self._path,
            operation=self._operation,
            status=status,
        )
        self._aws.log.write(fields(request))


class _Headers(Mapping[str, str]):
    """The request's headers, by name in upper or lower case."""

    def __init__(self, environ: Environ) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        value: str = self._environ["HTTP_" + name.upper().replace("-", "_")]
        return value

    def __iter__(self) -> Iterator[str]:
        return (name[5:].replace("_", "-") for name in self._environ if name.startswith("HTTP_"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _head(answer: Answer) -> list[Any]:
    return [answer.status, [("Content-Type", "application/xml"), ("Content-Length", str(len(answer.body)))]]
