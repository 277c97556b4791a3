"""A small chart of one operator. Tests make it, and it is built like the charts that the program installs."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

CRD = "widgets.example.com"
CHART = "apiVersion: v2\nname: operator\nversion: {version}\nappVersion: {version}\n"
VALUES = """
crds: {create: true}
image: {repository: example.com/operator, tag: ""}
podLabels: {}
"""
SCHEMA = {"type": "object", "properties": {"crds": {"type": "object", "properties": {"create": {"type": "boolean"}}}}}
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: operator, namespace: {{ .Release.Namespace }}}
spec:
  selector: {matchLabels: {app: operator}}
  template:
    metadata: {labels: {app: operator}}
    spec:
      containers:
        - name: operator
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
"""
KEPT = "annotations: {helm.sh/resource-policy: keep}"


def definition(*fields: str, annotations: str = KEPT) -> str:
    """A CustomResourceDefinition of Widgets that have these fields, each a text."""
    properties = json.dumps({field: {"type": "string"} for field in fields})
    return f"""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {CRD}
  {annotations}
spec:
  group: example.com
  names: {{kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{openAPIV3Schema: {{type: object, properties: {{spec: {{type: object, properties: {properties}}}}}}}}}
"""


def templated(text: str) -> str:
    """The text as a template with a switch around it, as in those charts."""
    return "{{- if .Values.crds.create }}" + text + "{{- end }}\n"


def archive(directory: Path, version: str = "1.0.0", changes: Mapping[str, str | None] | None = None) -> Path:
    """The chart's archive. `changes` replace files of it, or remove a file if the content is None."""
    files: dict[str, str | None] = {
        "Chart.yaml": CHART.format(version=version),
        "values.yaml": VALUES,
        "values.schema.json": json.dumps(SCHEMA),
        "templates/deployment.yaml": DEPLOYMENT,
        "templates/crds/crds.yaml": templated(definition("size")),
        **(changes or {}),
    }
    target = directory / f"operator-{version}.tgz"
    with tarfile.open(target, "w:gz") as tar:
        for path, content in files.items():
            if content is not None:
                member = tarfile.TarInfo(f"operator/{path}")
                member.size = len(content.encode())
                tar.addfile(member, io.BytesIO(content.encode()))
    return target
