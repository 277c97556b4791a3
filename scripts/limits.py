"""Writes settings/data/: limits that others set, read from where those others keep them.

python -m scripts.limits aws                        from botocore's models
python -m scripts.limits cloudnative_pg SOURCE      from pkg/postgres/configuration.go of a checkout or module of CloudNativePG
python -m scripts.limits postgresql MAJOR           from the standard input, which is what this writes:
                                                    psql -c "copy (select name, context, vartype, unit, min_val, max_val,
                                                    enumvals from pg_settings order by 1) to stdout csv header"
python -m scripts.limits load_balancers SOURCE      from internal/service/elbv2/hosted_zone_id_data_source.go of a checkout of the
                                                    AWS provider for Terraform, of which Pulumi's is made

Tests compare each file with its source, where the machine has it.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from botocore.session import Session

DATA = Path(__file__).parent.parent / "settings" / "data"

_SHAPES = (
    ("eks", "ClusterName"),
    ("iam", "arnType"),
    ("iam", "policyDocumentType"),
    ("iam", "policyNameType"),
    ("iam", "roleNameType"),
    ("iam", "tagValueType"),
    ("iam", "userNameType"),
    ("kms", "AliasNameType"),
    ("route53", "FullyQualifiedDomainName"),
    ("route53", "Port"),
    ("route53", "ResourcePath"),
    ("route53", "ResourceRecordSetIdentifier"),
    ("route53", "SearchString"),
    ("route53", "TTL"),
)
"""The service and the name of each shape of AWS's API whose limits this program must keep."""


def aws() -> dict[str, Any]:
    """The limits of the shapes, and the regions of AWS's commercial partition."""
    session = Session()
    shapes = {
        f"{service}.{name}": dict(sorted(session.get_service_model(service).shape_for(name).metadata.items()))
        for service, name in _SHAPES
    }
    return {"regions": sorted(session.get_available_regions("ec2")), "shapes": shapes}


def cloudnative_pg(source: str) -> list[str]:
    """The parameters that CloudNativePG's webhook lets nobody set: its map FixedConfigurationParameters."""
    _, _, rest = source.partition("FixedConfigurationParameters = map[string]string{")
    return sorted(re.findall(r'"([\w.]+)":\s*(?:fixed|blocked)ConfigurationParameter', rest.partition("\n\t}")[0]))


def postgresql(lines: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What pg_settings says of each parameter: its type, unit, least and most, the values that it may have, and whether it can be
    set at all."""
    found = {}
    for row in csv.DictReader(lines):
        entry: dict[str, Any] = {"type": row["vartype"]}
        entry |= {short: row[key] for short, key in (("unit", "unit"), ("min", "min_val"), ("max", "max_val")) if row[key]}
        if row["enumvals"]:
            entry["values"] = row["enumvals"].strip("{}").replace('"', "").split(",")
        if row["context"] == "internal":
            entry["internal"] = True
        found[row["name"]] = entry
    return found


def load_balancers(source: str) -> dict[str, dict[str, str]]:
    """The hosted zones of each region's load balancers, whose names an alias record leads to: by region and type."""
    known = {region.replace("-", ""): region for region in aws()["regions"]}
    found: dict[str, dict[str, str]] = {}
    for kind, name in (("application", "ALB"), ("network", "NLB")):
        _, _, rest = source.partition(f"hostedZoneIDPerRegion{name}Map = map[string]string{{")
        for region, zone in re.findall(r'endpoints\.(\w+)RegionID:\s*"(\w+)"', rest.partition("\n}")[0]):
            if region.lower() in known:
                found.setdefault(known[region.lower()], {})[kind] = zone
    return found


def write(name: str, content: Any) -> None:
    (DATA / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def main(what: str, *rest: str) -> None:
    if what == "aws":
        write("aws", aws())
    elif what == "cloudnative_pg":
        folder = Path(rest[0])
        version = folder.resolve().name.rpartition("@v")[2]
        write(what, {"version": version, "fixed": cloudnative_pg((folder / "pkg/postgres/configuration.go").read_text())})
    elif what == "load_balancers":
        write(what, load_balancers(Path(rest[0]).read_text()))
    else:
        write("postgresql", {"major": int(rest[0]), "parameters": postgresql(sys.stdin)})


if __name__ == "__main__":
    main(*sys.argv[1:])
