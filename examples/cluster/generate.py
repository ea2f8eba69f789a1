#!/usr/bin/env python3
"""Generates cluster.json, the example cluster "fjord".

The file looks like the output of `kubectl get nodes,namespaces,pods -A -o json`.

    generate.py            write cluster.json into the directory of this file
    generate.py --check    exit 1 if cluster.json is out of date
    generate.py --report   print total, used and free of each GPU resource of each node

To change the cluster, edit the tables at the top. The same tables always give the same bytes.
"""

import hashlib
import json
import pathlib
import sys
import uuid
from datetime import datetime, timedelta, timezone

OUTPUT = pathlib.Path(__file__).with_name("cluster.json")
SNAPSHOT = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
KUBERNETES = "v1.36.2"
REGISTRY = "registry.fjord.example"
POLICY_LABEL = "apportion.dev/policy"

# Namespace: the policy of its label. None: no policy governs it.
NAMESPACES = {
    "acme": "multi-tenant",
    "apportion-system": None,
    "default": None,
    "dev": "development",
    "globex": "multi-tenant",
    "gpu-operator": None,
    "kube-system": None,
    "legacy": None,
    "llm-train": "training",
    "monitoring": None,
    "notebooks": "development",
    "playground": "development",
    "search": "inference",
    "serving": "inference",
    "tenants": "multi-tenant",
    "train": "training",
    "vision-train": "training",
}

# Read from the hardware by GPU feature discovery: product, MiB, family, compute capability,
# MIG-capable.
GPUS = {
    "a100-80": ("NVIDIA-A100-SXM4-80GB", 81920, "ampere", "8.0", True),
    "a100-40": ("NVIDIA-A100-SXM4-40GB", 40960, "ampere", "8.0", True),
    "h100": ("NVIDIA-H100-80GB-HBM3", 81559, "hopper", "9.0", True),
    "a30": ("NVIDIA-A30", 24576, "ampere", "8.0", True),
    "v100": ("Tesla-V100-SXM2-16GB", 16384, "volta", "7.0", False),
    "t4": ("Tesla-T4", 15360, "turing", "7.5", False),
    "l4": ("NVIDIA-L4", 23034, "ada-lovelace", "8.9", False),
}

# One MIG device: MiB, multiprocessors, slices of the GPU, copy engines, decoders.
MIG_DEVICES = {
    ("a100-80", "1g.10gb"): (9728, 14, 1, 1, 0),
    ("a100-80", "2g.20gb"): (19968, 28, 2, 2, 1),
    ("a100-40", "1g.5gb"): (4864, 14, 1, 1, 0),
    ("a30", "2g.12gb"): (11968, 28, 2, 2, 2),
}

# Machine: instance type, DMI product name, CPUs, memory in GiB.
MACHINES = {
    "cpu": ("fjord.cpu-32", None, 32, 128),
    "dgx-a100": ("fjord.a100-8", "DGXA100-920-23687-2530-000", 256, 1024),
    "dgx-h100": ("fjord.h100-8", "DGXH100", 224, 2048),
    "dgx-v100": ("fjord.v100-8", "DGX-1-with-V100", 80, 512),
    "xe8545": ("fjord.a100-4", "PowerEdge-XE8545", 128, 512),
    "c4140": ("fjord.v100-4", "PowerEdge-C4140", 64, 384),
    "r750": ("fjord.gpu-4", "PowerEdge-R750xa", 64, 256),
}

