"""Which rows only a kept volume has: what is found by the fewest options, the Pod, and what a person reads."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from components.kube.aside import set_aside
from scripts import only_kept
from scripts.kept_database import ComparisonError, Plan, pod
from scripts.only_kept import Table, described, parsed, plain
from tests.examples import ROOT
from tests.unit.volumes import ClusterWithVolumes

NS = "databases"
PODS = f"/api/v1/namespaces/{NS}/pods"
OPTIONS = ["--context", "prod-use1", "--namespace", NS, "--cluster", "app-database"]
SAID = """psql: a word of a program's own
table\tpublic.nokey\t5\t1\t0\t\t
row\tmissing\t("only\\\\tkept\\nline")
table\tpublic.orders\t6\t3\t2\tid\t
row\tmissing\t(6,"only kept")
row\tchanged\t(2,x)
table\tpublic.same\t4\t0\t0\tid\tthe running database has no columns gone, which are not compared
unread\tpublic.secret\tthe running database: ERROR:  permission denied for table secret
end\t4
"""


class World(ClusterWithVolumes):
    """A cluster in which a Pod that is made ends at once."""

    phase = "Succeeded"
    message = ""
    said = SAID
    pods: list[dict[str, Any]]

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        made = super().create(path, body)
        if path == PODS and made is not None:
            self.pods = [*getattr(self, "pods", []), made]
            made["status"] = {"phase": self.phase, "message": self.message}
        return made

    def log(self, path: str) -> str:
        assert path == f"{PODS}/{self.pods[-1]['metadata']['name']}/log"
        return self.said

    def delete(self, path: str, uid: str) -> None:
        if path.startswith(PODS):
            assert self.paths[path]["metadata"]["uid"] == uid
            del self.paths[path]
        else:
            super().delete(path, uid)

    def read(self, path: str) -> dict[str, Any] | None:
        bare, _, query = path.partition("?")
        if bare.endswith("/persistentvolumeclaims"):
            assert query == "labelSelector=k8s-dr/kept-of"
            return {"items": [each for each in self._below(bare) if "k8s-dr/kept-of" in each["metadata"].get("labels", {})]}
        return super().read(path)

    def database(self, bootstrap: dict[str, Any] | None = None) -> None:
        begun = {"recovery": {"source": "b", "database": "shop", "owner": "shop", "secret": {"name": "app-database-owner"}}}
        self.paths[f"/apis/postgresql.cnpg.io/v1/namespaces/{NS}/clusters/app-database"] = {
            "spec": {"bootstrap": begun if bootstrap is None else bootstrap, "imageName": "postgresql:17"},
            "status": {"image": "postgresql:17@sha256:1"},
        }

    def keep(self, *instances: str, primary: str = "", of: str = "app-database-primary-g1", wal: bool = True) -> None:
        """Keep the volumes of these instances."""
        for name in instances:
            labels = {"cnpg.io/instanceRole": "primary" if name == primary else "replica"}
            self.claim(NS, name, f"pv-{of}-{name}", labels={**labels, "cnpg.io/pvcRole": "PG_DATA"})
            if wal:
                self.claim(NS, f"{name}-wal", f"pv-{of}-{name}-wal", labels={**labels, "cnpg.io/pvcRole": "PG_WAL"})
        names = [*instances, *(f"{name}-wal" for name in instances if wal)]
        set_aside(self, NS, names, of=of, seconds=1)

    def kept_as(self, old: str) -> str:
        return next(
            each["metadata"]["name"]
            for each in self._below(f"/api/v1/namespaces/{NS}/persistentvolumeclaims")
            if each["metadata"].get("annotations", {}).get("k8s-dr/kept-claim") == old
        )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr("time.sleep", made.pause)
    made.database()
    return made


def mounted(world: World) -> dict[str, str]:
    """The claim of each volume that the Pod mounts."""
    volumes = world.pods[-1]["spec"]["volumes"]
    return {each["name"]: each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each}


def environment(world: World) -> dict[str, Any]:
    (container,) = world.pods[-1]["spec"]["containers"]
    return {each["name"]: each.get("value") or each["valueFrom"] for each in container["env"]}


def failure(world: World, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert only_kept.main([*OPTIONS, *options], world) == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.removeprefix("only_kept: ").rstrip()


def test_the_clusters_name_is_enough_and_the_old_primarys_volumes_are_taken(world: World) -> None:
    world.keep("app-database-1", "app-database-2", primary="app-database-2")
    assert only_kept.main(OPTIONS, world) == 3
    assert mounted(world) == {"data": world.kept_as("app-database-2"), "wal": world.kept_as("app-database-2-wal")}
    found = environment(world)
    assert (found["PGHOST"], found["PGDATABASE"], found["LIMIT"]) == ("app-database-rw", "shop", "100")
    assert found["PGPASSWORD"] == {"secretKeyRef": {"name": "app-database-owner", "key": "password"}}
    assert world.pods[-1]["spec"]["containers"][0]["image"] == "postgresql:17@sha256:1"
    assert not [path for path in world.paths if path.startswith(PODS)], "the Pod is deleted in the end"


def test_a_volume_without_wal_of_its_own_and_what_cloudnativepg_chose_itself_are_found_too(world: World) -> None:
    world.database(bootstrap={"initdb": {}})
    world.keep("app-database-1", wal=False)
    only_kept.main(OPTIONS, world)
    assert mounted(world) == {"data": world.kept_as("app-database-1")}
    assert environment(world)["PGDATABASE"] == "app"
    assert environment(world)["PGUSER"]["secretKeyRef"]["name"] == "app-database-app"


def test_a_person_says_it_otherwise(world: World) -> None:
    world.keep("app-database-1", "app-database-2", primary="app-database-2")
    claim = world.kept_as("app-database-1")
    more = [
        "--claim",
        claim,
        "--database",
        "d",
        "--against",
        "app-database-ro",
        "--secret",
        "s",
        "--image",
        "i:1",
        "--limit",
        "5",
    ]
    only_kept.main([*OPTIONS, *more], world)
    assert mounted(world) == {"data": claim, "wal": world.kept_as("app-database-1-wal")}
    found = environment(world)
    assert (found["PGHOST"], found["PGDATABASE"], found["LIMIT"]) == ("app-database-ro", "d", "5")
    assert found["PGUSER"]["secretKeyRef"]["name"] == "s"
    assert world.pods[-1]["spec"]["containers"][0]["image"] == "i:1"


def test_a_claim_that_the_program_did_not_set_aside_can_be_named(world: World) -> None:
    world.claim(NS, "by-hand", "pv-x")
    only_kept.main([*OPTIONS, "--claim", "by-hand", "--wal-claim", "by-hand-2"], world)
    assert mounted(world) == {"data": "by-hand", "wal": "by-hand-2"}


def test_volumes_of_another_database_whose_name_begins_alike_are_not_taken(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.keep("app-database-two-1", of="app-database-two-primary-g1")
    assert failure(world, capsys) == (
        "no kept claims of Cluster app-database in namespace databases are there (kubectl get pvc -n databases -l "
        "k8s-dr/kept-of); look at --namespace, --of"
    )


def test_of_several_archives_one_has_to_be_named(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.keep("app-database-1")
    world.keep("app-database-3", of="app-database-primary-g2")
    assert failure(world, capsys).endswith("name one with --of: app-database-primary-g1, app-database-primary-g2")
    assert only_kept.main([*OPTIONS, "--of", "app-database-primary-g2"], world) == 3
    assert mounted(world)["data"] == world.kept_as("app-database-3")


def test_if_no_volume_says_that_it_was_the_primarys_a_person_does(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.keep("app-database-1", "app-database-2")
    names = sorted(world.kept_as(name) for name in ("app-database-1", "app-database-2"))
    assert failure(world, capsys).endswith(f"was the primary's is not known; name it with --claim: {', '.join(names)}")


def test_what_is_not_there_is_named(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert failure(world, capsys, "--claim", "none") == "namespace databases has no claim none; look at --claim"
    world.paths.clear()
    assert failure(world, capsys).startswith("namespace databases has no Cluster app-database to compare with; look at")


def test_a_kept_volume_that_a_pod_uses_is_left_alone(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Two servers on one volume would destroy it, and a volume of one node admits two Pods there."""
    world.keep("app-database-1")
    claim = world.kept_as("app-database-1-wal")
    world.pod(NS, "by-hand", claim)
    assert failure(world, capsys).endswith("or delete it: kubectl delete pod by-hand -n databases")
    assert not hasattr(world, "pods")
    world.pod(NS, "by-hand", claim, phase="Succeeded")
    assert only_kept.main(OPTIONS, world) == 3


