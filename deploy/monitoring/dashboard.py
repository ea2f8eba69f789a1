#!/usr/bin/env python3
"""Writes dashboard.json beside this file: the Grafana dashboard, from the list of panels below.

    python3 deploy/monitoring/dashboard.py            write
    python3 deploy/monitoring/dashboard.py --check    exit 1 if what is there differs

Replicas of Apportion show the same state of the cluster, so gauges of it are taken with max; what each of them counts is summed.
"""

import json
import pathlib
import sys

OUTPUT = pathlib.Path(__file__).with_name("dashboard.json")
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Title, what it says, kind, width of 24, unit, then queries: (expression, legend).
ROWS = [
    ("Capacity and use", [
        ("Shares taken", "Of what nodes offer now, by strategy and resource.", "bargauge", 8, "percentunit", [
            ("max by (strategy, resource) (apportion_offer_shares_used) / (max by (strategy, resource) (apportion_offer_shares) > 0)",
             "{{strategy}} {{resource}}")]),
        ("Shares in use", "What pods hold.", "timeseries", 8, "short", [
            ("max by (strategy, resource) (apportion_offer_shares_used)", "{{strategy}} {{resource}}")]),
        ("Shares free", "What nodes offer and nobody holds.", "timeseries", 8, "short", [
            ("max by (strategy, resource) (apportion_offer_shares) - max by (strategy, resource) (apportion_offer_shares_used)",
             "{{strategy}} {{resource}}")]),
        ("Shares awaited", "What waiting pods ask for and could be given now.", "timeseries", 8, "short", [
            ("max by (strategy, resource) (apportion_offer_shares_awaited)", "{{strategy}} {{resource}}")]),
        ("Nodes", "Known to Apportion; and those whose GPUs it does not offer.", "timeseries", 8, "short", [
            ("max(apportion_nodes)", "known"), ("max by (reason) (apportion_nodes_unusable)", "{{reason}}")]),
        ("Policies", "Loaded, with their mode.", "table", 8, "short", [
            ("max by (policy, mode) (apportion_policies)", "")]),
    ]),
    ("Who shares what", [
        ("GPU shares by namespace", "What running pods ask for. From kube-state-metrics.", "timeseries", 12, "short", [
            ('sum by (namespace, resource) (kube_pod_container_resource_requests{resource=~"nvidia_com_(gpu|mig_).*"} * on (namespace, pod) '
             'group_left () max by (namespace, pod) (kube_pod_status_phase{phase="Running"} == 1))', "{{namespace}} {{resource}}")]),
        ("Tenants on each node", "Namespaces whose running pods hold shares there. From kube-state-metrics.", "bargauge", 12, "short", [
            ('count by (node) (sum by (node, namespace) (kube_pod_container_resource_requests{resource=~"nvidia_com_(gpu|mig_).*"} * on '
             '(namespace, pod) group_left () max by (namespace, pod) (kube_pod_status_phase{phase="Running"} == 1)))', "{{node}}")]),
        ("Holders", "Pods by whose name a device goes. On a shared device without names for each pod, that is one of them.", "table", 24, "short", [
            ("apportion:device:held", "")]),
    ]),
    ("Decisions and denials", [
        ("Admissions", "Reviews answered, by policy and outcome.", "timeseries", 8, "reqps", [
            ("sum by (policy, outcome) (rate(apportion_admissions_total[5m]))", "{{policy}} {{outcome}}")]),
        ("Denials in an hour", "Pods turned away, by policy.", "timeseries", 8, "short", [
            ('sum by (policy) (increase(apportion_admissions_total{outcome=~"denied|unknown_refused"}[1h]))', "{{policy}}")]),
        ("Strategies given", "What governed pods got in an hour.", "timeseries", 8, "short", [
            ('sum by (strategy) (increase(apportion_admissions_total{strategy!=""}[1h]))', "{{strategy}}")]),
        ("Filter calls", "Of the scheduler, by result.", "timeseries", 8, "reqps", [
            ("sum by (result) (rate(apportion_filters_total[5m]))", "{{result}}")]),
        ("Time to answer", "99 of 100 calls are faster.", "timeseries", 8, "s", [
            ("histogram_quantile(0.99, sum by (listener, route, le) (rate(apportion_http_request_duration_seconds_bucket[5m])))",
             "{{listener}} {{route}}")]),
        ("Pods that break their policy", "As they are there now.", "timeseries", 8, "short", [
            ("max by (policy, kind) (apportion_breaches)", "{{policy}} {{kind}}")]),
    ]),
    ("Waste", [
        ("Idle whole GPUs", "Below 5 % now, and all.", "timeseries", 8, "short", [
            ("count(apportion:whole_gpu:utilization < 0.05) or vector(0)", "idle"), ("count(apportion:whole_gpu:utilization)", "all")]),
        ("Idle MIG devices", "Below 5 % now, and all.", "timeseries", 8, "short", [
            ("count(apportion:mig_device:utilization < 0.05) or vector(0)", "idle"), ("count(apportion:mig_device:utilization)", "all")]),
        ("MIG devices without a pod", "Whose part of the GPU nobody can use, by profile.", "timeseries", 8, "short", [
            ('count by (GPU_I_PROFILE) (apportion:device:memory_used_mebibytes{GPU_I_ID!=""} unless on (node, UUID, GPU_I_ID) apportion:device:held)',
             "{{GPU_I_PROFILE}}")]),
        ("Utilization of whole GPUs", "Mean of each node.", "timeseries", 12, "percentunit", [
            ("avg by (node) (apportion:whole_gpu:utilization)", "{{node}}")]),
        ("Utilization of MIG devices", "Mean of each profile.", "timeseries", 12, "percentunit", [
            ("avg by (GPU_I_PROFILE) (apportion:mig_device:utilization)", "{{GPU_I_PROFILE}}")]),
        ("Idle, and held", "Devices below 5 % with the pod by whose name they go.", "table", 24, "percentunit", [
            ("apportion:device:held and on (node, UUID, GPU_I_ID) (apportion:whole_gpu:utilization < 0.05 or apportion:mig_device:utilization < 0.05)", "")]),
    ]),
    ("Apportion itself", [
        ("Certificate", "Days until what is served ends.", "timeseries", 8, "d", [
            ("(apportion_tls_certificate_not_after_timestamp_seconds > 0) / 86400 - time() / 86400", "{{instance}}")]),
        ("Errors", "Answers with a status of 500 and above, panics and handshakes that failed.", "timeseries", 8, "short", [
            ('sum by (listener) (rate(apportion_http_request_duration_seconds_count{code=~"5.."}[5m]))', "{{listener}} 5xx"),
            ("sum(rate(apportion_handler_panics_total[5m]))", "panics"),
            ("sum by (listener) (rate(apportion_tls_handshake_failures_total[5m]))", "{{listener}} handshakes")]),
        ("Age of what is known", "Seconds for which a broken watch has brought nothing.", "timeseries", 8, "s", [
            ("apportion_cluster_staleness_seconds", "{{instance}}")]),
    ]),
]


def panel(number, at, title, what, kind, width, unit, queries):
    targets = []
    for index, (expression, legend) in enumerate(queries):
        target = {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expression}
        if kind in ("table", "bargauge"):
            target["instant"] = True
        target |= {"format": "table"} if kind == "table" else {"legendFormat": legend}
        targets.append(target)
    made = {
        "id": number, "type": kind, "title": title, "description": what, "datasource": SOURCE, "gridPos": at | {"w": width},
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
        "description": "Capacity and use by strategy, who shares what, decisions and denials, waste. Needs deploy/monitoring/rules.yaml.",
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus", "current": {}}]},
        "annotations": {"list": []}, "links": [], "panels": panels,
    }


def main() -> int:
    text = json.dumps(dashboard(), indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        if not OUTPUT.exists() or OUTPUT.read_text() != text:
            print(f"{OUTPUT} is not what {__file__} makes", file=sys.stderr)
            return 1
        return 0
    OUTPUT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
