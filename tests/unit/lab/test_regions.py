"""The parts of the lab's regions that need no region: addresses, keys, configuration, counters, and what may go wrong in them."""

from __future__ import annotations

import base64
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tarfile
import tomllib
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.paths import LabPaths
from lab.regions import (
    cgroups,
    configuration,
    containerd,
    daemons,
    kubeconfig,
    layout,
    ownership,
    pki,
    preflight,
    teardown,
    wan,
)
from lab.regions.commands import RegionError
from lab.regions.region import Region, image_names
from lab.regions.spec import PRIMARY, REGIONS, SECONDARY

V1_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
35 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
36 31 0:39 / /mnt/cgroup/memory rw,relatime - cgroup cgroup rw,memory
"""


class TestTheRegions:
    def test_no_two_networks_overlap(self):
        networks = [IPv4Network(network) for spec in REGIONS for network in (spec.pod_network, spec.service_network)]
        networks.append(IPv4Network("172.30.0.0/24"))

        assert not [pair for pair in combinations(networks, 2) if pair[0].overlaps(pair[1])]

    def test_the_api_service_has_the_first_address_of_the_service_network(self):
        assert PRIMARY.api_service_address == "10.111.0.1"
        assert SECONDARY.api_service_address == "10.112.0.1"

    def test_names_of_network_interfaces_fit_the_kernels_fifteen_characters(self):
        assert all(len(spec.link) <= 15 for spec in REGIONS)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """The primary's keys and certificates."""
    directory = tmp_path_factory.mktemp("pki")
    pki.ensure(directory, PRIMARY)
    return directory


class TestTheKeys:
    @staticmethod
    def certificate(directory, name):
        return x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())

    def test_every_certificate_is_signed_by_the_regions_authority(self, directory):
        authority = self.certificate(directory, "ca")
        for name in ("api", *(user.file for user in pki.users(PRIMARY))):
            self.certificate(directory, name).verify_directly_issued_by(authority)

    def test_the_api_server_is_trusted_at_its_own_addresses_and_not_at_the_other_regions(self, directory):
        names = self.certificate(directory, "api").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = names.get_values_for_type(x509.IPAddress)

        assert IPv4Address(PRIMARY.address) in addresses
        assert IPv4Address(PRIMARY.api_service_address) in addresses
        assert IPv4Address(SECONDARY.address) not in addresses
        assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)

    def test_users_can_only_be_clients(self, directory):
        for user in pki.users(PRIMARY):
            usage = self.certificate(directory, user.file).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]

    def test_the_node_is_who_the_node_authorizer_expects(self, directory):
        subject = self.certificate(directory, "node").subject
        assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:primary"
        assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"

    def test_no_two_users_share_a_name_so_that_the_audit_log_tells_them_apart(self):
        names = [user.name for user in pki.users(PRIMARY)]
        assert len(set(names)) == len(names)

    def test_a_region_that_comes_back_has_the_same_keys(self, directory):
        before = (directory / "ca.crt").read_bytes()
        pki.ensure(directory, PRIMARY)
        assert (directory / "ca.crt").read_bytes() == before

    def test_keys_half_made_are_made_anew(self, tmp_path):
        (tmp_path / "ca.crt").write_text("an interrupted attempt's")
        pki.ensure(tmp_path, PRIMARY)
        self.certificate(tmp_path, "ca")

    def test_only_the_owner_can_read_a_private_key(self, directory):
        assert all(file.stat().st_mode & 0o077 == 0 for file in directory.glob("*.key"))

    def test_the_addons_are_trusted_under_each_name_by_which_the_api_server_calls_them(self, directory):
        certificate = self.certificate(directory, "addons/server")
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        certificate.verify_directly_issued_by(self.certificate(directory, "addons/ca"))

        assert names.get_values_for_type(x509.IPAddress) == [IPv4Address(PRIMARY.address)]
        assert names.get_values_for_type(x509.DNSName) == ["metrics-server.kube-system.svc"]

    def test_the_kubeconfig_for_people_has_a_context_for_each_region(self, directory):
        config = yaml.safe_load(kubeconfig.for_people(dict.fromkeys(REGIONS, directory)))
        contexts = {context["name"]: context["context"] for context in config["contexts"]}
        servers = {cluster["name"]: cluster["cluster"]["server"] for cluster in config["clusters"]}

        assert list(contexts) == ["lab-primary", "lab-secondary"]
        assert servers[contexts["lab-secondary"]["cluster"]] == "https://172.30.0.12:6443"
        client = base64.b64decode(config["users"][0]["user"]["client-certificate-data"])
        assert client == (directory / "admin.crt").read_bytes()

    def test_a_kubeconfig_is_for_its_owner_alone(self, tmp_path):
        kubeconfig.write(tmp_path / "deep" / "kubeconfig", "content")
        assert (tmp_path / "deep" / "kubeconfig").stat().st_mode & 0o777 == 0o600