# Node: machine, zone, GPU model, physical GPUs, then
#   gives     allocatable GPU resources; one that its device plugin no longer offers stays as "0"
#   mig       profile: number of MIG devices          strategy  MIG strategy of the device plugin
#   shared    (name, sharing strategy, replicas, renamed to .shared)
#   taint     nvidia.com/gpu=present:NoSchedule
# and special cases: control, cordoned, lost, paused, bare
NODES = {
    "cp-1": dict(machine="cpu", zone="a", control=True),
    "cpu-1": dict(machine="cpu", zone="a"),
    "cpu-2": dict(machine="cpu", zone="b"),
    # Whole GPUs.
    "a100-1": dict(machine="dgx-a100", zone="a", gpu="a100-80", count=8, gives={"gpu": 8},
                   strategy="mixed", taint=True),
    "a100-2": dict(machine="dgx-a100", zone="b", gpu="a100-80", count=8, gives={"gpu": 8},
                   strategy="mixed", taint=True),
    "h100-1": dict(machine="dgx-h100", zone="a", gpu="h100", count=8, gives={"gpu": 8}, strategy="mixed", taint=True),
    "v100-1": dict(machine="dgx-v100", zone="b", gpu="v100", count=8, gives={"gpu": 8}, cordoned=True),
    # MIG devices.
    "a100-mig": dict(machine="dgx-a100", zone="a", gpu="a100-80", count=8, gives={"gpu": 0, "mig-1g.10gb": 56},
                     strategy="mixed", mig={"1g.10gb": 56}, config="all-1g.10gb", taint=True),
    "a100-split": dict(machine="dgx-a100", zone="b", gpu="a100-80", count=8, strategy="mixed", config="fjord-split",
                       gives={"gpu": 4, "mig-1g.10gb": 4, "mig-2g.20gb": 12}, mig={"1g.10gb": 4, "2g.20gb": 12},
                       taint=True),
    "a100-single": dict(machine="dgx-a100", zone="b", gpu="a100-40", count=8, gives={"gpu": 56},
                        strategy="single", mig={"1g.5gb": 56}, config="all-1g.5gb"),
    "a30-1": dict(machine="r750", zone="a", gpu="a30", count=4, gives={"gpu": 0, "mig-2g.12gb": 8},
                  strategy="mixed", mig={"2g.12gb": 8}, config="all-2g.12gb"),
    "a30-2": dict(machine="r750", zone="b", gpu="a30", count=4, gives={"gpu": 0, "mig-2g.12gb": 8},
                  strategy="mixed", mig={"2g.12gb": 8}, config="all-2g.12gb", lost=True),
    # Time slices.
    "t4-slices": dict(machine="r750", zone="a", gpu="t4", count=4, gives={"gpu": 16},
                      shared=("gpu", "time-slicing", 4, False)),
    "l4-slices": dict(machine="r750", zone="a", gpu="l4", count=4, gives={"gpu": 0, "gpu.shared": 16},
                      shared=("gpu", "time-slicing", 4, True)),
    "a100-slices": dict(machine="xe8545", zone="b", gpu="a100-80", count=4, gives={"gpu": 0, "mig-1g.10gb.shared": 56},
                        strategy="mixed", mig={"1g.10gb": 28}, config="all-1g.10gb",
                        shared=("mig-1g.10gb", "time-slicing", 2, True)),
    # Shares under an MPS daemon.
    "t4-mps": dict(machine="r750", zone="a", gpu="t4", count=4, gives={"gpu": 0, "gpu.shared": 16},
                   shared=("gpu", "mps", 4, True)),
    "v100-mps": dict(machine="c4140", zone="b", gpu="v100", count=4, gives={"gpu": 16},
                     shared=("gpu", "mps", 4, False)),
    # Wrong labels: from before a MIG change that is in progress; without the 4 time slices per
    # GPU; no labels at all.
    "a100-paused": dict(machine="dgx-a100", zone="a", gpu="a100-80", count=8, gives={"gpu": 0}, had={"gpu": 8},
                        strategy="mixed", config="all-1g.10gb", paused=True, taint=True),
    "t4-stale": dict(machine="r750", zone="b", gpu="t4", count=4, gives={"gpu": 16}),
    "bare-1": dict(machine="r750", zone="b", gpu="t4", count=4, gives={"gpu": 4}, bare=True),
}

TOLERATE_GPU = [{"effect": "NoSchedule", "key": "nvidia.com/gpu", "operator": "Exists"}]
WHOLE_ONLY = [  # keeps exclusive pods off shared nodes and off MIG `single` nodes
    {"key": "nvidia.com/gpu.sharing-strategy", "operator": "In", "values": ["none"]},
    {"key": "nvidia.com/mig.strategy", "operator": "NotIn", "values": ["single"]},
]
TIME_SLICE = {"nvidia.com/gpu.sharing-strategy": "time-slicing"}
MPS_SHARE = {"nvidia.com/gpu.sharing-strategy": "mps"}
T4_SLICE = {"nvidia.com/gpu.product": "Tesla-T4-SHARED"}
V100_SHARE = {"nvidia.com/gpu.product": "Tesla-V100-SXM2-16GB-SHARED"}
SMALL_MIG = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb"}

# Nodes on which the GPU Operator's DaemonSets run. A label turns off dcgm-exporter on all but the
# DGX machines.
OPERATED = [name for name, node in NODES.items() if "gpu" in node and not node.get("bare") and not node.get("paused")]
MONITORED = [name for name in OPERATED if NODES[name]["machine"].startswith("dgx")]

