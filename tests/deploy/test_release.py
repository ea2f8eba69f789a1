"""Tests that Helm installs, upgrades and uninstalls the chart on a real API server."""

import base64
import json
import unittest

import control_plane
from test_chart import CHART, helm

NAMESPACE = "apportion-system"


@unittest.skipIf(helm is None, "NOT TESTED: pip install helm-python-sdk")
@unittest.skipIf(control_plane.missing(), control_plane.missing())
class Release(unittest.TestCase):
    def test_install_upgrade_uninstall(self):
        cluster = self.enterContext(control_plane.ControlPlane(controllers=True))
        config = self.enterContext(helm.Config(kubeconfig_path=cluster.directory / "admin.conf", namespace=NAMESPACE))

        # One step installs the CRD and the policies as well.
        release = config.install(CHART, "apportion", {}, namespace=NAMESPACE, create_namespace=True)
        self.assertEqual(release["status"], "deployed")
        policies = [policy["metadata"]["name"] for policy in cluster.get("gsp")["items"]]
        self.assertEqual(policies, ["development", "inference", "multi-tenant", "training"])

        # Do what the program does while it runs: set the caBundle, create its Secret, write a
        # status.
        bundle = base64.b64encode((cluster.directory / "ca.crt").read_bytes()).decode()
        patch = [{"op": "add", "path": f"/webhooks/{at}/clientConfig/caBundle", "value": bundle} for at in range(4)]
        cluster.kubectl("patch", "mutatingwebhookconfiguration", "apportion", "--type=json", "-p", json.dumps(patch))
        cluster.kubectl("-n", NAMESPACE, "create", "secret", "generic", "apportion-tls", "--from-literal=ca.crt=x")
        cluster.kubectl("patch", "gsp", "training", "--subresource=status", "--type=merge", "-p", '{"status":{"pods":3}}')

        values = {"webhook": {"replicas": 3}}
        self.assertEqual(config.upgrade(CHART, "apportion", values, namespace=NAMESPACE)["revision"], 2)
        self.assertEqual(cluster.get("deployment", "apportion", "-n", NAMESPACE)["spec"]["replicas"], 3)
        webhooks = cluster.get("mutatingwebhookconfiguration", "apportion")["webhooks"]
        self.assertEqual({webhook["clientConfig"].get("caBundle") for webhook in webhooks}, {bundle})
        self.assertEqual(cluster.get("gsp", "training")["status"]["pods"], 3)

        # In the order of docs/install.md.
        cluster.kubectl("delete", "mutatingwebhookconfiguration", "apportion")
        config.uninstall("apportion")
        self.assertEqual(cluster.get("gsp")["items"], [])
        roles = cluster.get("clusterroles,clusterrolebindings,mutatingwebhookconfigurations")["items"]
        self.assertEqual([role["metadata"]["name"] for role in roles if "apportion" in role["metadata"]["name"]], [])
        cluster.kubectl("get", "crd", "gpusharingpolicies.apportion.dev")
        cluster.kubectl("-n", NAMESPACE, "get", "secret", "apportion-tls")


if __name__ == "__main__":
    unittest.main()