class TestContainerd:
    @pytest.mark.parametrize(
        ("answer", "major"),
        [
            ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", 1),
            ("containerd github.com/containerd/containerd 1.7.24", 1),
            ("containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7193e4e490e9fbdc236c0e811ccaba3376", 2),
            ("containerd github.com/containerd/containerd/v2 2.0.5", 2),
        ],
    )
    def test_its_major_version_is_read_from_its_own_words(self, answer, major):
        assert containerd.major_version(answer) == major

    def test_words_without_a_version_are_an_error(self):
        with pytest.raises(RegionError, match="does not say its version"):
            containerd.major_version("command not found")

    @pytest.mark.parametrize(
        ("version", "schema", "runtime", "images"),
        [
            ("containerd x 1.7.2", 2, "io.containerd.grpc.v1.cri", None),
            ("containerd x v2.1.0", 3, "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"),
        ],
    )
    def test_each_major_version_gets_the_plugin_names_that_it_knows(self, version, schema, runtime, images):
        config = tomllib.loads(containerd.configuration(version, Path("/usr/lib/cni"), "overlayfs"))

        assert config["version"] == schema
        assert config["plugins"][runtime]["restrict_oom_score_adj"] is True
        assert config["plugins"][runtime]["cni"]["bin_dir"] == "/usr/lib/cni"
        pause = config["plugins"][images]["pinned_images"]["sandbox"] if images else config["plugins"][runtime]["sandbox_image"]
        assert pause == containerd.PAUSE_IMAGE
        assert config["grpc"]["address"] == layout.CONTAINERD_SOCKET

    def test_missing_network_plugins_are_an_error_that_names_the_package(self, monkeypatch, tmp_path):
        monkeypatch.setattr(containerd, "PLUGIN_DIRECTORIES", (tmp_path,))
        with pytest.raises(RegionError, match="containernetworking-plugins"):
            containerd.plugin_directory()

    def test_pods_get_addresses_of_their_regions_network(self):
        plugin = json.loads(containerd.network(SECONDARY))["plugins"][0]
        assert plugin["ipam"]["ranges"] == [[{"subnet": "10.12.0.0/16"}]]