# (namespace, owner, name, nodes of its pods, containers, more). A container is "name
# resource=count", without the prefix nvidia.com/; "init:" and "sidecar:" give the kind. Node None:
# not scheduled. more: phase, deleted (minutes since its grace period ended), creating, selector
# (nodeSelector), whole, system.
WORKLOADS = [
    # Training: whole GPUs.
    ("vision-train", "Job", "resnet-sweep", ["a100-1"], ["train gpu=8"], dict(whole=True)),
    ("vision-train", "Job", "detector-finetune", ["h100-1"], ["init:shard gpu=2", "train gpu=1"], dict(whole=True)),
    ("vision-train", "Job", "vit-b16", ["v100-1"], ["train gpu=4"], dict(whole=True)),
    ("vision-train", "Job", "resnet-warmup", ["a100-2"], ["train gpu=8"], dict(whole=True, phase="Succeeded")),
    ("vision-train", "Job", "segment-eval", ["h100-1"], ["eval gpu=4"], dict(whole=True, phase="Failed")),
    ("llm-train", "StatefulSet", "llama-sft", ["h100-1"], ["train gpu=4"], dict(whole=True)),
    ("llm-train", "Job", "reward-model", ["a100-split"], ["train gpu=1"], dict(whole=True)),
    ("llm-train", "Job", "tokenize", ["cpu-1"], ["tokenize"], {}),
    # Tenants: MIG devices only.
    ("acme", "Deployment", "api", ["a100-mig"] * 2, ["api mig-1g.10gb=1"], {}),
    ("acme", "Deployment", "rag", ["a100-mig"],
     ["sidecar:guard mig-1g.10gb=1", "llm mig-1g.10gb=1", "embed mig-1g.10gb=1", "log"], {}),
    ("acme", "Job", "embed-batch", ["a100-mig"] * 2, ["embed mig-1g.10gb=7"], {}),
    ("acme", "Deployment", "api-canary", ["a100-mig"], ["api mig-1g.10gb=1"], dict(deleted=-4)),
    ("acme", "Job", "rerank-batch", [None], ["rerank mig-1g.10gb=1"], {}),
    ("acme", "Deployment", "thumbs", ["a100-single"], ["thumbs gpu=1"], dict(selector=SMALL_MIG)),
    ("globex", "Deployment", "vision-api", ["a100-mig"] * 2, ["api mig-1g.10gb=2"], {}),
    ("globex", "Deployment", "ocr", ["a100-mig"], ["ocr mig-1g.10gb=1"], dict(creating=True)),
    ("globex", "StatefulSet", "chat", ["a100-split"] * 2, ["llm mig-2g.20gb=1"], {}),
    ("globex", "Job", "nightly", ["a100-mig"] * 2, ["etl mig-1g.10gb=7"], {}),
    ("globex", "Job", "caption", ["a100-single"], ["caption gpu=4"], dict(selector=SMALL_MIG)),
    # Inference: MIG devices on newer GPUs, MPS shares on T4 and V100. There, each tenant has nodes
    # of its own.
    ("serving", "Deployment", "llm-small", ["a100-mig"] * 2, ["server mig-1g.10gb=1"], {}),
    ("serving", "Deployment", "llm-medium", ["a100-split"] * 2, ["server mig-2g.20gb=1"], {}),
    ("serving", "Deployment", "embedder", ["t4-mps"] * 2, ["server gpu.shared=1"], dict(selector=MPS_SHARE)),
    ("serving", "Deployment", "asr", ["t4-mps"] * 4,
     ["encoder gpu.shared=1", "decoder gpu.shared=1"], dict(selector=MPS_SHARE)),
    ("serving", "Deployment", "tts", ["t4-mps"],
     ["acoustic gpu.shared=1", "vocoder gpu.shared=1"], dict(selector=MPS_SHARE)),
    ("search", "Deployment", "rerank", ["a100-split"] * 3, ["server mig-1g.10gb=1"], {}),
    ("search", "Deployment", "ranker", ["a30-1"] * 3, ["query mig-2g.12gb=1", "document mig-2g.12gb=1"], {}),
    ("search", "Deployment", "ranker-old", ["a30-2"], ["query mig-2g.12gb=1"], dict(deleted=30)),
    ("search", "Deployment", "rewrite", ["v100-mps"] * 6, ["server gpu=1"], dict(selector=V100_SHARE)),
    ("search", "Deployment", "spell", ["v100-mps"] * 2, ["server gpu=1"], dict(selector=V100_SHARE)),
    # Development: time slices.
    ("playground", "StatefulSet", "nb-ada", ["l4-slices"], ["notebook gpu.shared=1"], dict(selector=TIME_SLICE)),
    ("playground", "StatefulSet", "nb-grace", ["l4-slices"], ["notebook gpu.shared=1"], dict(selector=TIME_SLICE)),
    ("playground", "StatefulSet", "nb-linus", ["t4-slices"], ["notebook gpu=1"], dict(selector=T4_SLICE)),
    ("playground", "StatefulSet", "nb-radia", ["t4-slices"], ["notebook gpu=1"], dict(selector=T4_SLICE)),
    ("notebooks", "Deployment", "lab", ["l4-slices"] * 3, ["lab gpu.shared=1"], dict(selector=TIME_SLICE)),
    ("notebooks", "Pod", "try-cuda", ["l4-slices"], ["shell gpu.shared=1"], dict(selector=TIME_SLICE)),
    # No policy: pods from before Apportion.
    ("legacy", "Deployment", "transcode", ["t4-slices"], ["ffmpeg gpu=2"], {}),
    ("legacy", "Deployment", "render", ["t4-stale"], ["render gpu=3"], {}),
    ("legacy", "Pod", "matlab", ["bare-1"], ["matlab gpu=1"], {}),
    ("legacy", "Deployment", "fold", ["a100-slices"], ["fold mig-1g.10gb.shared=1"], {}),
    ("monitoring", "StatefulSet", "prometheus", ["cpu-1"], ["prometheus"], {}),
    ("monitoring", "Deployment", "grafana", ["cpu-2"], ["grafana"], {}),
    ("default", "Pod", "hello", ["cpu-2"], ["hello"], dict(phase="Succeeded")),
    # The cluster's own.
    ("apportion-system", "Deployment", "apportion", ["cpu-1", "cpu-2"], ["apportion"], {}),
    ("gpu-operator", "DaemonSet", "nvidia-device-plugin-daemonset", OPERATED,
     ["nvidia-device-plugin"], dict(system=True)),
    ("gpu-operator", "DaemonSet", "nvidia-dcgm-exporter", MONITORED, ["nvidia-dcgm-exporter"], dict(system=True)),
    ("kube-system", "DaemonSet", "nvidia-device-plugin-static", ["bare-1"],
     ["nvidia-device-plugin"], dict(system=True)),
    ("kube-system", "Deployment", "coredns", ["cpu-1", "cpu-2"], ["coredns"], dict(system=True)),
    ("kube-system", "Node", "etcd", ["cp-1"], ["etcd"], dict(system=True)),
    ("kube-system", "Node", "kube-apiserver", ["cp-1"], ["kube-apiserver"], dict(system=True)),
]

