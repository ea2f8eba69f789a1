"""Tests of the Prometheus rules and the Grafana dashboard.

Alerts fire and resolve as documented, and every metric that a rule or a panel names exists.
"""

import json
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/monitoring/rules.yaml"
DASHBOARD = ROOT / "deploy/monitoring/dashboard.json"
CASES = pathlib.Path(__file__).with_name("rules_test.yaml")
# From dcgm-exporter's default-counters.csv.
DCGM = {"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"}
# From kube-state-metrics (docs/metrics) and kube-apiserver.
OTHERS = {
    "kube_pod_container_resource_requests", "kube_pod_status_phase", "kube_node_status_allocatable",
    "apiserver_admission_webhook_rejection_count", "apiserver_admission_webhook_fail_open_count",
}
WORDS = {"by", "on", "and", "or", "unless", "group_left", "without", "bool", "ignoring"}


def promtool() -> str:
    found = shutil.which("promtool") or shutil.which("promtool", path=str(ROOT / "target/tools/prometheus/usr/bin"))
    if not found:
        raise FileNotFoundError("promtool is missing; run .ci/prometheus")
    return found


def names(expression: str) -> set[str]:
    """Returns the metrics that a PromQL expression names."""
    text = re.sub(r'"(\\.|[^"\\])*"', "", expression)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    # A word before an opening parenthesis is a function.
    return {word for word in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\(|[a-zA-Z0-9_:])", text) if word not in WORDS}


def rules() -> list[dict]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


# Metrics that have series only on a live cluster, with the file that registers them.
LIVE = {"breaches": "src/service/state_metrics.rs"}


def provoke(ports: dict[str, str]) -> None:
    """Sends requests that make the server count. /metrics omits counters without a value."""
    trust = ssl._create_unverified_context()
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "dev", "operation": "CREATE", "object": {"metadata": {"name": "p"}, "spec": {"containers": [
            {"name": "c", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}}}}
    question = {"Pod": review["request"]["object"], "Nodes": None, "NodeNames": ["a100-1"]}
    for url, body in [(f"https://{ports['webhook']}/mutate", review), (f"https://{ports['extender']}/filter", question)]:
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10, context=trust).read()
    host, port = ports["webhook"].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        plain.sendall(b"no handshake\r\n\r\n")
        plain.recv(100)


def own_metrics() -> set[str]:
    """Returns the metrics that the real binary exposes at /metrics after some requests."""
    command = [ROOT / "target/debug/apportion", "serve", "--policies", ROOT / "policies", "--tls-self-signed", "--drain-delay", "0"]
    command += ["--cluster", ROOT / "examples/cluster/cluster.json"]
    command += [f"--{role}-listen=127.0.0.1:0" for role in ("webhook", "extender", "admin")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # Do not hang on a server that prints nothing.
    limit = threading.Timer(30, server.kill)
    limit.start()
    try:
        ports = {}
        while len(ports) < 3:
            line = re.sub(r"\x1b\[[0-9;]*m", "", server.stdout.readline())
            if not line:
                raise RuntimeError(f"the server exited; listeners so far: {ports}")
            if found := re.search(r"listener=\W*(\w+)\W+address=\W*(127\.0\.0\.1:\d+)", line):
                ports[found[1]] = found[2]
        provoke(ports)
        text = urllib.request.urlopen(f"http://{ports['admin']}/metrics", timeout=10).read().decode()
    finally:
        limit.cancel()
        server.terminate()
        server.stdout.close()
        server.wait(30)
    found = set()
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"], "gauge": [""]}
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M):
        found |= {name + ending for ending in endings[kind]}
    for name, source in LIVE.items():
        if re.search(rf'registry\.register\(\s*"{name}",', (ROOT / source).read_text()):
            found.add(f"apportion_{name}")
    return found


class Rules(unittest.TestCase):
    def run_promtool(self, *args):
        done = subprocess.run([promtool(), *args], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_alerts_fire_and_resolve(self):
        with tempfile.TemporaryDirectory() as directory:
            cases = pathlib.Path(directory) / "cases.yaml"
            cases.write_text(CASES.read_text().replace("[RULES]", f"[{RULES}]"))
            self.run_promtool("test", "rules", cases)

    def test_each_alert_is_tested_before_during_and_after(self):
        seen = {}
        for group in yaml.safe_load(CASES.read_text())["tests"]:
            times = {}
            for case in group.get("alert_rule_test", []):
                minutes = int(case["eval_time"].removesuffix("m"))
                times.setdefault(case["alertname"], []).append((minutes, bool(case["exp_alerts"])))
            for alert, states in times.items():
                seen.setdefault(alert, []).append("".join("X" if fires else "." for _, fires in sorted(states)))
        for alert in (rule["alert"] for rule in rules() if "alert" in rule):
            self.assertTrue(any(".X." in states for states in seen.get(alert, [])), f"{alert}: {seen.get(alert)}")

    def test_each_alert_has_a_runbook_section(self):
        headings = re.findall(r"^### (\w+)$", (ROOT / "docs/alerts.md").read_text(), re.M)
        alerts = [rule for rule in rules() if "alert" in rule]
        self.assertEqual(sorted(headings), sorted(rule["alert"] for rule in alerts))
        for rule in alerts:
            self.assertEqual(rule["annotations"]["runbook"], f"docs/alerts.md#{rule['alert'].lower()}")
            self.assertIn(rule["labels"]["severity"], ("info", "warning", "critical"))

    def test_every_metric_in_rules_and_dashboard_exists(self):
        recorded = {rule["record"] for rule in rules() if "record" in rule}
        own = own_metrics()
        self.assertGreater(len(own), 15)
        known = own | recorded | DCGM | OTHERS
        for expression in [rule["expr"] for rule in rules()] + queries():
            self.assertTrue(names(expression), expression)
            self.assertLessEqual(names(expression), known, expression)
        # Every recorded metric is used.
        read = set().union(*(names(rule["expr"]) for rule in rules()), *map(names, queries()))
        self.assertLessEqual(recorded, read)

    def test_names_finds_the_metrics_of_an_expression(self):
        self.assertEqual(names('sum by (a, b) (rate(x_total{l="y"}[5m])) / on (c) z unless 5 * s:t > 1'), {"x_total", "z", "s:t"})

    def test_dashboard_expressions_are_valid_promql(self):
        with tempfile.TemporaryDirectory() as directory:
            made = pathlib.Path(directory) / "queries.yaml"
            records = [{"record": f"q{at}", "expr": expression} for at, expression in enumerate(queries())]
            made.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": records}]}))
            self.run_promtool("check", "rules", made)

    def test_panels_do_not_overlap(self):
        taken = set()
        for panel in json.loads(DASHBOARD.read_text())["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, panel["title"])
            self.assertLessEqual(place["x"] + place["w"], 24)
            taken |= cells


if __name__ == "__main__":
    unittest.main()
