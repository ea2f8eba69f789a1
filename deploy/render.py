#!/usr/bin/env python3
"""Renders the chart into deploy/manifests, and copies shared files into the chart.

    python3 -m venv .venv && .venv/bin/pip install helm-python-sdk==0.2.2 pyyaml
    .venv/bin/python deploy/render.py                    update files that are out of date
    .venv/bin/python deploy/render.py --check            list them instead, and exit 1
    .venv/bin/python deploy/render.py --values VALUES    print the objects for these values (JSON)

For example, VALUES can be '{"scheduler": {"extender": {"bind": true}}}'. No helm binary is needed: the
package on PyPI contains Helm's SDK.
"""

import argparse
import difflib
import json
import pathlib
import sys

import helm_python as helm
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
CHART = ROOT / "deploy/chart"
MANIFESTS = ROOT / "deploy/manifests"
CRD = ROOT / "deploy/crds/gpusharingpolicies.apportion.dev.yaml"
RELEASE, NAMESPACE = "apportion", "apportion-system"
# The chart's defaults, plus the namespace, which Helm would create itself.
VALUES = {"namespace": {"create": True}}
HEADER = "# Rendered from deploy/chart by deploy/render.py; change it there.\n"
HELM_LABELS = ("helm.sh/chart:", "app.kubernetes.io/managed-by:")

# Objects that others depend on come first. Within a kind, objects are sorted by name.
ORDER = [
    "Namespace",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Service",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Deployment",
    "MutatingWebhookConfiguration",
]


def copies() -> dict[pathlib.Path, str]:
    """Returns the files that the chart has to repeat: it cannot include files from outside."""
    made = {CHART / "crds" / CRD.name: CRD.read_text()}
    for policy in sorted((ROOT / "policies").glob("*.yaml")):
        made[CHART / "files/policies" / policy.name] = policy.read_text()
    for shipped in ("rules.yaml", "dashboard.json"):
        made[CHART / "files/monitoring" / shipped] = (ROOT / "deploy/monitoring" / shipped).read_text()
    return made


def documents(values: dict) -> list[str]:
    """Returns the rendered objects as text, with comments, in a stable order."""
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        rendered = chart.render(values, name=RELEASE, namespace=NAMESPACE)
    found = []
    for path, text in rendered.items():
        if path.endswith("NOTES.txt"):
            continue
        for document in text.split("\n---"):
            lines = document.removeprefix("---").strip().splitlines()
            # These labels would claim that Helm manages objects that kubectl applied.
            kept = [line.rstrip() for line in lines if not line.strip().startswith(HELM_LABELS)]
            document = "\n".join(kept)
            if yaml.safe_load(document):
                found.append(document + "\n")
    return sorted(found, key=_place)


def _place(document: str) -> tuple:
    this = yaml.safe_load(document)
    kind = this["kind"]
    return (ORDER.index(kind) if kind in ORDER else len(ORDER), kind, this["metadata"]["name"])


def manifests() -> dict[pathlib.Path, str]:
    # Policies are a separate file: the API server must serve their CRD before they can be applied.
    rest, policies = [], []
    for document in documents(VALUES):
        (policies if yaml.safe_load(document)["kind"] == "GpuSharingPolicy" else rest).append(document)
    return {
        MANIFESTS / "crds.yaml": HEADER + "---\n" + CRD.read_text(),
        MANIFESTS / "install.yaml": HEADER + "---\n" + "---\n".join(rest),
        MANIFESTS / "policies.yaml": HEADER + "---\n" + "---\n".join(policies),
    }


def write(files: dict[pathlib.Path, str], check: bool) -> list[pathlib.Path]:
    """Writes the files that differ, or with `check` shows the differences."""
    stale = []
    for folder in {path.parent for path in files}:
        for path in sorted(folder.glob("*")):
            if path not in files:
                stale.append(path)
                print(f"{path.relative_to(ROOT)}: is not generated from anything")
                if not check:
                    path.unlink()
    for path, text in files.items():
        before = path.read_text() if path.exists() else ""
        if before == text:
            continue
        stale.append(path)
        name = str(path.relative_to(ROOT))
        if check:
            print(f"{name}: out of date; run deploy/render.py")
            lines = difflib.unified_diff(before.splitlines(True), text.splitlines(True), name, "rendered")
            sys.stdout.writelines(list(lines)[:40])
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"{name}: written")
    return stale


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    arguments.add_argument("--values", type=json.loads, help="write nothing; print the objects for these values (JSON)")
    asked = arguments.parse_args()
    if asked.values is not None:
        print("---\n".join(documents(VALUES | asked.values)), end="")
        return 0
    check = asked.check
    # The manifests are rendered from the copies, so write the copies first.
    stale = write(copies(), check)
    stale += write(manifests(), check)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