IMAGES = {
    "apportion": "ghcr.io/apportion/apportion:0.1.0",
    "coredns": "registry.k8s.io/coredns/coredns:v1.13.1",
    "etcd": "registry.k8s.io/etcd:3.6.6-0",
    "kube-apiserver": f"registry.k8s.io/kube-apiserver:{KUBERNETES}",
    "nvidia-dcgm-exporter": "nvcr.io/nvidia/k8s/dcgm-exporter:4.6.0-4.8.3-distroless",
    "nvidia-device-plugin": "nvcr.io/nvidia/k8s-device-plugin:v0.20.0",
}


# --- Helpers --------------------------------------------------------------------------------------


def time(minutes_ago):
    return (SNAPSHOT - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def uid(*parts):
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, "/".join(parts) + ".fjord.example"))


def digest(*parts):
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def suffix(length, *parts):
    """Returns a name suffix in Kubernetes' alphabet: no vowels, no ambiguous characters."""
    letters = "bcdfghjklmnpqrstvwxz2456789"
    return "".join(letters[int(digest(*parts, str(i))[:8], 16) % len(letters)] for i in range(length))


def metadata(kind, name, minutes_ago, namespace=None, **more):
    version = int(digest("version", kind, namespace or "", name)[:6], 16) + 1_000_000
    data = {"creationTimestamp": time(minutes_ago), "name": name, "resourceVersion": str(version)}
    if namespace:
        data["namespace"] = namespace
    return data | {"uid": uid(kind, namespace or "", name)} | more


# --- Nodes ----------------------------------------------------------------------------------------


