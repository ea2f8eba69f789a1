"""Tests of the rendered manifests on a real control plane."""

import base64
import http.server
import json
import re
import ssl
import subprocess
import threading
import unittest

import yaml

import control_plane
from test_crd import ROOT

MANIFESTS = ROOT / "deploy/manifests"
NAMESPACE = "apportion-system"


def objects(name: str) -> dict[tuple[str, str], dict]:
    return {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all((MANIFESTS / name).read_text())}


def pod(name: str, gpus: dict | None = None, init: dict | None = None, **spec) -> dict:
    def containers(limits):
        resources = {"resources": {"limits": limits}} if limits else {}
        return [{"name": "c", "image": "none", **resources}]

    inner = {"containers": containers(gpus), **({"initContainers": containers(init)} if init else {}), **spec}
    if init:
        inner["initContainers"][0]["name"] = "i"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": inner}


class Answering(http.server.BaseHTTPRequestHandler):
    """Records each JSON request and responds with the result of the server's `answer`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, asked))
        body = json.dumps(self.server.answer(asked)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(test, answer, tls: ssl.SSLContext | None = None) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.asked, server.answer = [], answer
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    test.addClassCleanup(server.server_close)
    test.addClassCleanup(server.shutdown)
    return server


@unittest.skipIf(control_plane.missing(), control_plane.missing())
class Manifests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(control_plane.ControlPlane(controllers=True))
        cls.kubectl = cls.cluster.kubectl
        # In the order of docs/install.md.
        cls.kubectl("apply", "-f", str(MANIFESTS / "crds.yaml"))
        cls.kubectl("wait", "--for=condition=Established", "crd/gpusharingpolicies.apportion.dev", "--timeout=60s")
        cls.cluster.wait_for("the resource", lambda: not cls.kubectl("get", "gsp", check=False).returncode)
        cls.kubectl("apply", "-f", "-", input=json.dumps(objects("install.yaml")["Namespace", NAMESPACE]))
        cls.dry_run = cls.kubectl("apply", "--dry-run=server", "-f", str(MANIFESTS), check=False)
        cls.applied = cls.kubectl("apply", "-f", str(MANIFESTS))
        for name in ("governed", "isolated", "free"):
            cls.kubectl("create", "namespace", name)
        cls.kubectl("label", "namespace", "governed", "apportion.dev/policy=training")
        cls.kubectl("label", "namespace", "isolated", "apportion.dev/policy=multi-tenant")

    def authority(self) -> str:
        return base64.b64encode((self.cluster.directory / "ca.crt").read_bytes()).decode()

    def test_server_side_dry_run_accepts_all_objects(self):
        self.assertEqual((self.dry_run.returncode, self.dry_run.stderr), (0, ""))
        expected = sum(len(objects(path.name)) for path in MANIFESTS.glob("*.yaml"))
        self.assertEqual(len(self.dry_run.stdout.splitlines()), expected)
        print(f"\n{expected} objects accepted by a server-side dry run")

    def test_apply_is_free_of_warnings_and_idempotent(self):
        self.assertEqual(self.applied.stderr, "")
        again = self.kubectl("apply", "-f", str(MANIFESTS))
        # kubectl always patches the selector of a PodDisruptionBudget, changed or not.
        changed = [line for line in again.stdout.splitlines() if not line.endswith("unchanged") and "poddisruptionbudget" not in line]
        self.assertEqual((changed, again.stderr), ([], ""))

    def test_ca_bundle_survives_the_next_apply(self):
        bundle = self.authority()
        patch = [{"op": "add", "path": f"/webhooks/{at}/clientConfig/caBundle", "value": bundle} for at in range(4)]
        self.kubectl("patch", "mutatingwebhookconfiguration", "apportion", "--type=json", "-p", json.dumps(patch))
        self.kubectl("apply", "-f", str(MANIFESTS / "install.yaml"))
        webhooks = self.cluster.get("mutatingwebhookconfiguration", "apportion")["webhooks"]
        self.assertEqual({w["clientConfig"].get("caBundle") for w in webhooks}, {bundle})

    def test_pod_security_restricted_admits_the_pods(self):
        namespace = self.cluster.get("namespace", NAMESPACE)
        self.assertEqual(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted")
        self.cluster.wait_for("the default service account", lambda: not self.kubectl("-n", NAMESPACE, "get", "sa", "default", check=False).returncode)
        # Check that the level is enforced: a pod that violates it is rejected.
        bad = self.kubectl("-n", NAMESPACE, "create", "--dry-run=server", "-f", "-", input=json.dumps(pod("bad")), check=False)
        self.assertIn('violates PodSecurity "restricted:latest"', bad.stderr)

        def pods():
            found = self.cluster.get("pods", "-n", NAMESPACE)["items"]
            return found if len(found) == 4 else None

        found = self.cluster.wait_for("two pods of each deployment", pods)
        components = sorted(p["metadata"]["labels"]["app.kubernetes.io/component"] for p in found)
        self.assertEqual(components, ["scheduler", "scheduler", "webhook", "webhook"])
        events = self.cluster.get("events", "-n", NAMESPACE)["items"]
        # Without a node of theirs the pods stay pending, which is not what this test is about. Nor are Services: the API server
        # starts with a check of cluster IPs, which can miss one that was allocated a moment ago and then reports its repair.
        warnings = [e["message"] for e in events if e["type"] != "Normal" and e["reason"] != "FailedScheduling" and e["involvedObject"]["kind"] != "Service"]
        self.assertEqual(warnings, [])
        print(f"\n{self.kubectl('-n', NAMESPACE, 'get', 'deployments,pdb').stdout}")

    def can(self, account: str, verb: str, resource: str, *more: str) -> bool:
        who = f"--as=system:serviceaccount:{NAMESPACE}:{account}"
        group = f"--as-group=system:serviceaccounts:{NAMESPACE}"
        return self.kubectl("auth", "can-i", verb, resource, who, group, *more, check=False).stdout.strip() == "yes"

    def test_service_accounts_have_only_the_permissions_they_need(self):
        for account, verb, resource, *more in [
            ("apportion", "watch", "nodes"),
            ("apportion", "list", "namespaces"),
            ("apportion", "watch", "pods", "-A"),
            ("apportion", "watch", "gpusharingpolicies"),
            ("apportion", "patch", "gpusharingpolicies", "--subresource=status"),
            ("apportion", "watch", "limitranges", "-A"),
            ("apportion", "watch", "resourcequotas", "-A"),
            ("apportion", "watch", "deviceclasses"),
            ("apportion", "create", "events.events.k8s.io", "-A"),
            ("apportion", "create", "secrets", "-n", NAMESPACE),
            ("apportion", "get", "secrets/apportion-tls", "-n", NAMESPACE),
            ("apportion", "update", "secrets/apportion-tls", "-n", NAMESPACE),
            ("apportion", "patch", "mutatingwebhookconfigurations/apportion"),
            ("apportion", "watch", "mutatingwebhookconfigurations/apportion"),
            ("apportion", "create", "leases", "-n", NAMESPACE),
            ("apportion", "update", "leases/apportion-leader", "-n", NAMESPACE),
            ("apportion-scheduler", "watch", "gpusharingpolicies"),
            ("apportion-scheduler", "watch", "deviceclasses"),
            ("apportion-scheduler", "update", "leases/apportion-scheduler", "-n", NAMESPACE),
        ]:
            self.assertTrue(self.can(account, verb, resource, *more), f"{account} must {verb} {resource}")
        for account, verb, resource, *more in [
            ("apportion", "list", "secrets", "-n", NAMESPACE),
            ("apportion", "get", "secrets/other", "-n", NAMESPACE),
            ("apportion", "delete", "secrets/apportion-tls", "-n", NAMESPACE),
            ("apportion", "create", "secrets", "-n", "kube-system"),
            ("apportion", "patch", "gpusharingpolicies"),
            ("apportion", "create", "gpusharingpolicies"),
            ("apportion", "patch", "mutatingwebhookconfigurations/other"),
            ("apportion", "create", "mutatingwebhookconfigurations"),
            ("apportion", "create", "pods", "-A"),
            ("apportion", "patch", "pods", "-A"),
            ("apportion", "create", "pods", "--subresource=binding", "-A"),
            ("apportion", "patch", "nodes"),
            ("apportion", "patch", "namespaces"),
            ("apportion-scheduler", "get", "secrets/apportion-tls", "-n", NAMESPACE),
            ("apportion-scheduler", "patch", "gpusharingpolicies", "--subresource=status"),
            ("apportion-scheduler", "patch", "mutatingwebhookconfigurations/apportion"),
            ("apportion-scheduler", "update", "leases/apportion-leader", "-n", NAMESPACE),
        ]:
            self.assertFalse(self.can(account, verb, resource, *more), f"{account} must not {verb} {resource}")

    def test_webhook_is_called_only_for_matching_requests(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cluster.directory / "api.crt", self.cluster.directory / "api.key")
        server = serve(type(self), self.admit, context)
        configuration = objects("install.yaml")["MutatingWebhookConfiguration", "apportion"]
        bundle = self.authority()
        for webhook in configuration["webhooks"]:
            webhook["clientConfig"] = {"url": f"https://127.0.0.1:{server.server_port}/mutate", "caBundle": bundle}
        configuration["metadata"]["name"] = "probe"
        # No server runs behind the installed configuration.
        self.kubectl("delete", "mutatingwebhookconfiguration", "apportion")
        self.addCleanup(self.kubectl, "apply", "-f", str(MANIFESTS / "install.yaml"))
        self.addCleanup(self.kubectl, "delete", "mutatingwebhookconfiguration", "probe")
        self.kubectl("apply", "-f", "-", input=json.dumps(configuration))

        def calls(what: dict, namespace: str = "governed", verb: str = "create") -> list[str]:
            server.asked.clear()
            done = self.kubectl(verb, "--dry-run=server", "-n", namespace, "-f", "-", input=json.dumps(what), check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            return [asked["request"]["kind"]["kind"] for _, asked in server.asked]

        gpu, mig, cpu = {"nvidia.com/gpu": 1}, {"nvidia.com/mig-1g.10gb": 1}, {"cpu": 1}
        self.cluster.wait_for("the configuration", lambda: calls(pod("p", gpu)))
        template = {"metadata": {"labels": {"a": "b"}}, "spec": pod("p", gpu)["spec"]}
        no_gpu = {"metadata": {"labels": {"a": "b"}}, "spec": pod("p", cpu)["spec"]}
        mirror = pod("p", gpu, nodeName="n")
        mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
        once = lambda template: {**template, "spec": {**template["spec"], "restartPolicy": "Never"}}  # noqa: E731

        def workload(kind: str, template: dict, group: str = "apps/v1") -> dict:
            spec = {"template": template}
            if group == "apps/v1":
                spec["selector"] = {"matchLabels": {"a": "b"}}
            if kind == "CronJob":
                spec = {"schedule": "* * * * *", "jobTemplate": {"spec": spec}}
            return {"apiVersion": group, "kind": kind, "metadata": {"name": "w"}, "spec": spec}

        restricted = pod("p", gpu)
        restricted["spec"]["securityContext"] = {"runAsNonRoot": True, "runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}}
        restricted["spec"]["containers"][0]["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        for what, given, namespace, expected in [
            ("a GPU", pod("p", gpu), "governed", ["Pod"]),
            ("a renamed share", pod("p", {"nvidia.com/gpu.shared": 1}), "governed", ["Pod"]),
            ("a MIG device", pod("p", mig), "governed", ["Pod"]),
            ("a GPU in an init container", pod("p", cpu, init=gpu), "governed", ["Pod"]),
            ("no resources", pod("p"), "governed", []),
            ("no GPU", pod("p", cpu, init=cpu), "governed", []),
            ("another resource of the vendor", pod("p", {"nvidia.com/rdma": 1}), "governed", []),
            ("a namespace without a policy", pod("p", gpu), "free", []),
            ("kube-system", pod("p", gpu), "kube-system", []),
            ("Apportion's own namespace", restricted, NAMESPACE, []),
            ("no GPU, in a namespace whose policy requires isolation", pod("p", cpu), "isolated", ["Pod"]),
            ("a GPU there, one call only", pod("p", gpu), "isolated", ["Pod"]),
            ("a Deployment", workload("Deployment", template), "governed", ["Deployment"]),
            ("a StatefulSet", workload("StatefulSet", template), "governed", ["StatefulSet"]),
            ("a DaemonSet", workload("DaemonSet", template), "governed", ["DaemonSet"]),
            ("a ReplicaSet", workload("ReplicaSet", template), "governed", []),
            ("a Job", workload("Job", once(template), "batch/v1"), "governed", ["Job"]),
            ("a CronJob", workload("CronJob", once(template), "batch/v1"), "governed", ["CronJob"]),
            ("a Deployment without GPUs", workload("Deployment", no_gpu), "governed", []),
            ("a CronJob without GPUs", workload("CronJob", once(no_gpu), "batch/v1"), "governed", []),
            ("a Deployment without a policy", workload("Deployment", template), "free", []),
        ]:
            with self.subTest(what):
                self.assertEqual(calls(given, namespace), expected)
        with self.subTest("a mirror pod"):
            # Only a node may create a mirror pod. The API server rejects it without a webhook call.
            server.asked.clear()
            self.kubectl("create", "--dry-run=server", "-n", "governed", "-f", "-", input=json.dumps(mirror), check=False)
            self.assertEqual(server.asked, [])
        running = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "r"}, **{"spec": pod("r", cpu)["spec"]}}
        self.kubectl("create", "-n", "isolated", "-f", "-", input=json.dumps(running))
        for what, words, expected in [
            ("a label", ["label", "pod", "r", "a=b"], []),
            ("an annotation", ["annotate", "pod", "r", "a.io/cdi.k8s.io=b"], []),
            ("an annotation that injects devices", ["annotate", "pod", "r", "nvidia.cdi.k8s.io/pod=x"], ["Pod"]),
            ("an annotation of an NRI device injector", ["annotate", "pod", "r", "cdi-devices.noderesource.dev/container.c=x"], ["Pod"]),
            ("an ephemeral container", ["debug", "r", "--image=busybox", "-c", "d"], ["Pod"]),
        ]:
            with self.subTest(what):
                server.asked.clear()
                self.kubectl("-n", "isolated", *words)
                self.assertEqual([asked["request"]["kind"]["kind"] for _, asked in server.asked], expected)
        self.kubectl("delete", "-n", "isolated", "pod", "r", "--wait=false")
        self.kubectl("create", "-n", "governed", "-f", "-", input=json.dumps({**workload("Deployment", template)}))
        scaled = workload("Deployment", template)
        scaled["spec"]["replicas"] = 0
        changed = json.loads(json.dumps(scaled))
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
        with self.subTest("scaling"):
            self.assertNotIn("Deployment", calls(scaled, verb="replace"))
        with self.subTest("a new template"):
            self.assertIn("Deployment", calls(changed, verb="replace"))
        self.kubectl("delete", "-n", "governed", "deployment", "w", "--wait=false")

    @staticmethod
    def admit(asked: dict) -> dict:
        return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": asked["request"]["uid"], "allowed": True}}

    def nodes(self):
        """Creates two nodes with eight GPUs each."""
        for name in ("n1", "n2"):
            self.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}))
            self.kubectl("patch", "node", name, "--type=merge", "-p", '{"spec":{"taints":null}}')
            allocatable = {"cpu": "8", "memory": "32Gi", "pods": "110", "nvidia.com/gpu": "8"}
            status = {"capacity": allocatable, "allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]}
            self.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))

    @staticmethod
    def keep_the_second(asked: dict) -> dict:
        """Answers as an extender. With one node left, kube-scheduler does not call prioritize."""
        return {"NodeNames": [name for name in asked["NodeNames"] if name == "n2"], "FailedNodes": {"n1": "excluded by the test"}}

    def schedule(self, extender, config: str, account: str, scheduler: str):
        """Runs kube-scheduler with this configuration on a pod with a GPU and one without."""
        directory = self.cluster.directory
        (directory / "config.yaml").write_text(config)
        self.nodes()
        empty = directory / scheduler
        empty.mkdir()
        port = control_plane.free_port()
        process = self.cluster.run(
            "kube-scheduler", f"--config={directory}/config.yaml", "--v=2", "--bind-address=127.0.0.1", f"--secure-port={port}",
            f"--authentication-kubeconfig={account}", f"--authorization-kubeconfig={account}", cwd=empty,
        )  # fmt: skip
        self.addCleanup(self.cluster.processes.remove, process)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        for path in ("livez", "readyz"):
            probe = ["curl", "-sk", f"https://127.0.0.1:{port}/{path}"]
            self.cluster.wait_for(path, lambda: subprocess.run(probe, capture_output=True, text=True).stdout == "ok")
        self.cluster.wait_for("the default service account", lambda: not self.kubectl("-n", "free", "get", "sa", "default", check=False).returncode)
        for name, gpus in (("with", {"nvidia.com/gpu": 1}), ("without", {"cpu": 1})):
            given = pod(name, gpus, schedulerName=scheduler)
            self.kubectl("create", "-n", "free", "-f", "-", input=json.dumps(given))
            self.addCleanup(self.kubectl, "delete", "-n", "free", "pod", name, "--force", "--grace-period=0")
            self.kubectl("wait", "-n", "free", f"pod/{name}", "--for=condition=PodScheduled", "--timeout=60s")
        self.assertEqual(self.cluster.get("pod", "with", "-n", "free")["spec"]["nodeName"], "n2")
        asked = [(path, body["Pod"]["metadata"]["name"], sorted(body["NodeNames"]), body["Nodes"]) for path, body in extender.asked]
        self.assertEqual(asked, [("/filter", "with", ["n1", "n2"], None)])
        complaints = [
            line
            for line in self.cluster.log("kube-scheduler").splitlines()
            # v1.36 logs this for --allow-metric-labels-manifest even if the flag is not set.
            if ("forbidden" in line or line.startswith("E")) and "The manifest file is empty, ignoring" not in line
        ]
        self.assertEqual(complaints, [], "\n".join(complaints))
        # It must not write files: in its pod, the root file system is read-only.
        self.assertEqual(list(empty.iterdir()), [])

    def test_kube_scheduler_runs_with_the_rendered_configuration_and_permissions(self):
        extender = serve(type(self), self.keep_the_second)
        directory = self.cluster.directory
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{self.cluster.port}", "certificate-authority": str(directory / "ca.crt")}}],
            "users": [{"name": "u", "user": {"token": self.kubectl("-n", NAMESPACE, "create", "token", "apportion-scheduler").stdout.strip()}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        account = directory / "account.conf"
        account.write_text(json.dumps(kubeconfig))
        # Only the addresses of the API server and the extender differ from the pod.
        text = objects("install.yaml")["ConfigMap", "apportion-scheduler"]["data"]["config.yaml"]
        self.assertIn("http://127.0.0.1:8444\n", text)
        text = text.replace("http://127.0.0.1:8444\n", f"http://127.0.0.1:{extender.server_port}\n")
        self.schedule(extender, f"{text}clientConnection:\n  kubeconfig: {account}\n", str(account), "apportion-scheduler")
        lease = self.cluster.get("lease", "apportion-scheduler", "-n", NAMESPACE)
        self.assertTrue(lease["spec"]["holderIdentity"])

    def test_documented_configuration_works_for_another_kube_scheduler(self):
        directory = self.cluster.directory
        certificates = directory / "certificates"
        subprocess.run([ROOT / "certs/make.sh", certificates], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "tls.crt", certificates / "tls.key")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates / "ca.crt")
        extender = serve(type(self), self.keep_the_second, context)
        self.cluster.kubeconfig("scheduler", "/CN=system:kube-scheduler")
        text = re.search(r"```yaml\n(apiVersion: kubescheduler.*?)```", (ROOT / "docs/install.md").read_text(), re.S)[1]
        [documented] = yaml.safe_load(text)["extenders"]
        [installed] = yaml.safe_load(objects("install.yaml")["ConfigMap", "apportion-scheduler"]["data"]["config.yaml"])["extenders"]
        for field in installed.keys() - {"urlPrefix", "managedResources"}:
            self.assertEqual(documented[field], installed[field], field)
        for there, here in [
            ("https://10.96.0.44\n", f"https://127.0.0.1:{extender.server_port}\n"),
            ("/etc/kubernetes/scheduler.conf", f"{directory}/scheduler.conf"),
            ("/etc/kubernetes/apportion/", f"{certificates}/"),
        ]:
            self.assertIn(there, text)
            text = text.replace(there, here)
        self.schedule(extender, text, f"{directory}/scheduler.conf", "default-scheduler")


if __name__ == "__main__":
    unittest.main()
