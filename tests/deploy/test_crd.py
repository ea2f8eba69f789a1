"""Tests of the CRD: a real API server accepts valid policies and rejects invalid ones.

Run: .venv/bin/python -m unittest discover -s tests/deploy -v
"""

import json
import pathlib
import re
import unittest

import yaml

import control_plane

ROOT = pathlib.Path(__file__).resolve().parents[2]
CRD = ROOT / "deploy/crds/gpusharingpolicies.apportion.dev.yaml"


class TablesOfTheProgram(unittest.TestCase):
    """The schema repeats two tables of the program. They must not diverge."""

    def entry_rules(self) -> list[str]:
        schema = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        entry = schema["properties"]["spec"]["properties"]["strategies"]["items"]
        return [rule["rule"] for rule in entry["x-kubernetes-validations"]]

    def listed(self, words: str) -> set[str]:
        [rule] = [rule for rule in self.entry_rules() if words in rule]
        return set(re.findall(r"'([^']+)'", rule.split(words)[1]))

    def test_schema_lists_the_mig_profiles_of_the_program(self):
        self.assertEqual(self.listed("profile in ["), profiles_of_the_program())

    def test_schema_lists_the_products_without_mig_of_the_program(self):
        source = (ROOT / "crates/mig/src/product.rs").read_text()
        names = re.search(r"WITHOUT_MIG: &\[&str\] = &\[(.*?)\]", source, re.S)[1]
        self.assertEqual(self.listed("product.lowerAscii() in ["), {name.lower() for name in re.findall(r'"(\w+)"', names)})


def profiles_of_the_program() -> set[str]:
    """Returns every MIG profile in the geometry tables of the program."""
    source = (ROOT / "crates/mig/src/tables.rs").read_text().split("#[cfg(test)]")[0]
    first_of_seven = re.findall(r'seven_slices!\(\s*"([^"]+)"', source)
    return set(re.findall(r'"(\d+g\.\d+gb[^"]*)"', source)) | {f"{profile}+me" for profile in first_of_seven}


@unittest.skipIf(control_plane.missing(), control_plane.missing())
class Validation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(control_plane.ControlPlane())
        cls.cluster.kubectl("apply", "-f", str(CRD))
        cls.cluster.kubectl("wait", "--for=condition=Established", "crd/gpusharingpolicies.apportion.dev", "--timeout=60s")
        # The CRD is established shortly before it is served.
        cls.cluster.wait_for("the resource", lambda: not cls.cluster.kubectl("get", "gsp", check=False).returncode)

    def test_policies_are_accepted_or_rejected_as_listed(self):
        for case in yaml.safe_load((ROOT / "tests/deploy/crd_cases.yaml").read_text()):
            with self.subTest(case["what"]):
                policy = {
                    "apiVersion": "apportion.dev/v1alpha1",
                    "kind": "GpuSharingPolicy",
                    "metadata": {"name": case.get("name", "p")},
                    **({"spec": case["spec"]} if case["spec"] is not None else {}),
                }
                done = self.cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(policy), check=False)
                # kubectl prints some answers as quoted Go strings.
                answer = " ".join((done.stdout + done.stderr).replace('\\"', '"').split())
                if "refused" not in case:
                    self.assertEqual(done.returncode, 0, answer)
                    continue
                self.assertNotEqual(done.returncode, 0, answer)
                for words in case["refused"]:
                    self.assertIn(words, answer)
                for words in case.get("unsaid", []):
                    self.assertNotIn(words, answer)

    def test_shipped_policies_are_accepted_and_listed(self):
        self.cluster.kubectl("apply", "-f", str(ROOT / "policies"))
        status = {
            "observedGeneration": 1,
            "namespaces": 2,
            "pods": 17,
            "message": "mig on 13 products, else mps on T4, V100",
            "conditions": [
                {
                    "type": "Accepted",
                    "status": "True",
                    "reason": "Valid",
                    "message": "in use",
                    "observedGeneration": 1,
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }
            ],
        }
        self.cluster.kubectl("patch", "gsp", "inference", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
        table = self.cluster.kubectl("get", "gpusharingpolicies").stdout
        print(f"\n{table}")
        head, _, inference, *_ = table.splitlines()
        self.assertEqual(head.split(), "NAME MODE PRIORITY STRATEGY ELSE ACCEPTED NAMESPACES PODS AGE".split())
        self.assertEqual(inference.split()[:-1], "inference Enforce 0 mig mps True 2 17".split())
        for name in ("gsp", "apportion", "gpu"):
            self.assertIn("inference", self.cluster.kubectl("get", name, "-o", "name").stdout)


if __name__ == "__main__":
    unittest.main()
