"""Writes to GitHub, by `gh`, what the workflows leave there: previews as comments, drift as issues, the stack file of a failover.

    python3 scripts/github.py summary TITLE FILE    adds FILE to the page of the run
    python3 scripts/github.py failover TITLE FILE   adds to that page how a failover ended: its steps, and what to do next. FILE
                                                    has the stack's outputs as JSON; OUTCOME is `success` if the run ended well
    python3 scripts/github.py comment TITLE FILE    comments on the pull request PULL_REQUEST; a later run rewrites the comment
    python3 scripts/github.py issue TITLE FILE      opens an issue, or rewrites the one that is open
    python3 scripts/github.py close TITLE           closes that issue, if there is one
    python3 scripts/github.py commit PATH MESSAGE   commits PATH to the branch GITHUB_REF_NAME, or opens a pull request

The script needs the variables that GitHub sets and GH_TOKEN; `comment` needs PULL_REQUEST too. GH_AUTHOR is who writes by that
token, and by default whom GitHub's own token of a workflow writes as.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LIMIT = 65_536
"""Most characters that GitHub takes in a comment or an issue."""

TAIL = 4_000
"""Characters at the end of a text that are always shown: the engine's summary comes last."""

WORKFLOWS = "github-actions[bot]"
"""Who writes by the token that GitHub gives a workflow."""

_LEFT_OUT = "\n… {} characters are left out here; the log of the run has them …\n"


class RefusedError(Exception):
    """GitHub refused a call. The message has GitHub's own words."""


def gh(*args: str, body: dict[str, Any] | None = None) -> Any:
    """The answer to one call of GitHub's API; None if it is empty. Raises RefusedError. A body may be long, so it goes by
    standard input."""
    command = ["gh", "api", *args, *(["--input", "-"] if body is not None else [])]
    text = json.dumps(body) if body is not None else ""
    ran = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RefusedError(f"gh api {' '.join(args)}: {(ran.stderr or ran.stdout).strip()}")
    return json.loads(ran.stdout) if ran.stdout.strip() else None


def listed(path: str) -> list[dict[str, Any]]:
    """All entries of a list, from all its pages."""
    return [entry for page in gh(path, "--paginate", "--slurp") for entry in page]


def report(title: str, text: str) -> str:
    """Title and text as GitHub shows them. Too long a text is cut in the middle. The first line marks whose report it is."""
    head, foot = f"{marker(title)}\n### {title}\n\n````diff\n", "\n````\n"
    room = LIMIT - len(head) - len(foot)
    if len(text) > room:
        kept = room - TAIL - len(_LEFT_OUT) - 10
        text = text[:kept] + _LEFT_OUT.format(len(text) - kept - TAIL) + text[-TAIL:]
    return head + text + foot


def marker(title: str) -> str:
    return f"<!-- k8s-dr: {title} -->"


def ending(title: str, outputs: dict[str, Any], *, succeeded: bool) -> str:
    """How a failover ended, in Markdown. The outputs are those of the last `up` that ended well, and say nothing of others."""
    if not succeeded:
        told = (
            "**Not done.** If the gate refused, nothing was touched. If it ended half-way, run the workflow again with the same "
            "inputs: it does not repeat what is done. What the run said is below; docs/runbook.md lists what stops a failover."
        )
        return f"{marker(title)}\n### {title}\n\n{told}\n"
    details = outputs.get("details") or {}
    serving, done = details.get("serving") or {}, details.get("failover") or {}
    since = f" since {serving['since']}" if serving.get("since") else ""
    rows = [f"| {each['name']} | {each['start']} | {each['seconds']:g} s |" for each in done.get("steps") or ()]
    whole = done.get("seconds")
    table = [
        "| step | began | took |",
        "|---|---|---:|",
        *rows,
        *([f"| **together** | | **{whole:g} s** |"] if whole is not None else []),
    ]
    return "\n".join(
        [
            f"{marker(title)}\n### {title}\n",
            f"**Done.** Users are sent to {serving.get('region', 'no known region: the stack has no such output')}{since}.\n",
            *(table if rows else ["No step was recorded.\n"]),
            f"\n**Next:** {outputs.get('next', 'docs/runbook.md')}\n",
        ]
    )


def is_ours(entry: Mapping[str, Any], marker: str) -> bool:
    """Whether the workflows wrote an issue or a comment with this marker. Anybody may copy a marker, and nobody the author."""
    return _author(entry) == _ours() and (entry.get("body") or "").startswith(marker)