def test_a_pod_that_fails_says_why_in_its_last_line_and_is_deleted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.keep("app-database-1")
    world.phase, world.said = "Failed", "some log\nPostgreSQL does not start on the kept volume: FATAL: x\n"
    assert failure(world, capsys) == "PostgreSQL does not start on the kept volume: FATAL: x"
    assert not [path for path in world.paths if path.startswith(PODS)]
    world.said = ""
    assert failure(world, capsys) == "it said nothing"


def test_of_a_pod_that_its_node_has_put_out_the_reason_counts_and_not_where_its_log_was_cut_off(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.keep("app-database-1")
    world.phase, world.message = "Failed", "The node was low on resource: ephemeral-storage. "
    assert failure(world, capsys) == "The node was low on resource: ephemeral-storage."


def test_a_pod_that_does_not_start_is_named_with_what_it_waits_for(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.keep("app-database-1")
    world.phase = "Pending"
    monkeypatch.setattr(only_kept, "_START_SECONDS", 0)
    assert "did not start within 0 s (kubectl describe pod only-kept-" in failure(world, capsys)


def test_the_pod_runs_in_a_strict_namespace_as_cloudnativepgs_own(world: World) -> None:
    planned = Plan(namespace=NS, claim="c", wal_claim="w", image="i", database="app", secret="s", host="h")
    spec = pod(planned, limit=1, seconds=2)["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 26,
        "runAsGroup": 26,
        "fsGroup": 26,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert {each["mountPath"] for each in container["volumeMounts"]} == {
        "/scratch",
        "/var/lib/postgresql/data",
        "/var/lib/postgresql/wal",
    }
    assert container["command"] == ["/bin/sh", "-c", (ROOT / "scripts" / "only-kept.sh").read_text()]
    assert spec["automountServiceAccountToken"] is False
    assert spec["restartPolicy"] == "Never"


def test_one_volume_has_one_pod_by_name() -> None:
    planned = Plan(namespace=NS, claim="c", wal_claim=None, image="i", database="app", secret="s", host="h")
    assert planned.pod == replace(planned, database="other").pod
    assert planned.pod != replace(planned, claim="other").pod


def test_a_log_is_read_table_by_table() -> None:
    nokey, orders, same, secret = parsed(SAID)
    assert nokey == Table(name="public.nokey", rows=5, only_kept=1, missing=['("only\\\\tkept\\nline")'])
    assert (orders.only_kept, orders.only_kept_changed, orders.key) == (3, 2, "id")
    assert (orders.missing, orders.changed) == (['(6,"only kept")'], ["(2,x)"])
    assert same.note.startswith("the running database has no columns gone")
    assert secret.unread == "the running database: ERROR:  permission denied for table secret"


@pytest.mark.parametrize("said", ["", SAID.rpartition("end")[0], SAID.partition("row")[2], SAID.replace("end\t4", "end\t5")])
def test_a_log_without_its_beginning_or_end_is_no_comparison(said: str) -> None:
    with pytest.raises(ComparisonError, match="run this again with a lower --limit"):
        parsed(said)


@pytest.mark.parametrize("odd", ["\u2028", "\x85", "\x0c", "\x1c"])
def test_a_row_with_what_python_takes_for_a_line_break_is_one_row(odd: str) -> None:
    (table,) = parsed(f"table\tt\t1\t1\t0\t\t\nrow\tmissing\t(a{odd}b)\nend\t1\n")
    assert table.missing == [f"(a{odd}b)"]


@pytest.mark.parametrize(
    ("written", "meant"), [("a\\tb", "a\tb"), ("a\\\\tb", "a\\tb"), ("\\n\\r\\b\\f\\v", "\n\r\b\f\v"), ("é", "é")]
)
def test_what_copy_escapes_is_read_back(written: str, meant: str) -> None:
    assert plain(written) == meant


def test_a_person_reads_what_is_missing_what_is_changed_and_what_was_not_compared() -> None:
    planned = Plan(namespace=NS, claim="kept-1", wal_claim=None, image="i", database="app", secret="s", host="app-database-rw")
    assert "\n".join(described(planned, parsed(SAID))) == (
        """Database app: kept-1 (kept) against app-database-rw (running).

public.nokey: 1 of 5 rows are in the kept volume alone
  1 not in the running database as they are:
    ("only\\\\tkept\\nline")

public.orders: 3 of 6 rows are in the kept volume alone
  1 not in the running database, by their key (id):
    (6,"only kept")
  2 in the running database with the same key (id) and another content:
    (2,x)
    … and 1 more (--limit)

1 of 4 tables have no row that the running database does not have.
public.same: the running database has no columns gone, which are not compared.
NOT COMPARED public.secret: the running database: ERROR:  permission denied for table secret"""
    )


def test_a_program_reads_json_with_rows_as_they_are(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.keep("app-database-1")
    assert only_kept.main([*OPTIONS, "--json"], world) == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["kept"], found["against"]) == (world.kept_as("app-database-1"), "app-database-rw")
    assert found["tables"][0]["missing"] == ['("only\\tkept\nline")']
    assert [each["unread"] is None for each in found["tables"]] == [True, True, True, False]


def test_every_table_compared_is_a_success(world: World) -> None:
    world.keep("app-database-1")
    world.said = "table\tt\t1\t0\t0\t\t\nend\t1\n"
    assert only_kept.main(OPTIONS, world) == 0


@pytest.mark.parametrize("limit", ["-1", "ten", "1.5"])
def test_a_limit_that_is_no_number_is_refused(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        only_kept.main([*OPTIONS, f"--limit={limit}"])
    assert f"{limit} is not a whole number" in capsys.readouterr().err


def test_a_context_that_is_not_there_is_named(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config"
    config.write_text(
        '{"apiVersion": "v1", "kind": "Config", "contexts": [], "clusters": [], "users": [], "current-context": ""}'
    )
    assert only_kept.main([*OPTIONS, "--kubeconfig", str(config)]) == 1
    assert capsys.readouterr().err.startswith("only_kept: --context: prod-use1 cannot be used from the kubeconfig: ")