def gfd_labels(node):
    """Returns the labels of GPU feature discovery v0.20. Later updates win, as there."""
    product, memory, family, compute, mig_capable = GPUS[node["gpu"]]
    mig, strategy = node.get("mig", {}), node.get("strategy")
    name, sharing, replicas, renamed = node.get("shared", ("", "none", 1, False))
    all_mig = bool(mig) and not node["gives"].get("gpu")

    def base(resource, count, *parts):
        is_shared = resource == name
        return {
            "product": "-".join([product, *parts] + (["SHARED"] if is_shared and not renamed else [])),
            "count": count,
            "replicas": replicas if is_shared else 1,
            "sharing-strategy": sharing if is_shared else "none",
        }

    labels = {
        "gfd.timestamp": int((SNAPSHOT - timedelta(days=2)).timestamp()),
        "cuda.driver-version.full": "590.48.01", "cuda.driver-version.major": 590,
        "cuda.driver-version.minor": 48, "cuda.driver-version.revision": "01",
        "cuda.driver.major": 590, "cuda.driver.minor": 48, "cuda.driver.rev": "01",
        "cuda.runtime-version.full": "13.1", "cuda.runtime-version.major": 13, "cuda.runtime-version.minor": 1,
        "cuda.runtime.major": 13, "cuda.runtime.minor": 1,
        "gpu.machine": MACHINES[node["machine"]][1],
        "gpu.mode": "compute",
        "gpu.memory": memory,
        "gpu.family": family,
        "gpu.compute.major": compute.split(".")[0],
        "gpu.compute.minor": compute.split(".")[1],
        "mig.capable": str(mig_capable).lower(),
        "mps.capable": str(sharing == "mps").lower(),
    }
    labels |= {f"gpu.{key}": value for key, value in base("gpu", node["count"]).items()}
    if all_mig:
        labels["gpu.replicas"] = 0
    if strategy:
        labels["mig.strategy"] = strategy
    for profile, count in mig.items():
        resource = "gpu" if strategy == "single" else f"mig-{profile}"
        mib, processors, slices, copy, decoder = MIG_DEVICES[node["gpu"], profile]
        device = base(resource, count, "MIG", profile) | {
            "memory": mib, "multiprocessors": processors, "slices.gi": slices, "slices.ci": slices,
            "engines.copy": copy, "engines.decoder": decoder, "engines.encoder": 0, "engines.jpeg": 0, "engines.ofa": 0,
        }
        labels |= {f"{resource}.{key}": value for key, value in device.items()}
    return labels


def operator_labels(node):
    """Returns the labels that the GPU Operator and its MIG manager write."""
    deploy = ["client", "container-toolkit", "dcgm", "dcgm-exporter", "device-plugin", "driver",
              "gpu-feature-discovery", "node-status-exporter", "operator-validator"]
    labels = {f"gpu.deploy.{operand}": "true" for operand in deploy} | {"gpu.present": "true"}
    if not node["machine"].startswith("dgx"):
        labels |= {"gpu.deploy.dcgm": "false", "gpu.deploy.dcgm-exporter": "false"}
    if GPUS[node["gpu"]][4]:
        state = "pending" if node.get("paused") else "success"
        config = node.get("config", "all-disabled")
        labels |= {"gpu.deploy.mig-manager": "true", "mig.config": config, "mig.config.state": state}
    if node.get("paused"):
        stopped = ["dcgm", "dcgm-exporter", "device-plugin", "gpu-feature-discovery"]
        labels |= {f"gpu.deploy.{operand}": "paused-for-mig-change" for operand in stopped}
    if "shared" in node:
        labels["device-plugin.config"] = "{0}-{1}-x{2}".format(*node["shared"])
    return labels


def node_labels(name, node):
    labels = {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": MACHINES[node["machine"]][0],
        "topology.kubernetes.io/region": "fjord",
        "topology.kubernetes.io/zone": f"fjord-{node['zone']}",
    }
    if node.get("control"):
        labels["node-role.kubernetes.io/control-plane"] = ""
    if "gpu" in node and not node.get("bare"):
        nvidia = gfd_labels(node) | operator_labels(node)
        labels |= {f"nvidia.com/{key}": str(value) for key, value in nvidia.items()}
    return labels


def node_taints(node):
    taints = []
    if node.get("control"):
        taints.append({"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"})
    if node.get("taint"):
        taints.append({"effect": "NoSchedule", "key": "nvidia.com/gpu", "value": "present"})
    if node.get("cordoned"):
        taints.append({"effect": "NoSchedule", "key": "node.kubernetes.io/unschedulable", "timeAdded": time(2880)})
    if node.get("lost"):
        for effect in ["NoSchedule", "NoExecute"]:
            taints.append({"effect": effect, "key": "node.kubernetes.io/unreachable", "timeAdded": time(45)})
    return taints