def post(path: str, body: dict[str, Any]) -> None:
    """Write an issue or a comment that `is_ours` knows again. Raises RefusedError if it would not: the next run wrote another."""
    if (wrote := _author(gh(path, "--method", "POST", body=body))) != _ours():
        raise RefusedError(
            f"GH_AUTHOR: this token writes as {wrote}, and not as {_ours()}; set GH_AUTHOR to {wrote} in the workflow"
        )


def _author(entry: Mapping[str, Any]) -> str | None:
    return (entry.get("user") or {}).get("login")


def _ours() -> str:
    return os.environ.get("GH_AUTHOR") or WORKFLOWS


def comment(title: str, text: str) -> None:
    """Keep one comment for each title: a pull request with thirty pushes does not get thirty."""
    repository, number = f"repos/{os.environ['GITHUB_REPOSITORY']}", os.environ["PULL_REQUEST"]
    body = {"body": report(title, text)}
    ours = [each for each in listed(f"{repository}/issues/{number}/comments") if is_ours(each, marker(title))]
    if ours:
        gh(f"{repository}/issues/comments/{ours[0]['id']}", "--method", "PATCH", body=body)
    else:
        post(f"{repository}/issues/{number}/comments", body)


def _open_issues(title: str) -> list[str]:
    """API addresses of the open issues that this script has opened for `title`."""
    issues = f"repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    found = listed(f"{issues}?state=open&per_page=100")
    return [f"{issues}/{each['number']}" for each in found if is_ours(each, marker(title))]


def issue(title: str, text: str) -> None:
    """Keep one open issue for each title."""
    body = {"title": title, "body": report(title, text)}
    if already := _open_issues(title):
        gh(already[0], "--method", "PATCH", body=body)
    else:
        post(f"repos/{os.environ['GITHUB_REPOSITORY']}/issues", body)


def close(title: str) -> None:
    for address in _open_issues(title):
        gh(address, "--method", "PATCH", body={"state": "closed", "state_reason": "completed"})


def commit(path: str, message: str) -> None:
    """Commit the file, as it is here, to the branch. If the branch takes no direct commit, open a pull request for it."""
    repository, branch = f"repos/{os.environ['GITHUB_REPOSITORY']}", os.environ["GITHUB_REF_NAME"]
    start, content = os.environ["GITHUB_SHA"], Path(path).read_bytes()
    if base64.b64decode(gh(f"{repository}/contents/{path}?ref={branch}")["content"]) == content:
        print(f"{path} in {branch} has this content already")
        return
    # The id of the file with which the run began: if the branch has another one by now, GitHub refuses instead of overwriting it.
    blob = gh(f"{repository}/contents/{path}?ref={start}")["sha"]
    change = {"message": message, "content": base64.b64encode(content).decode(), "sha": blob}
    try:
        gh(f"{repository}/contents/{path}", "--method", "PUT", body={**change, "branch": branch})
    except RefusedError as refused:
        print(f"{branch} took no direct commit, so this opens a pull request: {refused}")
        topic = f"failover-{os.environ['GITHUB_RUN_ID']}-{os.environ['GITHUB_RUN_ATTEMPT']}"
        gh(f"{repository}/git/refs", "--method", "POST", body={"ref": f"refs/heads/{topic}", "sha": start})
        gh(f"{repository}/contents/{path}", "--method", "PUT", body={**change, "branch": topic})
        text = "The failover has happened already: merge its stack file, or the next deployment refuses to run."
        pull = {"title": message, "head": topic, "base": branch, "body": text}
        print(gh(f"{repository}/pulls", "--method", "POST", body=pull)["html_url"])


def main(action: str, title: str, argument: str = "") -> None:
    match action:
        case "summary":
            with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a") as page:
                page.write(report(title, Path(argument).read_text()))
        case "failover":
            outputs = json.loads(Path(argument).read_text())
            with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a") as page:
                page.write(ending(title, outputs, succeeded=os.environ["OUTCOME"] == "success"))
        case "comment":
            comment(title, Path(argument).read_text())
        case "issue":
            issue(title, Path(argument).read_text())
        case "close":
            close(title)
        case "commit":
            commit(title, argument)
        case _:
            sys.exit(f"{action}: is not one of summary, failover, comment, issue, close, commit")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except RefusedError as error:
        sys.exit(str(error))