class TestConfiguration:
    def test_the_kubelets_of_two_regions_have_groups_of_their_own(self):
        roots = {configuration.kubelet(spec)["cgroupRoot"] for spec in REGIONS}
        assert len(roots) == len(REGIONS)
        assert "/" not in roots

    def test_the_audit_log_keeps_all_that_people_do_and_drops_what_parts_read(self):
        def level(user, verb, group="", resource="pods", groups=()):
            for rule in configuration.audit_policy()["rules"]:
                matches = [
                    user in rule.get("users", [user]),
                    verb in rule.get("verbs", [verb]),
                    not rule.get("userGroups") or bool(set(groups) & set(rule["userGroups"])),
                    not rule.get("resources")
                    or any(entry["group"] == group and resource in entry["resources"] for entry in rule["resources"]),
                ]
                if all(matches):
                    return rule["level"]
            return None

        assert level("admin", "get") == "Metadata"
        assert level("admin", "patch") == "Metadata"
        assert level("system:serviceaccount:velero:velero", "list", groups=["system:serviceaccounts:velero"]) == "Metadata"
        assert level("system:kube-scheduler", "watch") == "None"
        assert level("system:kube-scheduler", "create") == "Metadata"
        assert level("system:node:primary", "get", groups=["system:nodes"]) == "None"
        assert level("system:node:primary", "update", "coordination.k8s.io", "leases", ["system:nodes"]) == "None"

    def test_volumes_directories_are_made_by_the_image_that_is_asked_for(self):
        objects = {entry["kind"]: entry for entry in configuration.storage_objects("local/helper:9")}
        helper = yaml.safe_load(objects["ConfigMap"]["data"]["helperPod.yaml"])

        assert helper["spec"]["containers"][0]["image"] == "local/helper:9"
        assert objects["StorageClass"]["metadata"]["name"] == "gp3-encrypted"

    def test_every_file_that_a_daemon_is_given_is_written(self):
        tools = {name: f"/bin/{name}" for name in layout.TOOLS}
        commands = {
            **daemons.control_plane(PRIMARY, tools),
            **daemons.controllers(tools),
            **daemons.node(PRIMARY, tools, "local/helper:1"),
        }
        words = [word.partition("=")[2] or word for command in commands.values() for word in command]
        given = {word.removeprefix(f"{layout.CONFIG}/") for word in words if word.startswith(f"{layout.CONFIG}/")}
        written = {
            *configuration.files(PRIMARY, "local/helper:1", "a certificate"),
            *(f"{user.file}.kubeconfig" for user in pki.users(PRIMARY)),
            "containerd.toml",
        }
        assert given <= written

    def test_what_the_first_process_is_told_survives_the_file(self, tmp_path):
        boot = layout.Boot(
            region="primary", disk="/x", tools={"etcd": "/bin/etcd"}, kinds=["/x"], storage_helper="local/helper:1"
        )
        boot.write(tmp_path / "boot.json")
        assert layout.Boot.read(tmp_path / "boot.json") == boot

    def test_a_path_inside_the_region_has_its_place_on_the_disk(self):
        assert layout.on_disk(Path("/lab/regions/primary"), layout.AUDIT_LOG) == Path("/lab/regions/primary/audit.log")


class TestPacketCounters:
    def test_everyone_who_can_send_is_counted_towards_every_region_but_its_own(self):
        counted = {
            name: {spec.name for spec in REGIONS if f"counter name {spec.name}" in r} for name, r in wan.rulesets().items()
        }
        assert counted == {
            "drlab-wan": {"primary", "secondary"},
            "drlab-ops": {"primary", "secondary"},
            "drlab-primary": {"secondary"},
            "drlab-secondary": {"primary"},
        }

    def test_all_addresses_of_a_region_count(self):
        rules = wan.rulesets()["drlab-ops"]
        assert "ip daddr { 172.30.0.11, 10.11.0.0/16, 10.111.0.0/16 } counter name primary" in rules

    def test_regions_count_what_leaves_for_the_wan_pods_included(self):
        assert "hook postrouting" in wan.rulesets()["drlab-primary"]
        assert 'oifname "eth0" ip daddr' in wan.rulesets()["drlab-primary"]