def node_conditions(node):
    rows = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
    heard, changed = 2, 40_000
    if node.get("lost"):
        rows = [(kind, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.") for kind, *_ in rows]
        heard, changed = 46, 45
    return [
        {"lastHeartbeatTime": time(heard), "lastTransitionTime": time(changed), "message": message, "reason": reason,
         "status": status, "type": kind}
        for kind, status, reason, message in rows
    ]


def quantities(name, resources):
    """Returns the capacity or allocatable of a node."""
    _, _, cpus, memory = MACHINES[NODES[name]["machine"]]
    return {
        "cpu": str(cpus), "ephemeral-storage": "1843217020Ki", "hugepages-1Gi": "0", "hugepages-2Mi": "0",
        "memory": f"{(memory - 4) * 1024 * 1024}Ki", "pods": "110",
    } | {f"nvidia.com/{resource}": str(count) for resource, count in resources.items()}


def address(name):
    return f"10.20.0.{list(NODES).index(name) + 11}"


def node_object(name, node):
    pods = f"10.244.{list(NODES).index(name)}.0/24"
    spec = {"podCIDR": pods, "podCIDRs": [pods], "providerID": f"fjord://fjord-{node['zone']}/{name}"}
    taints = node_taints(node)
    if taints:
        spec["taints"] = taints
    if node.get("cordoned"):
        spec["unschedulable"] = True
    gives = node.get("gives", {})
    allocatable = quantities(name, gives)
    allocatable["cpu"] = f"{MACHINES[node['machine']][2] * 1000 - 500}m"
    annotations = {
        "node.alpha.kubernetes.io/ttl": "0",
        "volumes.kubernetes.io/controller-managed-attach-detach": "true",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata("Node", name, 300_000, annotations=annotations, labels=node_labels(name, node)),
        "spec": spec,
        "status": {
            "addresses": [{"address": address(name), "type": "InternalIP"}, {"address": name, "type": "Hostname"}],
            "allocatable": allocatable,
            "capacity": quantities(name, gives | node.get("had", {})),
            "conditions": node_conditions(node),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": "amd64", "bootID": uid("boot", name), "containerRuntimeVersion": "containerd://2.2.1",
                "kernelVersion": "6.8.0-88-generic", "kubeProxyVersion": "", "kubeletVersion": KUBERNETES,
                "machineID": digest("machine", name)[:32], "operatingSystem": "linux",
                "osImage": "Ubuntu 24.04.3 LTS", "systemUUID": uid("system", name),
            },
        },
    }


# --- Namespaces and pods --------------------------------------------------------------------------


def namespace_object(name, policy):
    labels = {"kubernetes.io/metadata.name": name} | ({POLICY_LABEL: policy} if policy else {})
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": metadata("Namespace", name, 290_000, labels=labels),
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def pod_identity(namespace, owner, name, node, index):
    """Returns the pod's name, generateName, labels, and owner (kind, apiVersion, name)."""
    labels = {"app.kubernetes.io/name": name}
    tail = suffix(5, namespace, name, str(index))
    if owner == "Deployment":
        template = suffix(10, namespace, name)
        labels["pod-template-hash"] = template
        replica_set = f"{name}-{template}"
        return f"{replica_set}-{tail}", f"{replica_set}-", labels, ("ReplicaSet", "apps/v1", replica_set)
    if owner == "Job":
        labels["batch.kubernetes.io/job-name"] = name
        return f"{name}-{tail}", f"{name}-", labels, ("Job", "batch/v1", name)
    if owner == "DaemonSet":
        return f"{name}-{tail}", f"{name}-", labels, ("DaemonSet", "apps/v1", name)
    if owner == "StatefulSet":
        labels["apps.kubernetes.io/pod-index"] = str(index)
        return f"{name}-{index}", f"{name}-", labels, ("StatefulSet", "apps/v1", name)
    if owner == "Node":
        return f"{name}-{node}", None, labels, ("Node", "v1", node)
    return name, None, labels, None


def container_object(namespace, text):
    """Parses "sidecar:guard mig-1g.10gb=1" into ("init", "sidecar" or "main", the container)."""
    name, *wants = text.split()
    kind, name = name.split(":") if ":" in name else ("main", name)
    gpus = {f"nvidia.com/{resource}": count for resource, count in (want.split("=") for want in wants)}
    size = sum(int(count) for count in gpus.values())
    memory = {"memory": f"{8 * size + 8}Gi" if size else "256Mi"}
    container = {
        "image": IMAGES.get(name, f"{REGISTRY}/{namespace}/{name}:1.4"),
        "imagePullPolicy": "IfNotPresent",
        "name": name,
        "resources": {
            "limits": memory | gpus,
            "requests": {"cpu": str(size + 1) if size else "100m"} | memory | gpus,
        },
    }
    if kind == "sidecar":
        container["restartPolicy"] = "Always"
    return kind, container


def container_status(container, minutes_ago, phase, is_init):
    state = {"running": {"startedAt": time(minutes_ago)}}
    if is_init or phase in ("Succeeded", "Failed"):
        code = 137 if phase == "Failed" and not is_init else 0
        reason = "OOMKilled" if code else "Completed"
        state = {"terminated": {"exitCode": code, "finishedAt": time(minutes_ago - 1), "reason": reason,
                                "startedAt": time(minutes_ago)}}
    elif phase == "Pending":
        state = {"waiting": {"reason": "ContainerCreating"}}
    running = "running" in state
    status = {
        "image": container["image"], "imageID": "", "lastState": {}, "name": container["name"],
        "ready": running or (is_init and phase == "Running"), "restartCount": 0, "started": running, "state": state,
    }
    if phase != "Pending":
        status["imageID"] = "sha256:" + digest(container["image"])
    return status


def pod_status(node, spec, minutes_ago, phase):
    if node is None:
        return {"phase": phase, "qosClass": "Burstable"}
    lost = NODES[node].get("lost")
    ready = "True" if phase == "Running" and not lost else "False"
    condition = {"lastProbeTime": None, "lastTransitionTime": time(45 if lost else minutes_ago)}
    conditions = [
        condition | {"status": ready, "type": "Ready"},
        condition | {"lastTransitionTime": time(minutes_ago), "status": "True", "type": "PodScheduled"},
    ]
    sidecars = {c["name"] for c in spec.get("initContainers", []) if c.get("restartPolicy") == "Always"}
    status = {
        "conditions": conditions,
        "containerStatuses": [container_status(c, minutes_ago, phase, False) for c in spec["containers"]],
        "hostIP": address(node),
        "phase": phase,
        "qosClass": "Burstable",
        "startTime": time(minutes_ago),
    }
    if "initContainers" in spec:
        status["initContainerStatuses"] = [
            container_status(c, minutes_ago, phase, c["name"] not in sidecars) for c in spec["initContainers"]
        ]
    return status


def pod_tolerations(owner, containers, more):
    if owner == "Node":
        return [{"effect": "NoExecute", "operator": "Exists"}]
    away = [
        {"effect": "NoExecute", "key": f"node.kubernetes.io/{key}", "operator": "Exists"}
        for key in ("not-ready", "unreachable")
    ]
    if owner == "DaemonSet":
        cordoned = {"effect": "NoSchedule", "key": "node.kubernetes.io/unschedulable", "operator": "Exists"}
        return TOLERATE_GPU + away + [cordoned]
    wants_gpu = any("=" in text for text in containers)
    return (TOLERATE_GPU if wants_gpu else []) + [toleration | {"tolerationSeconds": 300} for toleration in away]


def pod_object(namespace, owner, workload, node, containers, more, index):
    name, generate_name, labels, reference = pod_identity(namespace, owner, workload, node, index)
    age = 60 + int(digest("age", namespace, name)[:4], 16)
    if node is None or more.get("creating"):
        age = 1  # just created
    phase = more.get("phase") or ("Pending" if node is None or more.get("creating") else "Running")
    parsed = [container_object(namespace, text) for text in containers]

    meta = metadata("Pod", name, age, namespace, generation=1, labels=labels)
    if generate_name:
        meta["generateName"] = generate_name
    if reference:
        kind, api, owner_name = reference
        owned = {"apiVersion": api, "controller": True, "kind": kind, "name": owner_name,
                 "uid": uid(kind, "" if kind == "Node" else namespace, owner_name)}
        meta["ownerReferences"] = [owned if kind == "Node" else owned | {"blockOwnerDeletion": True}]
    if owner == "Node":
        mark = digest("static", name)[:32]
        marks = {"hash": mark, "mirror": mark, "seen": time(age), "source": "file"}
        meta["annotations"] = {f"kubernetes.io/config.{key}": value for key, value in marks.items()}
    if more.get("deleted"):
        meta |= {"deletionGracePeriodSeconds": 600, "deletionTimestamp": time(more["deleted"]), "generation": 2}

    spec = {
        "containers": [c for kind, c in parsed if kind == "main"],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "priority": 2_000_001_000 if more.get("system") else 0,
        "restartPolicy": "Never" if owner == "Job" or phase == "Succeeded" else "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "serviceAccount": "default",
        "serviceAccountName": "default",
        "terminationGracePeriodSeconds": 600 if more.get("deleted") else 30,
        "tolerations": pod_tolerations(owner, containers, more),
    }
    if any(kind != "main" for kind, _ in parsed):
        spec["initContainers"] = [c for kind, c in parsed if kind != "main"]
    if node:
        spec["nodeName"] = node
    if more.get("system"):
        spec["priorityClassName"] = "system-node-critical"
    if "selector" in more:
        spec["nodeSelector"] = more["selector"]
    if more.get("whole"):
        terms = {"nodeSelectorTerms": [{"matchExpressions": WHOLE_ONLY}]}
        spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}

    status = pod_status(node, spec, age - 1, phase)
    if more.get("deleted") and NODES[node].get("lost"):
        status |= {"message": f"Node {node} which was running pod {name} is unresponsive", "reason": "NodeLost"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status}


