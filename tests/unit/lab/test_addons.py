"""What the lab's add-ons decide: admission, load balancers, metrics and network policies, without a cluster."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lab.addons import admission, kinds, load_balancers, metrics, objects, policies
from lab.addons.__main__ import Enforcer
from lab.addons.cluster import Cluster
from lab.addons.labels import matches
from lab.addons.server import Answers

A, B = "us-east-1", "us-west-2"


def thing(name: str, namespace: str = "production", *, labels: dict[str, str] | None = None, **rest: Any) -> dict[str, Any]:
    annotations = rest.pop("annotations", {})
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-of-{name}", "labels": labels or {}, "annotations": annotations}
    return {"metadata": metadata, **rest}


def service(name: str = "web", *, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    spec = {"type": "LoadBalancer", "selector": {"app": name}, "ports": [{"port": 80}], **spec}
    return thing(name, annotations=annotations or {}, spec=spec)


def pod(
    name: str, address: str | None, namespace: str = "production", *, labels: dict[str, str] | None = None, **spec: Any
) -> Any:
    spec = {"containers": [{"name": "main", "ports": [{"name": "http", "containerPort": 8080}]}], **spec}
    return thing(name, namespace, labels=labels, spec=spec, status={"phase": "Running", "podIP": address})


def having(**objects: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {kind: objects.get(kind, []) for kind in kinds.PATHS}


class Recorded(Cluster):
    """A cluster that only notes what it is told."""

    def __init__(self) -> None:
        super().__init__(None)
        self.told: list[tuple[str, str, Any]] = []

    def create(self, path, body):
        self.told.append(("create", path, body))
        return True

    def patch(self, path, body, content="application/merge-patch+json"):
        self.told.append(("patch", path, body))

    def delete(self, path):
        self.told.append(("delete", path, None))

    def read(self, path):
        return (
            thing("shop", annotations={admission.ROLE: "arn:aws:iam::123456789012:role/shop"}) if path.endswith("/shop") else None
        )


class TestLabels:
    @pytest.mark.parametrize(
        ("selector", "selected"),
        [
            ({}, True),
            ({"matchLabels": {"app": "web"}}, True),
            ({"matchLabels": {"app": "web", "tier": "front"}}, False),
            ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}, True),
            ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
            ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["front"]}]}, True),
            ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
            ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
        ],
    )
    def test_a_selector_selects_what_kubernetes_would_select(self, selector, selected):
        assert matches(selector, {"app": "web"}) is selected

    def test_an_operator_that_does_not_exist_is_an_error(self):
        with pytest.raises(ValueError, match="'Like' is no operator"):
            matches({"matchExpressions": [{"key": "app", "operator": "Like"}]}, {})

    @pytest.mark.parametrize(
        ("query", "labels", "selected"),
        [
            ("", {}, True),
            ("app=web,tier==front", {"app": "web", "tier": "front"}, True),
            ("app in (web, api),tier!=back", {"app": "api"}, True),
            ("app notin (web,api)", {"app": "api"}, False),
            ("app,!tier", {"app": "web"}, True),
            ("app,!tier", {"app": "web", "tier": "front"}, False),
        ],
    )
    def test_a_query_selects_what_its_words_say(self, query, labels, selected):
        assert matches(metrics.selector(query), labels) is selected

    def test_a_query_that_is_none_is_refused(self):
        with pytest.raises(ValueError, match="no requirement"):
            metrics.selector("app web")


class TestPodsGetTheirRegionAndRole:
    ACCOUNT = thing("shop", annotations={admission.ROLE: "arn:aws:iam::123456789012:role/shop"})

    @staticmethod
    def changed(pod: dict[str, Any], account: dict[str, Any] | None, region: str = B) -> dict[str, Any]:
        """The Pod with the changes, which all set whole lists."""
        result = json.loads(json.dumps(pod))
        for change in admission.with_identity(pod, account, region):
            *way, last = change["path"].split("/")[1:]
            target = result
            for step in way:
                target = target[int(step)] if isinstance(target, list) else target[step]
            target[last] = change["value"]
        return result

    def environment(self, *existing: tuple[str, str]) -> dict[str, str]:
        before = {"spec": {"containers": [{"name": "main", "env": [{"name": key, "value": value} for key, value in existing]}]}}
        (container,) = self.changed(before, self.ACCOUNT)["spec"]["containers"]
        return {variable["name"]: variable["value"] for variable in container["env"]}

    def test_a_pod_of_an_account_with_a_role_gets_both_and_a_token(self):
        before = {"spec": {"containers": [{"name": "main"}], "initContainers": [{"name": "first"}]}}
        spec = self.changed(before, self.ACCOUNT)["spec"]

        for container in (*spec["containers"], *spec["initContainers"]):
            values = {variable["name"]: variable["value"] for variable in container["env"]}
            assert values["AWS_REGION"] == values["AWS_DEFAULT_REGION"] == B
            assert values["AWS_ROLE_ARN"] == "arn:aws:iam::123456789012:role/shop"
            assert values["AWS_WEB_IDENTITY_TOKEN_FILE"] == f"{container['volumeMounts'][0]['mountPath']}/token"
        (volume,) = spec["volumes"]
        assert volume["projected"]["sources"][0]["serviceAccountToken"]["audience"] == "sts.amazonaws.com"

    def test_a_pod_that_has_the_other_regions_values_keeps_them(self):
        found = self.environment(("AWS_REGION", A), ("AWS_ROLE_ARN", "arn:of:a"))
        assert found == {"AWS_REGION": A, "AWS_ROLE_ARN": "arn:of:a"}

    def test_a_region_alone_keeps_out_no_role(self):
        found = self.environment(("AWS_DEFAULT_REGION", A))
        assert (found["AWS_DEFAULT_REGION"], "AWS_REGION" in found, "AWS_ROLE_ARN" in found) == (A, False, True)

    def test_volumes_and_mounts_that_are_there_stay_and_come_once(self):
        before = {"spec": {"containers": [{"name": "main"}], "volumes": [{"name": "data", "emptyDir": {}}]}}
        once = self.changed(before, self.ACCOUNT)
        assert self.changed(once, self.ACCOUNT) == once
        assert [volume["name"] for volume in once["spec"]["volumes"]] == ["data", "aws-iam-token"]

    @pytest.mark.parametrize("account", [None, thing("default"), {"metadata": {"name": "default", "annotations": None}}])
    def test_a_pod_of_an_account_without_a_role_is_left_alone(self, account):
        assert admission.with_identity({"spec": {"containers": [{"name": "main"}]}}, account, B) == []

    def test_the_webhook_knows_the_account_of_a_pod_whose_controller_names_no_namespace(self):
        answers = Answers(cluster=Recorded(), aws_region=B)
        asked = {
            "request": {
                "uid": "1",
                "namespace": "production",
                "object": {"metadata": {"generateName": "web-"}, "spec": {"serviceAccountName": "shop", "containers": [{}]}},
            }
        }
        response = answers.post("/mutate-pods", asked)["response"]
        assert response["allowed"]
        assert B in base64.b64decode(response["patch"]).decode()


class TestBindingsOfLoadBalancers:
    @staticmethod
    def answer(arn: str) -> dict[str, Any]:
        asked = {"request": {"uid": "7", "object": {"spec": {"targetGroupARN": arn}}}}
        return Answers(cluster=Recorded(), aws_region=B).post("/validate-targetgroupbindings", asked)["response"]

    def test_a_binding_of_the_other_region_is_refused_with_the_controllers_words(self):
        arn = load_balancers.binding(service(), A)["spec"]["targetGroupARN"]
        refused = self.answer(arn)
        assert (refused["uid"], refused["allowed"]) == ("7", False)
        assert f"Target groups '{arn}' not found" in refused["status"]["message"]

    def test_a_binding_of_its_own_region_is_admitted(self):
        assert self.answer(load_balancers.binding(service(), B)["spec"]["targetGroupARN"]) == {"uid": "7", "allowed": True}

    def test_what_is_no_arn_is_refused(self):
        assert not self.answer("")["allowed"]

    def test_the_same_service_has_another_binding_in_each_region(self):
        names = {load_balancers.binding(service(), region)["metadata"]["name"] for region in (A, B)}
        assert len(names) == 2

    @pytest.mark.parametrize(
        "chosen",
        [service(annotations={load_balancers.TYPE: "external"}), service(loadBalancerClass=load_balancers.CLASS)],
    )
    def test_a_service_of_the_controller_gets_a_binding(self, chosen):
        (made,) = load_balancers.bindings(having(services=[chosen]), A)
        assert made["spec"]["targetGroupARN"].startswith(f"arn:aws:elasticloadbalancing:{A}:")
        assert made["spec"]["serviceRef"] == {"name": "web", "port": 80}

    @pytest.mark.parametrize("other", [service(), service(type="ClusterIP"), service(loadBalancerClass="example.com/other")])
    def test_other_services_get_none(self, other):
        assert load_balancers.bindings(having(services=[other]), A) == []

    def test_an_ingress_of_the_controller_binds_each_backend_once(self):
        backend = {"backend": {"service": {"name": "web", "port": {"number": 80}}}}
        spec = {"ingressClassName": "alb", "rules": [{"http": {"paths": [backend, backend]}}]}
        found = load_balancers.bindings(having(services=[service(type="ClusterIP")], ingresses=[thing("front", spec=spec)]), A)
        assert [item["spec"]["serviceRef"]["name"] for item in found] == ["web"]
        assert load_balancers.bindings(having(services=[service()], ingresses=[thing("x", spec={})]), A) == []

    def test_a_binding_goes_with_its_service_and_another_regions_stays(self):
        gone, foreign = load_balancers.binding(service("gone"), A), load_balancers.binding(service("foreign"), B)
        cluster = Recorded()
        load_balancers.reconcile(cluster, having(targetgroupbindings=[gone, foreign]), aws_region=A, address="172.30.0.11")
        assert [(verb, path.rpartition("/")[2]) for verb, path, _ in cluster.told] == [("delete", gone["metadata"]["name"])]


class TestLoadBalancers:
    def test_a_service_is_served_at_the_regions_address(self):
        status = load_balancers.wanted_status(service(), "172.30.0.11")
        assert status == {"status": {"loadBalancer": {"ingress": [{"ip": "172.30.0.11"}]}}}

    def test_a_service_restored_from_the_other_region_gets_this_regions_address(self):
        restored = {**service(), **load_balancers.wanted_status(service(), "172.30.0.11")}
        assert load_balancers.wanted_status(restored, "172.30.0.12") is not None
        assert load_balancers.wanted_status(restored, "172.30.0.11") is None

    @pytest.mark.parametrize("other", [service(type="ClusterIP"), service(loadBalancerClass="example.com/other")])
    def test_services_of_others_are_left_alone(self, other):
        assert list(load_balancers.balanced(having(services=[other]))) == []

    @pytest.mark.parametrize(
        ("annotations", "words"),
        [
            ({load_balancers.SUBNETS: ",".join(load_balancers.subnets(A))}, "InvalidSubnetID.NotFound"),
            ({load_balancers.CERTIFICATE: load_balancers.certificate(A)}, "CertificateNotFound"),
        ],
    )
    def test_a_service_that_names_the_other_regions_parts_gets_an_event_and_no_address(self, annotations, words):
        cluster = Recorded()
        snapshot = having(services=[service(annotations={load_balancers.TYPE: "external", **annotations})])
        load_balancers.reconcile(cluster, snapshot, aws_region=B, address="172.30.0.12")
        ((verb, path, event),) = cluster.told
        assert (verb, path) == ("create", "/api/v1/namespaces/production/events")
        assert words in event["message"]
        assert event["involvedObject"]["uid"] == "uid-of-web"

        at_home = Recorded()
        load_balancers.reconcile(at_home, snapshot, aws_region=A, address="172.30.0.11")
        assert [verb for verb, _, _ in at_home.told] == ["patch", "create"], "an address and a binding"

    def test_no_subnet_is_in_two_regions(self):
        assert not set(load_balancers.subnets(A)) & set(load_balancers.subnets(B))


class TestReadinessGates:
    NAMESPACE = thing("production", labels={load_balancers.GATE_LABEL: "enabled"})

    def snapshot(self, region: str = B, **rest: Any) -> dict[str, Any]:
        bound = load_balancers.binding(service(), region)
        return having(services=[service()], namespaces=[self.NAMESPACE], targetgroupbindings=[bound], **rest)

    def test_a_pod_behind_a_binding_is_ready_once_the_binding_says_so(self):
        snapshot = self.snapshot()
        gates = load_balancers.gates(pod("web-1", None, labels={"app": "web"}), snapshot)
        assert gates == [f"target-health.elbv2.k8s.aws/{snapshot['targetgroupbindings'][0]['metadata']['name']}"]

        running = pod("web-1", "10.0.0.1", readinessGates=[{"conditionType": gates[0]}])
        assert load_balancers.satisfied(running, snapshot) is None, "its containers are not ready yet"
        running["status"]["conditions"] = [{"type": "ContainersReady", "status": "True"}]
        patch = load_balancers.satisfied(running, snapshot)
        assert [condition["type"] for condition in patch["status"]["conditions"]] == gates
        running["status"]["conditions"] += patch["status"]["conditions"]
        assert load_balancers.satisfied(running, snapshot) is None

    def test_the_gate_of_another_regions_binding_is_never_satisfied(self):
        foreign = load_balancers.gates(pod("web-1", None, labels={"app": "web"}), self.snapshot(A))
        restored = pod("web-1", "10.0.0.1", readinessGates=[{"conditionType": gate} for gate in foreign])
        restored["status"]["conditions"] = [{"type": "ContainersReady", "status": "True"}]
        assert load_balancers.satisfied(restored, self.snapshot(B)) is None

    def test_other_pods_and_namespaces_without_the_label_get_none(self):
        assert load_balancers.gates(pod("other", None, labels={"app": "api"}), self.snapshot()) == []
        unlabelled = self.snapshot() | {"namespaces": [thing("production")]}
        assert load_balancers.gates(pod("web-1", None, labels={"app": "web"}), unlabelled) == []

    def test_gates_that_are_there_stay(self):
        before = {"spec": {"readinessGates": [{"conditionType": "a"}]}}
        (change,) = admission.with_gates(before, ["a", "b"])
        assert change["value"] == [{"conditionType": "a"}, {"conditionType": "b"}]
        assert admission.with_gates(before, ["a"]) == []


class TestMetrics:
    def test_the_pods_of_one_owner_share_its_load(self):
        found = [pod(f"web-{number}", f"10.0.0.{number}", labels={"app": "web"}) for number in (1, 2)]
        for item in found:
            item["metadata"] |= {"annotations": {metrics.LOAD: "400"}, "ownerReferences": [{"uid": "the-replica-set"}]}
        snapshot = having(pods=[*found, pod("other", "10.0.0.9")])
        listed = metrics.pods(snapshot, "production", metrics.selector("app=web"))["items"]
        assert [item["containers"][0]["usage"]["cpu"] for item in listed] == ["200m", "200m"]
        assert metrics.pods(snapshot, "elsewhere", {})["items"] == []
        assert len(metrics.pods(snapshot, None, {})["items"]) == 3

    def test_a_pod_that_does_not_run_yet_has_none(self):
        waiting = pod("web-1", None)
        waiting["status"]["phase"] = "Pending"
        assert metrics.pods(having(pods=[waiting]), None, {})["items"] == []

    def test_the_server_answers_what_the_autoscaler_asks(self):
        cluster = Recorded()
        cluster.replace("pods", [pod("web-1", "10.0.0.1", labels={"app": "web"}), pod("api-1", "10.0.0.2")])
        answers = Answers(cluster=cluster, aws_region=A)
        url = "/apis/metrics.k8s.io/v1beta1/namespaces/production/pods?labelSelector=app%3Dweb"
        assert [item["metadata"]["name"] for item in answers.get(url)["items"]] == ["web-1"]
        assert answers.get("/apis/metrics.k8s.io/v1beta1")["resources"][0]["name"] == "pods"
        assert answers.get("/") is None
        assert answers.post("/", {}) is None


class TestNetworkPolicies:
    """What a policy's rules become. tests/contract/test_addons.py tries them on packets."""

    WEB, API = pod("web", "10.0.0.1", labels={"app": "web"}), pod("api", "10.0.0.2", labels={"app": "api"})
    ELSEWHERE = pod("job", "10.0.0.3", "k8s-dr")

    def rules(self, *policies_: dict[str, Any], chain: str) -> list[str]:
        spaces = [thing("production", labels={"kind": "apps"}), thing("k8s-dr", labels={"kind": "tools"})]
        snapshot = having(
            pods=[self.WEB, self.API, self.ELSEWHERE],
            namespaces=spaces,
            networkpolicies=[thing(f"policy-{number}", spec=spec) for number, spec in enumerate(policies_)],
        )
        lines = policies.ruleset(snapshot).splitlines()
        begin = lines.index(f"  chain {chain} {{")
        return [line.strip() for line in lines[begin + 1 : lines.index("  }", begin)]]

    def test_without_a_policy_nobody_is_isolated(self):
        text = policies.ruleset(having(pods=[self.WEB]))
        assert "drop" not in text
        assert "vmap" not in text

    def test_default_deny_leaves_both_directions_with_a_drop_alone(self):
        deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        for direction in ("ingress", "egress"):
            assert self.rules(deny, chain=f"{direction}-10-0-0-1") == ["counter drop"]
        assert "ip saddr vmap { 10.0.0.1 : jump egress-10-0-0-1, 10.0.0.2 : jump egress-10-0-0-2 }" in self.rules(
            deny, chain="input"
        )
        assert "10.0.0.3" not in " ".join(self.rules(deny, chain="forward")), "its namespace has no policy"

    def test_the_types_that_a_policy_leaves_out_are_ingress_and_egress_only_with_rules(self):
        assert "Egress" not in policies._types({"podSelector": {}})
        assert policies._types({"podSelector": {}, "egress": []}) == ["Ingress", "Egress"]

    def test_ports_by_number_range_name_and_protocol(self):
        ports = [{"port": 53, "protocol": "UDP"}, {"port": 8000, "endPort": 8100}, {"port": "http"}, {"protocol": "SCTP"}]
        found = self.rules({"podSelector": {}, "ingress": [{"ports": ports}]}, chain="ingress-10-0-0-1")
        assert found == [
            "udp dport 53 return",
            "tcp dport 8000-8100 return",
            "tcp dport 8080 return",
            "meta l4proto sctp return",
            "counter drop",
        ]

    def test_a_rule_without_peers_and_ports_admits_everything(self):
        found = self.rules({"podSelector": {}, "ingress": [{}], "policyTypes": ["Ingress"]}, chain="ingress-10-0-0-1")
        assert found == ["return", "counter drop"]

    @pytest.mark.parametrize(
        ("peer", "sources"),
        [
            ({"podSelector": {"matchLabels": {"app": "api"}}}, ["10.0.0.2"]),
            ({"namespaceSelector": {"matchLabels": {"kind": "tools"}}}, ["10.0.0.3"]),
            ({"namespaceSelector": {}}, ["10.0.0.1, 10.0.0.2, 10.0.0.3"]),
            ({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}, ["10.0.0.1"]),
            ({"podSelector": {"matchLabels": {"app": "nobody"}}}, []),
        ],
    )
    def test_peers_are_the_pods_that_the_selectors_select(self, peer, sources):
        found = self.rules({"podSelector": {}, "ingress": [{"from": [peer]}]}, chain="ingress-10-0-0-1")
        assert found == [*(f"ip saddr {{ {source} }} return" for source in sources), "counter drop"]

    def test_a_block_of_addresses_with_its_exceptions(self):
        block = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.2.0.0/16"]}
        spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": block}], "ports": [{"port": 443}]}]}
        found = self.rules(spec, chain="egress-10-0-0-1")
        wanted = "ip daddr 10.0.0.0/8 ip daddr != { 10.1.0.0/16, 10.2.0.0/16 } tcp dport 443 return"
        assert found == [wanted, "counter drop"]

    def test_the_named_port_of_egress_is_the_peers(self):
        peer = {"podSelector": {"matchLabels": {"app": "api"}}}
        spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [peer], "ports": [{"port": "http"}]}]}
        assert self.rules(spec, chain="egress-10-0-0-1")[0] == "ip daddr 10.0.0.2 tcp dport 8080 return"

    def test_policies_add_up(self):
        deny = {"podSelector": {}, "policyTypes": ["Ingress"]}
        allow = {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"ports": [{"port": 80}]}]}
        assert self.rules(deny, allow, chain="ingress-10-0-0-1") == ["tcp dport 80 return", "counter drop"]
        assert self.rules(deny, allow, chain="ingress-10-0-0-2") == ["counter drop"]

    def test_a_pod_that_ended_or_has_its_nodes_address_is_not_isolated(self):
        ended = pod("ended", "10.0.0.8")
        ended["status"]["phase"] = "Succeeded"
        deny = thing("deny", spec={"podSelector": {}})
        text = policies.ruleset(having(pods=[ended, pod("host", "10.0.0.9", hostNetwork=True)], networkpolicies=[deny]))
        assert "10.0.0.8" not in text
        assert "10.0.0.9" not in text

    def test_rules_are_applied_when_they_change_and_again_after_a_failure(self):
        applied: list[str] = []

        def apply(rules: str) -> None:
            applied.append(rules)
            if len(applied) == 1:
                raise OSError("nft is busy")

        enforce = Enforcer(apply)
        with pytest.raises(OSError, match="busy"):
            enforce(having())
        enforce(having())
        enforce(having())
        assert len(applied) == 2