class TestCgroups:
    def test_version_1_hierarchies_are_found_by_controller(self):
        controllers, others = cgroups.parse_mounts(V1_MOUNTS)
        assert controllers == {
            "cpu": Path("/sys/fs/cgroup/cpu,cpuacct"),
            "cpuacct": Path("/sys/fs/cgroup/cpu,cpuacct"),
            "memory": Path("/sys/fs/cgroup/memory"),
        }
        assert others == [Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified")]

    def test_a_version_1_machine_without_a_needed_controller_is_told_so(self):
        controllers, others = cgroups.parse_mounts(V1_MOUNTS)
        assert "cpuset, devices, pids" in (cgroups.CgroupsV1(controllers, others).obstacle() or "")

    def test_a_version_2_group_gets_the_controllers_that_there_are(self, tmp_path):
        (tmp_path / "cgroup.controllers").write_text("memory")
        (tmp_path / "cgroup.subtree_control").write_text("")
        cgroups.CgroupsV2(tmp_path).create("drlab-primary")

        assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"
        assert (tmp_path / "drlab-primary" / "sys").is_dir()

    def test_a_version_2_controller_that_is_on_already_is_left_alone(self, tmp_path):
        (tmp_path / "cgroup.controllers").write_text("cpu memory")
        (tmp_path / "cgroup.subtree_control").write_text("cpu memory")
        cgroups.CgroupsV2(tmp_path).create("drlab-primary")
        assert (tmp_path / "cgroup.subtree_control").read_text() == "cpu memory"

    def test_a_version_2_machine_that_delegates_too_little_is_told_so(self, tmp_path):
        (tmp_path / "cgroup.controllers").write_text("memory pids")
        assert "cpu, cpuset" in (cgroups.CgroupsV2(tmp_path).obstacle() or "")

    def test_a_version_2_group_counts_processes_below_it_and_goes_when_they_are_gone(self, tmp_path):
        groups = cgroups.CgroupsV2(tmp_path)
        pod = tmp_path / "drlab-primary" / "kubepods" / "pod1"
        pod.mkdir(parents=True)
        (pod / "cgroup.procs").write_text("12\n13\n")
        assert groups.pids("drlab-primary") == {12, 13}

        (pod / "cgroup.procs").unlink()
        groups.remove("drlab-primary", timeout=1)
        assert not groups.exists("drlab-primary")

    def test_the_processes_of_one_container_are_told_from_those_beside_it(self, tmp_path):
        pod = tmp_path / "drlab-primary" / "kubepods" / "pod1"
        for container, pid in (("a1b2", "12"), ("c3d4", "13")):
            (pod / container).mkdir(parents=True)
            (pod / container / "cgroup.procs").write_text(f"{pid}\n")
        assert cgroups.CgroupsV2(tmp_path).pids("drlab-primary", "c3d4") == {13}

    def test_a_group_that_does_not_get_empty_is_an_error_with_its_processes(self, tmp_path):
        (tmp_path / "drlab-primary").mkdir()
        (tmp_path / "drlab-primary" / "cgroup.procs").write_text("12\n")
        with pytest.raises(RegionError, match=r"\[12\] do not end"):
            cgroups.CgroupsV2(tmp_path).remove("drlab-primary", timeout=0.1)


class TestOwnership:
    @pytest.fixture
    def labs(self, tmp_path):
        for name in ("a", "b"):
            (tmp_path / name / ".lab").mkdir(parents=True)
        return tmp_path / "a" / ".lab", tmp_path / "b" / ".lab", tmp_path / "record"

    def test_a_second_lab_is_refused_and_told_where_the_first_is(self, labs):
        first, second, record = labs
        ownership.claim(first, record)
        with pytest.raises(RegionError, match=str(first)):
            ownership.claim(second, record)

    def test_the_same_lab_may_claim_again(self, labs):
        first, _, record = labs
        ownership.claim(first, record)
        ownership.claim(first, record)
        assert ownership.owner(record) == first

    def test_what_one_lab_released_another_may_have(self, labs):
        first, second, record = labs
        ownership.claim(first, record)
        ownership.release(first, record)
        ownership.claim(second, record)
        assert ownership.owner(record) == second

    def test_releasing_what_is_anothers_changes_nothing(self, labs):
        first, second, record = labs
        ownership.claim(first, record)
        ownership.release(second, record)
        assert ownership.owner(record) == first

    def test_a_lab_whose_directory_was_deleted_owns_nothing(self, labs):
        first, second, record = labs
        ownership.claim(first, record)
        first.rmdir()
        ownership.claim(second, record)
        assert ownership.owner(record) == second

    def test_a_claim_ends_with_a_reboot(self, labs, monkeypatch, tmp_path):
        first, second, record = labs
        ownership.claim(first, record)
        (tmp_path / "boot").write_text("another\n")
        monkeypatch.setattr(ownership, "_BOOT", tmp_path / "boot")
        assert not ownership.is_anothers(second, record)


class TestARegion:
    @staticmethod
    def archive(path, *tags):
        manifest = json.dumps([{"Config": "c.json", "RepoTags": list(tags), "Layers": []}]).encode()
        with tarfile.open(path, "w") as file:
            entry = tarfile.TarInfo("manifest.json")
            entry.size = len(manifest)
            file.addfile(entry, io.BytesIO(manifest))
        return path

    def test_images_are_known_by_the_runtimes_names(self, tmp_path):
        archive = self.archive(tmp_path / "x.tar", "local/shop:1", "registry.k8s.io/pause:3", "localhost/x:1")
        assert image_names(archive) == ["docker.io/local/shop:1", "registry.k8s.io/pause:3", "localhost/x:1"]

    def test_one_that_does_not_run_says_so(self, tmp_path):
        region = Region(LabPaths(root=tmp_path), PRIMARY, {})
        assert not region.alive
        with pytest.raises(RegionError, match="primary does not run"):
            region.run(["true"])

    def test_a_container_is_killed_by_its_id_and_no_signal_tells_it_beforehand(self, tmp_path, monkeypatch):
        monkeypatch.setattr(cgroups, "current", lambda: cgroups.CgroupsV2(tmp_path))
        region, pod = Region(LabPaths(root=tmp_path), PRIMARY, {}), tmp_path / "drlab-primary" / "kubepods" / "pod1"
        deaf = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]
        with subprocess.Popen(deaf) as killed, subprocess.Popen(["sleep", "60"]) as beside:
            for container, child in (("a1b2", killed), ("c3d4", beside)):
                (pod / container).mkdir(parents=True)
                (pod / container / "cgroup.procs").write_text(f"{child.pid}\n")
            try:
                region.kill_container("containerd://a1b2")
                assert killed.wait(timeout=10) == -signal.SIGKILL
                assert beside.poll() is None
            finally:
                killed.kill()
                beside.kill()

    @pytest.mark.parametrize("container", ["containerd://gone", "containerd://", ""])
    def test_a_container_without_a_process_is_an_error(self, tmp_path, monkeypatch, container):
        monkeypatch.setattr(cgroups, "current", lambda: cgroups.CgroupsV2(tmp_path))
        with pytest.raises(RegionError, match="runs no process of container"):
            Region(LabPaths(root=tmp_path), PRIMARY, {}).kill_container(container)

    def test_waiting_for_one_that_died_shows_the_end_of_its_log(self, tmp_path):
        region = Region(LabPaths(root=tmp_path), PRIMARY, {})
        region.log.parent.mkdir(parents=True)
        region.log.write_text("etcd ended while the region was starting\n")
        with pytest.raises(RegionError, match="etcd ended while"):
            region.wait_ready(timeout=5)