def all_pods():
    pods = [
        pod_object(namespace, owner, name, node, containers, more, index)
        for namespace, owner, name, nodes, containers, more in WORKLOADS
        for index, node in enumerate(nodes)
    ]
    return sorted(pods, key=lambda pod: (pod["metadata"]["namespace"], pod["metadata"]["name"]))


# --- Usage ----------------------------------------------------------------------------------------


def number(quantity):
    units = {"m": 0.001, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
    for unit, factor in units.items():
        if quantity.endswith(unit):
            return float(quantity.removesuffix(unit)) * factor
    return float(quantity)


def plus(left, right):
    return {key: left.get(key, 0) + right.get(key, 0) for key in left | right}


def most(left, right):
    return {key: max(left.get(key, 0), right.get(key, 0)) for key in left | right}


def effective_requests(spec):
    """Returns what Kubernetes counts: containers plus sidecars, or the largest init step."""
    def requests(container):
        return {key: number(value) for key, value in container["resources"]["requests"].items()}

    sidecars, init_phase = {}, {}
    for container in spec.get("initContainers", []):
        if container.get("restartPolicy") == "Always":
            sidecars = plus(sidecars, requests(container))
            init_phase = most(init_phase, sidecars)
        else:
            init_phase = most(init_phase, plus(sidecars, requests(container)))
    running = sidecars
    for container in spec["containers"]:
        running = plus(running, requests(container))
    return most(running, init_phase)


def usage(pods):
    """Returns what the pods of each node hold. Pods being deleted count; finished pods do not."""
    used = {name: {} for name in NODES}
    for pod in pods:
        node = pod["spec"].get("nodeName")
        if node and pod["status"]["phase"] not in ("Succeeded", "Failed"):
            used[node] = plus(used[node], effective_requests(pod["spec"]) | {"pods": 1})
    return used


def assert_sound(cluster):
    """Checks that no node is overcommitted, every pod may run on its node, and names are unique."""
    nodes = {item["metadata"]["name"]: item for item in cluster["items"] if item["kind"] == "Node"}
    pods = [item for item in cluster["items"] if item["kind"] == "Pod"]
    for name, used in usage(pods).items():
        allocatable = nodes[name]["status"]["allocatable"]
        for resource, count in used.items():
            assert count <= number(allocatable.get(resource, "0")), f"{name}: {resource}: {count:g} is too much"
    for pod in pods:
        name, spec = pod["metadata"]["name"], pod["spec"]
        node = nodes.get(spec.get("nodeName"))
        if node is None:
            continue
        labels = node["metadata"]["labels"]
        wanted = spec.get("nodeSelector", {})
        assert wanted.items() <= labels.items(), f"{name}: its nodeSelector does not match {spec['nodeName']}"
        if "affinity" in spec:
            assert labels["nvidia.com/gpu.sharing-strategy"] == "none", f"{name}: not a whole GPU"
        tainted = any(taint["key"] == "nvidia.com/gpu" for taint in node["spec"].get("taints", []))
        assert not tainted or any(t.get("key") == "nvidia.com/gpu" for t in spec["tolerations"]), f"{name}: taint"
    names = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in cluster["items"]]
    assert len(names) == len(set(names)), "two objects have one name"


