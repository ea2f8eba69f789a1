"""Tests of the Helm chart: every way to install it, invalid values, and the rendered manifests."""

import re
import subprocess
import sys
import unittest

import yaml

from test_crd import ROOT, profiles_of_the_program

try:
    import helm_python as helm
except ImportError:
    helm = None

CHART = ROOT / "deploy/chart"


@unittest.skipIf(helm is None, "NOT TESTED: pip install helm-python-sdk")
class Chart(unittest.TestCase):
    def render(self, values: dict | None = None) -> dict[tuple[str, str], dict]:
        with helm.Chart.load(CHART) as chart:
            chart.validate_schema(chart.merge_values(values or {}))
            rendered = chart.render(values or {}, name="apportion", namespace="apportion-system")
        self.notes = rendered.pop("apportion/templates/NOTES.txt")
        objects = [o for text in rendered.values() for o in yaml.safe_load_all(text) if o]
        found = {(o["kind"], o["metadata"]["name"]): o for o in objects}
        self.assertEqual(len(found), len(objects), "two objects have the same kind and name")
        return found

    def args(self, objects: dict, name: str = "apportion") -> list[str]:
        spec = objects["Deployment", name]["spec"]["template"]["spec"]
        return (spec.get("initContainers") or spec["containers"])[0]["args"]

    def test_lint_passes(self):
        report = helm.lint(CHART, strict=True, namespace="apportion-system")
        self.assertEqual((report["errors"], [m for m in report["messages"] if m["severity"] > 1]), ([], []))

    def test_copies_and_manifests_are_up_to_date(self):
        done = subprocess.run([sys.executable, ROOT / "deploy/render.py", "--check"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_scheduler_config_manages_every_mig_profile(self):
        with helm.Chart.load(CHART) as chart:
            self.assertEqual(set(chart.values["migProfiles"]), profiles_of_the_program())
        config = yaml.safe_load(self.render()["ConfigMap", "apportion-scheduler"]["data"]["config.yaml"])
        [extender] = config["extenders"]
        names = [resource["name"] for resource in extender["managedResources"]]
        self.assertEqual(len(names), len(set(names)))
        for name in ("nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb.me", "nvidia.com/mig-1g.10gb.shared"):
            self.assertIn(name, names)
        self.assertNotIn("+", "".join(names))
        self.assertEqual((extender["ignorable"], extender["nodeCacheCapable"]), (False, True))

    def test_containers_use_only_known_flags(self):
        known = set(
            "--webhook-listen --extender-listen --admin-listen --no-webhook --no-extender --extender-plain-http --extender-client-ca"
            " --tls-managed --tls-managed-secret --tls-service --webhook-configuration --tls-cert --tls-key --policies"
            " --scheduler-name --on-unknown --filter-answer-size --bind --preempt --drain-delay --log --log-format".split()
        )
        exposed = {"extender": {"expose": True, "clientCASecret": "ca"}, "policies": {"configMap": "files"}}
        secret = {"tls": {"mode": "secret", "secret": {"name": "mine", "caBundle": "Zm9v"}}}
        for values in ({}, exposed, secret):
            for name in ("apportion", "apportion-scheduler"):
                verb, *flags = self.args(self.render(values), name)
                self.assertEqual((verb, {flag.split("=")[0] for flag in flags} - known), ("serve", set()))

    def test_managed_certificates_set_flags_and_permissions(self):
        objects = self.render()
        self.assertIn("--tls-managed-secret=apportion-tls", self.args(objects))
        self.assertIn("--tls-service=apportion", self.args(objects))
        self.assertIn("--webhook-configuration=apportion", self.args(objects))
        rules = objects["Role", "apportion"]["rules"]
        self.assertIn({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["apportion-tls"], "verbs": ["get", "update"]}, rules)

    def test_other_certificates_need_no_permissions(self):
        secret = {"tls": {"mode": "secret", "secret": {"name": "mine", "caBundle": "Zm9v"}}}
        for values in (secret, {"tls": {"mode": "cert-manager"}}):
            objects = self.render(values)
            self.assertIn("--tls-cert=/etc/apportion/tls/tls.crt", self.args(objects))
            rights = yaml.safe_dump([o.get("rules") for (kind, _), o in objects.items() if kind in ("Role", "ClusterRole")])
            self.assertNotIn("secrets", rights)
            self.assertNotIn("webhookconfigurations", rights)
        webhooks = self.render(secret)["MutatingWebhookConfiguration", "apportion"]["webhooks"]
        self.assertEqual({w["clientConfig"]["caBundle"] for w in webhooks}, {"Zm9v"})

    def test_cert_manager_creates_certificate_and_injects_ca(self):
        objects = self.render({"tls": {"mode": "cert-manager"}})
        self.assertEqual(objects["Certificate", "apportion"]["spec"]["dnsNames"], ["apportion.apportion-system.svc"])
        annotations = objects["MutatingWebhookConfiguration", "apportion"]["metadata"]["annotations"]
        self.assertEqual(annotations, {"cert-manager.io/inject-ca-from": "apportion-system/apportion"})
        objects = self.render({"tls": {"mode": "cert-manager", "certManager": {"issuerRef": {"name": "ours", "kind": "ClusterIssuer"}}}})
        self.assertEqual(objects["Certificate", "apportion"]["spec"]["issuerRef"], {"name": "ours", "kind": "ClusterIssuer"})
        self.assertNotIn("Issuer", {kind for kind, _ in objects})

    def test_service_monitor_selects_only_the_metrics_service(self):
        objects = self.render({"metrics": {"serviceMonitor": {"enabled": True}}})
        wanted = objects["ServiceMonitor", "apportion"]["spec"]["selector"]["matchLabels"]
        self.assertLessEqual(wanted.items(), objects["Service", "apportion-metrics"]["metadata"]["labels"].items())
        others = [name for kind, name in objects if kind == "Service" and name != "apportion-metrics"]
        for name in others:
            self.assertFalse(wanted.items() <= objects["Service", name]["metadata"]["labels"].items(), name)

    def test_rules_and_dashboard_equal_the_files_of_the_repository(self):
        self.assertNotIn(("PrometheusRule", "apportion"), self.render())
        on = {"enabled": True, "labels": {"release": "stack"}}
        objects = self.render({"metrics": {"prometheusRule": on, "dashboard": on}})
        rule = objects["PrometheusRule", "apportion"]
        self.assertEqual(rule["metadata"]["labels"]["release"], "stack")
        self.assertEqual(rule["spec"], yaml.safe_load((ROOT / "deploy/monitoring/rules.yaml").read_text()))
        dashboard = objects["ConfigMap", "apportion-dashboard"]
        self.assertEqual(dashboard["data"]["gpu-sharing.json"].strip(), (ROOT / "deploy/monitoring/dashboard.json").read_text().strip())

    def test_exposed_extender_requires_client_certificates(self):
        objects = self.render({"extender": {"expose": True, "clientCASecret": "ca"}, "scheduler": {"enabled": False}})
        args = self.args(objects)
        self.assertIn("--extender-client-ca=/etc/apportion/client-ca/ca.crt", args)
        self.assertFalse([flag for flag in args if flag.startswith(("--no-extender", "--scheduler-name", "--extender-plain"))], args)
        self.assertNotIn(("Deployment", "apportion-scheduler"), objects)
        self.assertIn(("Service", "apportion-extender"), objects)

    def test_binding_adds_a_separate_role(self):
        self.assertNotIn("pods/binding", yaml.safe_dump(list(self.render().values())))
        objects = self.render({"scheduler": {"extender": {"bind": True}}})
        self.assertEqual(objects["ClusterRole", "apportion-bind"]["rules"][0]["resources"], ["pods/binding"])
        self.assertIn("bindVerb: bind", objects["ConfigMap", "apportion-scheduler"]["data"]["config.yaml"])
        self.assert_extender(objects, bind=True, preempt=False)

    def test_evicting_adds_a_separate_role(self):
        objects = self.render()
        self.assertNotIn("pods/eviction", yaml.safe_dump(list(objects.values())))
        self.assert_extender(objects, bind=False, preempt=False)
        objects = self.render({"scheduler": {"extender": {"preempt": True}}})
        self.assertEqual(objects["ClusterRole", "apportion-preempt"]["rules"][0]["resources"], ["pods/eviction"])
        self.assertIn("preemptVerb: preempt", objects["ConfigMap", "apportion-scheduler"]["data"]["config.yaml"])
        self.assert_extender(objects, bind=False, preempt=True)

    def assert_extender(self, objects, bind, preempt):
        """Checks the flags of the extender next to the scheduler, and its rights to the Lease."""
        [extender] = objects["Deployment", "apportion-scheduler"]["spec"]["template"]["spec"]["initContainers"]
        self.assertEqual(("--bind" in extender["args"], "--preempt" in extender["args"]), (bind, preempt))
        # The extender may only use the Lease that its flag names.
        self.assertEqual("--lease-name=apportion-scheduler" in extender["args"], bind or preempt)
        leases = [rule["resourceNames"] for rule in objects["Role", "apportion-scheduler"]["rules"]]
        self.assertEqual(["apportion-scheduler-bind"] in leases, bind or preempt)

    def test_roles_contain_no_wildcards(self):
        for (kind, name), o in self.render({"scheduler": {"extender": {"bind": True, "preempt": True}}}).items():
            for rule in o.get("rules", []) if kind in ("Role", "ClusterRole") else []:
                self.assertNotIn("*", rule["apiGroups"] + rule["resources"] + rule["verbs"], name)
                if "secrets" in rule["resources"] and rule["verbs"] != ["create"]:
                    self.assertTrue(rule.get("resourceNames"), name)

    def test_grace_period_is_longer_than_the_drain(self):
        spec = self.render({"webhook": {"drainDelaySeconds": 40}})["Deployment", "apportion"]["spec"]["template"]["spec"]
        self.assertIn("--drain-delay=40", spec["containers"][0]["args"])
        self.assertGreaterEqual(spec["terminationGracePeriodSeconds"], 40 + 15)

    def test_fullname_override_applies_to_all_objects(self):
        objects = self.render({"fullnameOverride": "sharing"})
        for (kind, name), o in objects.items():
            if kind not in ("Namespace", "GpuSharingPolicy"):
                self.assertIn("sharing", name, kind)
        webhook = objects["MutatingWebhookConfiguration", "sharing"]["webhooks"][0]
        self.assertEqual(webhook["clientConfig"]["service"]["name"], "sharing")
        self.assertIn("--tls-service=sharing", self.args(objects, "sharing"))

    def test_isolation_webhook_selects_namespaces_of_isolating_policies(self):
        def webhook(values: dict) -> dict | None:
            webhooks = self.render(values)["MutatingWebhookConfiguration", "apportion"]["webhooks"]
            return next((w for w in webhooks if w["name"] == "isolation.apportion.dev"), None)

        shipped = [o["metadata"]["name"] for (kind, _), o in self.render().items() if kind == "GpuSharingPolicy" and "isolation" in o["spec"]]
        chosen = {"key": "apportion.dev/policy", "operator": "In", "values": shipped}
        self.assertIn(chosen, webhook({})["namespaceSelector"]["matchExpressions"], "each shipped policy with isolation, and no other")
        mine = webhook({"webhook": {"isolation": {"policies": ["mine"]}}})["namespaceSelector"]["matchExpressions"]
        self.assertIn({**chosen, "values": ["mine"]}, mine)
        keys = [e["key"] for e in webhook({"webhook": {"podsWithoutGpu": True, "requireNamespaceLabel": False}})["namespaceSelector"]["matchExpressions"]]
        self.assertEqual(keys, ["kubernetes.io/metadata.name"])
        self.assertIsNone(webhook({"webhook": {"isolation": {"policies": []}}}))

    def test_invalid_values_are_rejected(self):
        for values, words in [
            ({"webhook": {"failurePolicy": "fail"}}, "failurePolicy"),
            ({"webhook": {"replicaCount": 2}}, "replicaCount"),
            ({"webhook": {"timeoutSeconds": 31}}, "timeoutSeconds"),
            ({"tls": {"mode": "secret"}}, "caBundle"),
            ({"extender": {"expose": True}}, "clientCASecret"),
            ({"scheduler": {"name": "default-scheduler"}}, "name"),
            ({"migProfiles": ["1g.10gb.me"]}, "migProfiles"),
        ]:
            with self.subTest(words), self.assertRaises(Exception) as refused:
                self.render(values)
            self.assertIn(words, str(refused.exception))

    def test_notes_reflect_the_values(self):
        self.render()
        self.assertIn("kubectl label namespace NAME apportion.dev/policy=development", self.notes)
        self.assertIn("failurePolicy is Fail", self.notes)
        self.assertIn("without a registry", self.notes)
        self.render({"webhook": {"failurePolicy": "Ignore"}, "image": {"repository": "registry.example.org/apportion"}})
        self.assertIn("failurePolicy is Ignore", self.notes)
        self.assertNotIn("without a registry", self.notes)
        self.render({"scheduler": {"image": {"tag": "v1.99.0"}}})
        self.assertIn("WARNING: kube-scheduler v1.99.0 is newer than the API server", self.notes)
        self.render({"scheduler": {"image": {"tag": "v1.30.1"}}})
        self.assertNotIn("WARNING", self.notes)
        self.assertFalse(re.search(r"\n\n\n|<no value>", self.notes), self.notes)


if __name__ == "__main__":
    unittest.main()
