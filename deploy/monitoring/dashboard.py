#!/usr/bin/env python3
"""Generates dashboard.json, the Grafana dashboard, from the list of panels below.

    python3 deploy/monitoring/dashboard.py            write the file
    python3 deploy/monitoring/dashboard.py --check    exit 1 if the file is out of date

All replicas of Apportion report the same state of the cluster, so queries take the max of its
gauges over the replicas. Counters are per replica, so queries sum them.
"""

import json
import pathlib
import sys

OUTPUT = pathlib.Path(__file__).with_name("dashboard.json")
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Title, description, panel type, width (of 24), unit, then queries: (expression, legend).
ROWS = [
    ("Capacity and usage", [
        ("Shares taken", "Fraction of the shares that nodes offer now, by strategy and resource.", "bargauge", 8, "percentunit", [
            ("max by (strategy, resource) (apportion_offer_shares_used) / (max by (strategy, resource) (apportion_offer_shares) > 0)",
             "{{strategy}} {{resource}}")]),
        ("Shares in use", "Shares that pods hold.", "timeseries", 8, "short", [
            ("max by (strategy, resource) (apportion_offer_shares_used)", "{{strategy}} {{resource}}")]),
        ("Shares free", "Shares that nodes offer and no pod holds.", "timeseries", 8, "short", [
            ("max by (strategy, resource) (apportion_offer_shares) - max by (strategy, resource) (apportion_offer_shares_used)",
             "{{strategy}} {{resource}}")]),
        ("Shares awaited", "Shares that waiting pods request and could get now.", "timeseries", 8, "short", [
            ("max by (strategy, resource) (apportion_offer_shares_awaited)", "{{strategy}} {{resource}}")]),
        ("Nodes", "Nodes that Apportion knows, and nodes whose GPUs it does not offer, by reason.", "timeseries", 8, "short", [
            ("max(apportion_nodes)", "known"), ("max by (reason) (apportion_nodes_unusable)", "{{reason}}")]),
        ("Policies", "Loaded policies and their modes.", "table", 8, "short", [
            ("max by (policy, mode) (apportion_policies)", "")]),
    ]),
    ("GPU shares by namespace and node", [
        ("GPU shares by namespace", "Shares that running pods request. Needs kube-state-metrics.", "timeseries", 12, "short", [
            ('sum by (namespace, resource) (kube_pod_container_resource_requests{resource=~"nvidia_com_(gpu|mig_).*"} * on (namespace, pod) '
             'group_left () max by (namespace, pod) (kube_pod_status_phase{phase="Running"} == 1))', "{{namespace}} {{resource}}")]),
        ("Tenants on each node", "Number of namespaces whose running pods hold shares on the node. Needs kube-state-metrics.", "bargauge", 12, "short", [
            ('count by (node) (sum by (node, namespace) (kube_pod_container_resource_requests{resource=~"nvidia_com_(gpu|mig_).*"} * on '
             '(namespace, pod) group_left () max by (namespace, pod) (kube_pod_status_phase{phase="Running"} == 1)))', "{{node}}")]),
        ("Holders", "Pods that the exporter names on a device. On a shared device it may name only one of several pods.", "table", 24, "short", [
            ("apportion:device:held", "")]),
    ]),
    ("Decisions and denials", [
        ("Admissions", "Admission reviews answered, by policy and outcome.", "timeseries", 8, "reqps", [
            ("sum by (policy, outcome) (rate(apportion_admissions_total[5m]))", "{{policy}} {{outcome}}")]),
        ("Denials per hour", "Pods denied in the last hour, by policy.", "timeseries", 8, "short", [
            ('sum by (policy) (increase(apportion_admissions_total{outcome=~"denied|unknown_refused"}[1h]))', "{{policy}}")]),
        ("Strategies assigned", "Strategies that governed pods got in the last hour, or would have got under Warn and Audit.", "timeseries", 8, "short", [
            ('sum by (strategy) (increase(apportion_admissions_total{strategy!=""}[1h]))', "{{strategy}}")]),
        ("Filter calls", "Filter calls from kube-scheduler, by result.", "timeseries", 8, "reqps", [
            ("sum by (result) (rate(apportion_filters_total[5m]))", "{{result}}")]),
        ("Response time", "99th percentile, by listener and route.", "timeseries", 8, "s", [
            ("histogram_quantile(0.99, sum by (listener, route, le) (rate(apportion_http_request_duration_seconds_bucket[5m])))",
             "{{listener}} {{route}}")]),
        ("Pods that violate their policy", "Existing pods with GPUs, by policy and kind of violation.", "timeseries", 8, "short", [
            ("max by (policy, kind) (apportion_breaches)", "{{policy}} {{kind}}")]),
    ]),
    ("Waste", [
        ("Idle whole GPUs", "GPUs below 5 % utilization now, and all GPUs.", "timeseries", 8, "short", [
            ("count(apportion:whole_gpu:utilization < 0.05) or vector(0)", "idle"), ("count(apportion:whole_gpu:utilization)", "all")]),
        ("Idle MIG devices", "MIG devices below 5 % utilization now, and all MIG devices.", "timeseries", 8, "short", [
            ("count(apportion:mig_device:utilization < 0.05) or vector(0)", "idle"), ("count(apportion:mig_device:utilization)", "all")]),
        ("MIG devices without a pod", "Parts of GPUs that no pod uses, by profile.", "timeseries", 8, "short", [
            ('count by (GPU_I_PROFILE) (apportion:device:memory_used_mebibytes{GPU_I_ID!=""} unless on (node, UUID, GPU_I_ID) apportion:device:held)',
             "{{GPU_I_PROFILE}}")]),
        ("Utilization of whole GPUs", "Mean by node.", "timeseries", 12, "percentunit", [
            ("avg by (node) (apportion:whole_gpu:utilization)", "{{node}}")]),
        ("Utilization of MIG devices", "Mean by profile.", "timeseries", 12, "percentunit", [
            ("avg by (GPU_I_PROFILE) (apportion:mig_device:utilization)", "{{GPU_I_PROFILE}}")]),
        ("Idle but held", "Devices below 5 % utilization now, with the pod that the exporter names on them.", "table", 24, "percentunit", [
            ("apportion:device:held and on (node, UUID, GPU_I_ID) (apportion:whole_gpu:utilization < 0.05 or apportion:mig_device:utilization < 0.05)", "")]),
    ]),
    ("Apportion itself", [
        ("Certificate", "Days until the served certificate expires.", "timeseries", 8, "d", [
            ("(apportion_tls_certificate_not_after_timestamp_seconds > 0) / 86400 - time() / 86400", "{{instance}}")]),
        ("Errors", "Responses with status 500 or above, panics, and failed TLS handshakes, per second.", "timeseries", 8, "short", [
            ('sum by (listener) (rate(apportion_http_request_duration_seconds_count{code=~"5.."}[5m]))', "{{listener}} 5xx"),
            ("sum(rate(apportion_handler_panics_total[5m]))", "panics"),
            ("sum by (listener) (rate(apportion_tls_handshake_failures_total[5m]))", "{{listener}} handshakes")]),
        ("Cluster staleness", "Time for which a broken watch has delivered nothing.", "timeseries", 8, "s", [
            ("apportion_cluster_staleness_seconds", "{{instance}}")]),
    ]),
]