# --- Output ---------------------------------------------------------------------------------------


def build():
    nodes = [node_object(name, NODES[name]) for name in sorted(NODES)]
    namespaces = [namespace_object(name, NAMESPACES[name]) for name in sorted(NAMESPACES)]
    cluster = {
        "apiVersion": "v1",
        "items": nodes + namespaces + all_pods(),
        "kind": "List",
        "metadata": {"resourceVersion": ""},
    }
    assert_sound(cluster)
    return cluster


def render(cluster):
    """Formats like kubectl: sorted keys, an indent of four spaces, a newline at the end."""
    text = json.dumps(cluster, indent=4, sort_keys=True, ensure_ascii=True) + "\n"
    assert not set("<>&") & set(text), "kubectl would escape < > &"
    return text


def report(cluster):
    used = usage([item for item in cluster["items"] if item["kind"] == "Pod"])
    print(f"{'NODE':13} {'RESOURCE':31} {'TOTAL':>5} {'USED':>5} {'FREE':>5}  NOTE")
    for name, node in NODES.items():
        notes = [word for word in ("cordoned", "lost", "paused", "bare") if node.get(word)]
        for resource, total in node.get("gives", {}).items():
            resource = f"nvidia.com/{resource}"
            if total == 0 and len(node["gives"]) > 1:
                continue
            held = int(used[name].get(resource, 0))
            print(f"{name:13} {resource:31} {total:5} {held:5} {total - held:5}  {' '.join(notes)}".rstrip())


def main(arguments):
    cluster = build()
    if arguments == ["--report"]:
        report(cluster)
    elif arguments == ["--check"]:
        if not OUTPUT.exists() or OUTPUT.read_text() != render(cluster):
            sys.exit(f"{OUTPUT.name} is out of date: run generate.py")
    elif not arguments:
        OUTPUT.write_text(render(cluster))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
