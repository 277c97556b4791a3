"""GitHub as the workflows see it: a program `gh` that keeps comments, issues and files in one JSON file, and notes each call.

It answers only what the workflows ask, with GitHub's own refusals: a body that is too long, a file that has changed meanwhile, a
branch that takes no direct commit.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

LIMIT = 65_536
VARIABLE = "FAKE_GITHUB"


@dataclass(frozen=True, kw_only=True)
class FakeGitHub:
    """One repository, acme/k8s-dr, in `directory`, which also holds the program `gh`."""

    directory: Path

    @classmethod
    def start(cls, directory: Path, files: dict[str, bytes] | None = None) -> FakeGitHub:
        """`files` are those of the commit `start`, and of the branch main at first."""
        directory.mkdir(parents=True)
        program = directory / "gh"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} "$@"\n')
        program.chmod(0o755)
        stored = {path: base64.b64encode(content).decode() for path, content in (files or {}).items()}
        github = cls(directory=directory)
        empty: dict[str, Any] = {name: [] for name in ("calls", "comments", "issues", "pulls")}
        github.save({**empty, "protected": False, "refs": {"main": stored, "start": stored}})
        return github

    @property
    def environment(self) -> dict[str, str]:
        return {
            VARIABLE: str(self._file),
            "GITHUB_REPOSITORY": "acme/k8s-dr",
            "GITHUB_REF_NAME": "main",
            "GITHUB_SHA": "start",
            "GITHUB_RUN_ID": "42",
            "GITHUB_RUN_ATTEMPT": "1",
        }

    @property
    def _file(self) -> Path:
        return self.directory / "github.json"

    @property
    def state(self) -> dict[str, Any]:
        return dict(json.loads(self._file.read_text()))

    def save(self, state: dict[str, Any]) -> None:
        self._file.write_text(json.dumps(state))

    def protect(self) -> None:
        self.save({**self.state, "protected": True})

    def content(self, ref: str, path: str) -> bytes:
        return base64.b64decode(self.state["refs"][ref][path])

    def write(self, path: str, content: bytes) -> None:
        """Somebody else commits to main."""
        state = self.state
        state["refs"]["main"] = {**state["refs"]["main"], path: base64.b64encode(content).decode()}
        self.save(state)

    def writes(self) -> list[tuple[str, str]]:
        """Method and path of each call that changed something."""
        return [(call["method"], call["path"]) for call in self.state["calls"] if call["method"] != "GET"]


def blob(content: str) -> str:
    return hashlib.sha1(content.encode()).hexdigest()


def refuse(status: int, message: str) -> None:
    sys.exit(f"gh: {message} (HTTP {status})")


def answer(state: dict[str, Any], method: str, path: str, body: dict[str, Any]) -> Any:
    """Does what the call asks of `state`, and returns what GitHub would."""
    url = urlsplit(path.removeprefix("repos/acme/k8s-dr/"))
    parts, query = url.path.split("/"), {key: values[0] for key, values in parse_qs(url.query).items()}
    if len(body.get("body", "")) > LIMIT:
        refuse(422, "Validation Failed: body is too long (maximum is 65536 characters)")
    written = {"user": {"login": state.get("writes as", "github-actions[bot]"), "type": "Bot"}, **body}
    match method, parts:
        case "GET", ["issues", number, "comments"]:
            return [each for each in state["comments"] if each["pull_request"] == number]
        case "POST", ["issues", number, "comments"]:
            state["comments"].append({"id": len(state["comments"]) + 1, "pull_request": number, **written})
            return state["comments"][-1]
        case "PATCH", ["issues", "comments", identifier]:
            state["comments"][int(identifier) - 1] |= body
        case "GET", ["issues"]:
            return [each for each in state["issues"] if query["state"] in ("all", each["state"])]
        case "POST", ["issues"]:
            state["issues"].append({"number": len(state["issues"]) + 1, "state": "open", **written})
            return state["issues"][-1]
        case "PATCH", ["issues", number]:
            state["issues"][int(number) - 1] |= body
        case "GET", ["contents", file]:
            stored = state["refs"][query["ref"]][file]
            return {"content": stored, "sha": blob(stored)}
        case "PUT", ["contents", file]:
            branch = state["refs"][body["branch"]]
            if body["branch"] == "main" and state["protected"]:
                refuse(409, "Repository rule violations found: Changes must be made through a pull request.")
            if blob(branch[file]) != body["sha"]:
                refuse(409, f"{file} does not match {body['sha']}")
            state["refs"][body["branch"]] = {**branch, file: body["content"]}
        case "POST", ["git", "refs"]:
            state["refs"][body["ref"].removeprefix("refs/heads/")] = state["refs"][body["sha"]]
        case "POST", ["pulls"]:
            state["pulls"].append(body)
            return {"html_url": f"https://github.com/acme/k8s-dr/pull/{len(state['pulls'])}"}
        case _:
            refuse(404, f"Not Found: {method} {path}")
    return {}


def main(arguments: list[str]) -> None:
    assert arguments[0] == "api", arguments
    assert os.environ["GH_TOKEN"], "a step without a token"
    options = arguments[2:]
    method = options[options.index("--method") + 1] if "--method" in options else "GET"
    body = json.load(sys.stdin) if "--input" in options else {}
    file = Path(os.environ[VARIABLE])
    state = json.loads(file.read_text())
    state["calls"].append({"method": method, "path": arguments[1], "body": body})
    told = answer(state, method, arguments[1], body)
    file.write_text(json.dumps(state))
    print(json.dumps([told] if "--slurp" in options else told))


if __name__ == "__main__":
    main(sys.argv[1:])
