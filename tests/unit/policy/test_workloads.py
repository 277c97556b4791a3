"""workload-hygiene."""

import pytest

from checks import workloads
from tests.unit.policy.stacks import of_stack, resource, stack

DIGEST = "@sha256:" + 64 * "0"
RESOURCES = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}


def pod(image=f"registry.k8s.io/etcd:v3.6.5{DIGEST}", resources=RESOURCES, **spec):
    return {"containers": [{"name": "main", "image": image, "resources": resources}], **spec}


def job(spec):
    return resource("kubernetes:batch/v1:Job", "job", spec={"template": {"spec": spec}})


def judged(*resources):
    return [message for _, message in of_stack(workloads.POLICY, stack(*resources))]


def test_a_pinned_image_with_its_share_is_good():
    assert judged(job(pod())) == []
    assert judged(job(pod(f"registry.k8s.io/etcd{DIGEST}"))) == []


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("registry.k8s.io/etcd:v3.6.5", "add the digest"),
        ("registry.example.com:5000/etcd", "no fixed version"),
        ("etcd:latest", "no fixed version"),
    ],
)
def test_an_image_is_pinned_by_its_digest(image, said):
    (message,) = judged(job(pod(image)))
    assert image in message
    assert said in message


def test_every_container_says_what_it_needs():
    messages = judged(job({**pod(), "initContainers": pod(resources={"requests": {"cpu": "1"}})["containers"]}))
    assert [message.partition(" of ")[0] for message in messages] == ["no requests.memory", "no limits.memory"]


def test_pods_are_found_wherever_they_are_written():
    template = {"template": {"spec": pod("a")}}
    written = {"Deployment": template, "DaemonSet": template, "StatefulSet": template}
    kinds = [resource(f"kubernetes:apps/v1:{kind}", kind, spec=spec) for kind, spec in written.items()]
    kinds.append(resource("kubernetes:batch/v1:CronJob", spec={"jobTemplate": {"spec": template}}))
    kinds.append(resource("kubernetes:core/v1:Pod", spec=pod("a")))
    assert len(judged(*kinds)) == 5


def test_a_namespace_has_a_network_policy():
    namespace = resource("kubernetes:core/v1:Namespace", metadata={"name": "velero"})
    policy = resource("kubernetes:networking.k8s.io/v1:NetworkPolicy", metadata={"name": "p", "namespace": "velero"})
    (message,) = judged(namespace)
    assert "velero" in message
    assert judged(namespace, policy) == []