class TestTheEnd:
    @pytest.mark.parametrize(("system", "user"), [("Darwin", 0), ("Linux", 1000)])
    def test_where_no_region_can_run_there_is_nothing_to_end(self, monkeypatch, tmp_path, system, user):
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setattr(os, "geteuid", lambda: user)
        monkeypatch.setattr(teardown, "Region", None)
        teardown.down(LabPaths(root=tmp_path))
        assert teardown.leftovers(LabPaths(root=tmp_path)) == []


class TestPreflight:
    def test_another_system_is_an_obstacle(self, monkeypatch):
        monkeypatch.setattr(platform, "system", lambda: "Darwin")
        assert preflight.obstacles() == ["the lab needs Linux, and this is Darwin"]

    def test_another_processor_is_an_obstacle(self, monkeypatch):
        monkeypatch.setattr(platform, "system", lambda: "Linux")
        monkeypatch.setattr(platform, "machine", lambda: "riscv64")
        assert "the lab needs an amd64 or arm64 processor, and this is riscv64" in preflight.obstacles()

    def test_another_user_than_root_is_an_obstacle(self, monkeypatch):
        monkeypatch.setattr(platform, "system", lambda: "Linux")
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        assert any("needs root" in line for line in preflight.obstacles())

    def test_namespaces_that_cannot_be_made_are_an_obstacle_with_the_systems_reason(self, monkeypatch):
        monkeypatch.setattr(platform, "system", lambda: "Linux")
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(preflight, "_NAMESPACES", ("sh", "-c", "echo not permitted >&2; exit 1"))
        assert any("may not create namespaces" in line and "not permitted" in line for line in preflight.obstacles())

    def test_it_never_raises(self, monkeypatch):
        def broken():
            raise OSError("no such call")

        monkeypatch.setattr(platform, "system", broken)
        assert preflight.obstacles() == ["this machine could not be examined: no such call"]

    def test_every_obstacle_is_one_line(self, monkeypatch):
        monkeypatch.setattr(platform, "system", lambda: "Linux")
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(preflight, "_NAMESPACES", ("sh", "-c", "printf 'a\\nb\\n' >&2; exit 1"))
        assert all("\n" not in line for line in preflight.obstacles())