def panel(number, position, title, description, kind, width, unit, queries):
    targets = []
    for index, (expression, legend) in enumerate(queries):
        target = {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expression}
        if kind in ("table", "bargauge"):
            target["instant"] = True
        target |= {"format": "table"} if kind == "table" else {"legendFormat": legend}
        targets.append(target)
    made = {
        "id": number, "type": kind, "title": title, "description": description, "datasource": SOURCE, "gridPos": position | {"w": width},
        "targets": targets, "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []}, "options": {},
    }
    if kind == "timeseries":
        made["fieldConfig"]["defaults"]["custom"] = {"fillOpacity": 12, "lineWidth": 1}
        made["options"] = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    if kind == "bargauge":
        made["options"] = {"orientation": "horizontal", "displayMode": "basic", "reduceOptions": {"calcs": ["lastNotNull"]}}
        if unit == "percentunit":
            made["fieldConfig"]["defaults"] |= {
                "max": 1, "thresholds": {"mode": "absolute", "steps": [{"color": "green", "value": None}, {"color": "orange", "value": 0.9}]}}
    if kind == "table":
        made["transformations"] = [{"id": "organize", "options": {"excludeByName": {"Time": True, "__name__": True, "Value": True}}}]
    return made


def dashboard() -> dict:
    panels, y = [], 0
    for title, row in ROWS:
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        x, y = 0, y + 1
        for one in row:
            if x + one[3] > 24:
                x, y = 0, y + 8
            panels.append(panel(len(panels) + 1, {"x": x, "y": y, "h": 8}, *one))
            x += one[3]
        y += 8
    return {
        "title": "GPU sharing", "uid": "apportion-gpu-sharing", "tags": ["gpu", "apportion"], "schemaVersion": 39, "version": 1,
        "editable": True, "timezone": "", "refresh": "1m", "time": {"from": "now-24h", "to": "now"},
        "description": "GPU capacity and usage by strategy, shares by namespace and node, admission decisions, idle GPUs. Needs deploy/monitoring/rules.yaml.",
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus", "current": {}}]},
        "annotations": {"list": []}, "links": [], "panels": panels,
    }


def main() -> int:
    text = json.dumps(dashboard(), indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        if not OUTPUT.exists() or OUTPUT.read_text() != text:
            print(f"{OUTPUT} is out of date: run {__file__}", file=sys.stderr)
            return 1
        return 0
    OUTPUT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
