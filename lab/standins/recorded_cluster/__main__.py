"""`python -m lab.standins.recorded_cluster`: one recorded cluster as a separate process."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from lab.standins.recorded_cluster.server import RecordedCluster, write_kubeconfig


def main() -> None:
    parser = argparse.ArgumentParser(prog="recorded_cluster", description="A Kubernetes API server in memory that records.")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--file", type=Path, help="file that keeps the objects for the next start")
    parser.add_argument("--kubeconfig", type=Path, help="write a kubeconfig here once it listens")
    parser.add_argument("--context", default="recorded", help="the context's name in that kubeconfig")
    parser.add_argument("--velero-installed", action="store_true", help="serve Velero's kinds from the start")
    parser.add_argument("--operators-installed", action="store_true", help="serve CloudNativePG's kinds, and its plugin's")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    cluster = RecordedCluster(
        listen=(host, int(port)),
        file=options.file,
        velero_installed=options.velero_installed,
        operators_installed=options.operators_installed,
    )
    if options.kubeconfig:
        write_kubeconfig(options.kubeconfig, {options.context: cluster.url})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(cluster.url, flush=True)
    cluster.serve()


if __name__ == "__main__":
    main()