class TestTheirObjects:
    def test_only_the_webhook_of_the_load_balancer_can_stop_anything(self):
        found = {item["kind"]: item for item in objects.documents("172.30.0.11", "a certificate") if "webhooks" in item}
        (validating,), (mutating,) = (found[kind]["webhooks"] for kind in sorted(found, reverse=True))
        assert validating["failurePolicy"] == "Fail"
        assert validating["rules"][0]["resources"] == ["targetgroupbindings"]
        assert mutating["failurePolicy"] == "Ignore"
        assert mutating["clientConfig"]["url"] == "https://172.30.0.11:9443/mutate-pods"

    def test_the_metrics_are_served_under_a_name_of_the_certificate(self):
        documents = {item["kind"]: item for item in objects.documents("172.30.0.11", "a certificate")}
        reference = documents["APIService"]["spec"]["service"]
        assert f"{reference['name']}.{reference['namespace']}.svc" in objects.server_names()
        assert documents["EndpointSlice"]["endpoints"][0]["addresses"] == ["172.30.0.11"]


class TestTheCluster:
    def test_events_change_what_there_is(self):
        cluster = Recorded()
        cluster.replace("pods", [pod("a", None), pod("b", None)])
        assert cluster.changed.is_set()
        cluster.note("pods", "DELETED", pod("a", None))
        cluster.note("pods", "MODIFIED", pod("b", "10.0.0.2"))
        cluster.note("pods", "ADDED", pod("c", None))
        found = {item["metadata"]["name"]: item["status"]["podIP"] for item in cluster.snapshot()["pods"]}
        assert found == {"b": "10.0.0.2", "c": None}

    def test_a_bookmark_is_no_object(self):
        cluster = Recorded()
        cluster.note("pods", "BOOKMARK", pod("a", None))
        assert cluster.snapshot()["pods"] == []
