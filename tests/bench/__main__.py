"""`python -m tests.bench`: what the program costs, measured. `make bench` runs it.

    make bench                                   # all parts
    make bench ARGS="preview"                    # one part
    make bench ARGS="preview -n 5 --size '1 database'"
    make bench ARGS="--page"                     # the page and its pictures anew, from the record

It writes docs/bench.json, .lab/bench.json, docs/bench/ and a section of docs/performance.md after each repetition, so an
interrupt keeps what was finished. It asserts nothing of the seconds. The machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lab.console import say, warn
from lab.engine import EngineError
from lab.pulumi import CommandFailedError
from lab.tools.go import ToolError
from lab.waiting import TimedOutError
from lab.world import LabError
from tests.bench import preview, ready, restores
from tests.bench.record import BenchRecordError, Record
from tests.bench.rows import PAGE, RECORD


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the benchmarks: what it measures, its sizes, and how."""

    words: str
    sizes: Iterable[str]
    measure: Callable[[str, int, Record], None]
    """Measures one size so many times."""


PARTS: Mapping[str, Part] = {
    preview.PART: Part(words="previews and an up without a change; no lab", sizes=preview.SIZES, measure=preview.measure),
    ready.PART: Part(words="a failover, by the guide's commands and by the program", sizes=ready.SIZES, measure=ready.measure),
    restores.PART: Part(words="Velero's restores, and what its options change", sizes=restores.SIZES, measure=restores.measure),
}


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parts = "; ".join(f"{name}: {part.words} (sizes: {', '.join(part.sizes)})" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(prog="make bench", description="Measures what the program costs.", epilog=parts)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one or more of {', '.join(PARTS)}; all of them by default")
    parser.add_argument("-n", "--repetitions", type=int, default=3, help="how often each size is measured; 3 by default")
    parser.add_argument("--size", action="append", dest="sizes", default=[], help="this size alone; may be given again")
    parser.add_argument("--page", action="store_true", help="only make the page and its pictures anew, from the record")
    chosen = parser.parse_args(given)
    if unknown := [part for part in chosen.parts if part not in PARTS]:
        parser.error(f"{unknown[0]}: no part is called that; choose of: {', '.join(PARTS)}")
    if chosen.repetitions < 1:
        parser.error(f"--repetitions {chosen.repetitions}: nothing would be measured; give 1 or more")
    chosen.parts = chosen.parts or list(PARTS)
    known = [size for part in chosen.parts for size in PARTS[part].sizes]
    if unknown := [size for size in chosen.sizes if size not in known]:
        parser.error(f"--size {unknown[0]}: no size is called that; choose of: {', '.join(known)}")
    return chosen


def main(given: Sequence[str]) -> int:
    chosen, record = arguments(given), Record()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends this gets the lab taken down, as with Ctrl-C
    try:
        if chosen.page:
            record.write_page()
            return 0
        record.rows()  # a record that cannot be read is told now, and not after an hour
        failed = [
            f"{name}, {size}"
            for name in chosen.parts
            for size in PARTS[name].sizes
            if size in (chosen.sizes or PARTS[name].sizes) and not measured(PARTS[name], size, chosen.repetitions, record)
        ]
    except BenchRecordError as error:
        warn(str(error))
        return 1
    except KeyboardInterrupt:
        warn("interrupted; what was finished is recorded")
        return 130
    say(f"recorded in {RECORD}; {PAGE} has the tables")
    if failed:
        warn(f"failed, with what was finished before recorded: {'; '.join(failed)}")
    return 1 if failed else 0


def measured(part: Part, size: str, repetitions: int, record: Record) -> bool:
    """Measure one size, and return whether that went well. One that fails keeps no other from its hours."""
    try:
        part.measure(size, repetitions, record)
    except BenchRecordError:
        raise
    except (CommandFailedError, EngineError, LabError, TimedOutError, ToolError) as error:
        warn(f"{size}: {error}")
    except Exception:  # noqa: BLE001 - the next size may still be measured
        warn(f"{size}: {traceback.format_exc()}")
    else:
        return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
