"""A synthetic fleet of GPUs, and a week of dcgm-exporter metrics for it.

This file defines what each device did and which pods held it. `exposed` formats that as
dcgm-exporter does, with its pitfalls. `scraped` changes labels as Prometheus does during a scrape.
The expectations of test_audit.py are computed from the definitions, not from the labels.
"""

import bisect
import json
import math

STEP = 300
LOOKBACK = 300
WEEK = 7 * 86400
DAY = 86400
HOUR = 3600
# A Monday, so the week begins with working days.
END = 1768176000  # 2026-01-12T00:00:00Z
START = END - WEEK
EXPORTER = {"namespace": "gpu-operator", "pod": "nvidia-dcgm-exporter-7xk2p", "container": "nvidia-dcgm-exporter"}
FAMILIES = {
    "DCGM_FI_DEV_GPU_UTIL": "GPU utilization (in %).",
    "DCGM_FI_DEV_FB_USED": "Framebuffer memory used (in MiB).",
    "DCGM_FI_DEV_FB_FREE": "Framebuffer memory free (in MiB).",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": "Ratio of time the graphics engine is active.",
}


def noise(*seed: int) -> float:
    """Returns a pseudorandom number from 0 to 1 that is the same in every run."""
    value = 2166136261
    for part in seed:
        value = (value ^ (part & 0xFFFFFFFF)) * 16777619 & 0xFFFFFFFF
        value ^= value >> 13
    return (value * 2654435761 % 2**32) / 2**32


class Device:
    """A whole GPU or a MIG device."""

    def __init__(self, node, gpu, model, total, load, memory, holders=(), instance="", profile="", mode="plain", hole=None, blind=False):
        self.node, self.gpu, self.model, self.total = node, gpu, model, total
        self.load, self.memory, self.hole = load, memory, hole
        # Without profiling metrics a MIG device has memory and no utilization.
        self.blind = blind
        self.instance, self.profile, self.mode = instance, profile, mode
        self.uuid = f"GPU-{node.name}-{gpu}"
        # (namespace, pod, from, to, replica): the pods that the exporter names, and when.
        self.holders = list(holders)
        self.samples = list(self._samples())

    @property
    def key(self):
        return (self.node.name, self.uuid, self.instance, self.profile)

    def at(self, t):
        """Returns the utilization in percent and the memory in use in MiB."""
        seed = sum(map(ord, self.uuid + self.instance))
        util = min(100.0, max(0.0, self.load(t) + 3 * (noise(seed, t // 60) - 0.5)))
        if self.load(t) == 0:
            util = 0.0
        # As the exporter prints it: whole percent, or a ratio with six digits.
        util = round(util) if not self.instance else round(util / 100, 6) * 100
        return util, math.floor(self.memory(t))

    def _samples(self):
        """Yields (time, [(holder or None, replica, utilization, memory)]) for each scrape."""
        for t in range(START - 600 + self.node.offset, END, self.node.interval):
            if self.hole and self.hole[0] <= t < self.hole[1]:
                continue
            util, memory = self.at(t)
            here = [(ns, pod, replica) for ns, pod, begin, end, replica in self.holders if begin <= t < end]
            if self.mode == "process":
                # The value of each process, and in addition the value of the device.
                parts = [(h, util / max(1, len(here)), memory // max(1, len(here))) for h in here]
                rows = [((ns, pod), replica, round(u), m) for (ns, pod, replica), u, m in parts]
                rows.append((None, "", util, memory))
            elif here:
                rows = [((ns, pod), replica, util, memory) for ns, pod, replica in here]
            else:
                rows = [(None, "", util, memory)]
            yield t, rows

    def exposed(self, t, rows):
        """Yields the lines of a scrape as (metric, labels, value)."""
        whole = {"gpu": str(self.gpu), "UUID": self.uuid, "pci_bus_id": f"00000000:0{self.gpu}:00.0"}
        whole |= {"device": f"nvidia{self.gpu}", "modelName": self.model, self.node.host_label(t): self.node.name}
        if self.instance:
            whole |= {"GPU_I_PROFILE": self.profile, "GPU_I_ID": self.instance}
        # Free memory is always that of the device.
        free = self.total - max(row[3] for row in rows)
        for holder, replica, util, memory in rows:
            labels = dict(whole)
            if holder:
                labels |= {"namespace": holder[0], "pod": holder[1], "container": "main"}
            if replica:
                labels["vgpu"] = replica
            if not self.instance:
                yield "DCGM_FI_DEV_GPU_UTIL", labels, util
            if (self.instance and not self.blind) or self.node.profiling:
                # Differs from GPU_UTIL, so that a test shows which of the two was used.
                yield "DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels, round(util / (100 if self.instance else 300), 6)
            yield "DCGM_FI_DEV_FB_USED", labels, memory
            yield "DCGM_FI_DEV_FB_FREE", labels, free


class Node:
    def __init__(self, name, labels, allocatable, upgraded=END, honor=False, interval=120, offset=37, profiling=False):
        self.name, self.labels, self.allocatable = name, labels, allocatable
        # When its exporter was upgraded to a version that writes `hostname`.
        self.upgraded, self.honor, self.interval, self.offset = upgraded, honor, interval, offset
        self.profiling = profiling
        self.devices, self.parents = [], []

    def add(self, *args, **kwargs):
        self.devices.append(Device(self, *args, **kwargs))

    def host_label(self, t):
        return "hostname" if t >= self.upgraded else "Hostname"


def scraped(labels: dict, node: Node) -> dict:
    """Returns the labels after a scrape of a target that has the labels of the exporter's pod."""
    found = dict(labels)
    for name, value in EXPORTER.items():
        if name not in found:
            found[name] = value
        elif not node.honor:
            found["exported_" + name] = found[name]
            found[name] = value
    return found | {"job": "honor" if node.honor else "plain", "instance": node.name}


def office(low, high, seed):
    """Returns a load that is busy at times on working days from 9:00 to 17:00."""

    def load(t):
        hour, day = t // HOUR % 24, (t - START) // DAY
        if day > 4 or not 9 <= hour < 17:
            return low
        return high if noise(seed, t // 900) < 0.4 else low

    return load


def steady(level, swing):
    return lambda t: level + swing * math.sin(2 * math.pi * (t % DAY) / DAY)


def constant(value):
    return lambda _t: value


def labels_of(product, count, memory, replicas=1, sharing="none", **more):
    found = {"gpu.product": product, "gpu.count": str(count), "gpu.memory": str(memory), "gpu.replicas": str(replicas)}
    found |= {"gpu.sharing-strategy": sharing} | {key.replace("_", "-"): value for key, value in more.items()}
    return {f"nvidia.com/{key}": value for key, value in found.items()}


def fleet():
    a100 = "NVIDIA A100-SXM4-80GB"
    whole = Node("whole-1", labels_of("NVIDIA-A100-SXM4-80GB", 4, 81920), {"gpu": 4}, upgraded=0)
    train = [("llm-train", "llama-0", START - HOUR, END, "")]
    whole.add(0, a100, 81038, steady(86, 8), constant(70_000), train)
    whole.add(1, a100, 81038, steady(84, 8), constant(70_100), train)
    whole.add(2, a100, 81038, office(0, 42, 5), constant(9_000), [("research", "jupyter-alice", START - DAY, END, "")])
    # Held by a pod of a Deployment, then by its successor, then by no pod.
    middle = START + 2 * DAY + 1234
    whole.add(3, a100, 81038, lambda t: steady(9, 3)(t) if t < START + 4 * DAY else 0,
              lambda t: 5_000 if t < START + 4 * DAY else 500,
              [("web", "ranker-6d4cf56db6-7xk2p", START - DAY, middle, ""),
               ("web", "ranker-6d4cf56db6-zzqw2", middle, START + 4 * DAY, "")])

    # Renamed time slices: the exporter does not label their pods. The GPUs also have profiling
    # metrics, which must not matter.
    slices = Node("slices-1", labels_of("Tesla-T4", 4, 15360, 4, "time-slicing"), {"gpu": 0, "gpu.shared": 16}, offset=11,
                  profiling=True)
    for gpu in range(4):
        slices.add(gpu, "Tesla T4", 15109, office(0, 60, gpu), constant(2_000 + 100 * gpu))

    # MPS, not renamed: the exporter names only the last pod on the GPU.
    mps = Node("mps-1", labels_of("Tesla-V100-SXM2-16GB-SHARED", 2, 16384, 4, "mps"), {"gpu": 8}, honor=True, offset=71)
    for gpu in range(2):
        mps.add(gpu, "Tesla V100-SXM2-16GB", 16160, steady(30 + 10 * gpu, 10), constant(8_000),
                [("search", f"embed-5c9f7d8b64-{'bcdfg' if gpu else 'zxwvt'}", START - DAY, END, "")])

    # Time slices with a series for each pod: one GPU with a value per process, the other with the
    # value of the GPU.
    turns = Node("turns-1", labels_of("NVIDIA-L4-SHARED", 2, 23034, 4, "time-slicing"), {"gpu": 8}, upgraded=0,
                 honor=True, offset=5)
    team = [("dev", "nb-anna", START + DAY, END, "0"), ("dev", "nb-ben", START + 3 * DAY, END, "1")]
    turns.add(0, "NVIDIA L4", 22500, steady(30, 20), constant(6_000), team, mode="process")
    turns.add(1, "NVIDIA L4", 22500, office(0, 50, 9), constant(4_000), [("dev", "nb-cleo", START + DAY, END, "0"), ("dev", "nb-dan", START + DAY, END, "2")])

    # One GPU in MIG mode, one whole. The first GPU's own utilization reads 0 while its MIG devices
    # work.
    mixed = labels_of("NVIDIA-A100-SXM4-80GB", 2, 81920, mig_strategy="mixed") | {
        f"nvidia.com/mig-1g.10gb.{key}": value
        for key, value in {"count": "7", "replicas": "1", "sharing-strategy": "none", "memory": "9728",
                           "product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"}.items()
    }
    mixed["nvidia.com/mig.strategy"] = mixed.pop("nvidia.com/mig-strategy")
    mig = Node("mig-1", mixed, {"gpu": 1, "mig-1g.10gb": 7}, offset=19)
    hole = (START + 3 * DAY, START + 3 * DAY + 6 * HOUR)
    for at in range(7):
        holder = [("acme", f"chat-{at}", START - DAY, END, "")] if at < 3 else []
        mig.add(0, a100, 9728, steady(40 + 10 * at, 15) if at < 3 else constant(0), constant(6_000 if at < 3 else 12), holder,
                instance=str(7 + at), profile="1g.10gb", hole=hole)
    mig.add(1, a100, 81038, constant(0), constant(450))
    mig.parents.append((0, a100, 81038))

    # MIG `single`: nvidia.com/gpu is a MIG device.
    single = Node("single-1", labels_of("NVIDIA-A30-MIG-2g.12gb", 2, 11968, **{"slices.gi": "2"}), {"gpu": 2}, honor=True, offset=23,
                  upgraded=START + 2 * DAY + 5000)
    single.labels["nvidia.com/mig.strategy"] = "single"
    for at in range(2):
        single.add(0, "NVIDIA A30", 11968, steady(25, 10) if at else office(0, 80, 3), constant(3_000), [("globex", f"bot-{at}", START - DAY, END, "")],
                   instance=str(1 + at), profile="2g.12gb")

    # An exporter that knows no pods, on GPUs that are not shared; and one without GPU_UTIL, as in
    # some lists of metrics.
    mute = Node("mute-1", labels_of("Tesla-T4", 2, 15360), {"gpu": 2}, offset=61)
    mute.add(0, "Tesla T4", 15109, steady(20, 10), constant(4_000))
    mute.add(1, "Tesla T4", 15109, office(0, 70, 12), constant(5_000))
    blind = Node("blind-1", labels_of("NVIDIA-A100-SXM4-80GB", 1, 81920, replicas=0), {"gpu": 0}, honor=True, offset=91)
    blind.add(0, a100, 9728, constant(0), constant(2_000), instance="7", profile="1g.10gb", blind=True)
    blind.add(0, a100, 19968, steady(30, 5), constant(2_500), instance="3", profile="1c.2g.20gb")

    gone = Node("gone-1", {}, {}, offset=3)
    gone.add(0, "Tesla T4", 15109, steady(50, 5), constant(9_000), [("legacy", "batch-29384720-zx8qw", START, END, "")])
    return [whole, slices, mps, turns, mig, single, mute, blind, gone]


# Existing pods: namespace, name, node, resource, count, start.
PODS = [
    ("llm-train", "llama-0", "whole-1", "gpu", 2, START - HOUR),
    ("research", "jupyter-alice", "whole-1", "gpu", 1, START - DAY),
    ("dev", "ide-0", "slices-1", "gpu.shared", 1, START - DAY),
    ("dev", "ide-1", "slices-1", "gpu.shared", 1, START + 2 * DAY + 77),
    ("dev", "lab-8f6d5c4b7-kq7xz", "slices-1", "gpu.shared", 2, START + 6 * DAY),
    ("dev", "unborn", "slices-1", "gpu.shared", 1, None),
    ("search", "embed-5c9f7d8b64-zxwvt", "mps-1", "gpu", 1, START - DAY),
    ("search", "embed-5c9f7d8b64-bcdfg", "mps-1", "gpu", 1, START - DAY),
    ("search", "embed-5c9f7d8b64-qrstv", "mps-1", "gpu", 1, START + DAY),
    ("dev", "nb-anna", "turns-1", "gpu", 1, START + DAY),
    ("dev", "nb-ben", "turns-1", "gpu", 1, START + 3 * DAY),
    ("dev", "nb-cleo", "turns-1", "gpu", 1, START + DAY),
    ("dev", "nb-dan", "turns-1", "gpu", 1, START + DAY),
    *[("acme", f"chat-{at}", "mig-1", "mig-1g.10gb", 1, START - DAY) for at in range(3)],
    *[("globex", f"bot-{at}", "single-1", "gpu", 1, START - DAY) for at in range(2)],
    ("ci", "job-4-kq7xz", "mute-1", "gpu", 1, START + DAY),
    ("web", "hidden", "dark-1", "gpu", 1, START),
]
NAMESPACES = {"llm-train": "training", "research": None, "dev": "development", "search": "inference", "acme": "multi-tenant",
              "globex": "multi-tenant", "web": None, "ci": None}
DARK = ("dark-1", labels_of("Tesla-T4", 1, 15360), {"gpu": 1})


def stamp(t):
    import datetime

    return datetime.datetime.fromtimestamp(t, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def cluster(nodes) -> str:
    """Returns what `kubectl get nodes,namespaces,pods -A -o json` would print."""
    items = []
    known = [(n.name, n.labels, n.allocatable) for n in nodes if n.labels] + [DARK]
    for name, labels, allocatable in known:
        given = {f"nvidia.com/{key}": str(value) for key, value in allocatable.items()}
        items.append({"kind": "Node", "metadata": {"name": name, "labels": labels},
                      "status": {"allocatable": given, "conditions": [{"type": "Ready", "status": "True"}]}})
    for name, policy in NAMESPACES.items():
        labels = {"apportion.dev/policy": policy} if policy else {}
        items.append({"kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    for namespace, name, node, resource, count, start in PODS:
        limits = {"limits": {f"nvidia.com/{resource}": str(count)}}
        status = {"phase": "Running"} | ({"startTime": stamp(start)} if start else {})
        items.append({"kind": "Pod", "metadata": {"namespace": namespace, "name": name},
                      "spec": {"nodeName": node, "containers": [{"name": "main", "resources": limits}]}, "status": status})
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def line(metric, labels, value, t=None):
    inner = ",".join(f'{k}="{v}"' for k, v in labels.items())
    return f"{metric}{{{inner}}} {value}" + (f" {t}" if t is not None else "") + "\n"


def week(nodes) -> str:
    """Returns all samples as OpenMetrics text, as if they had been scraped."""
    families = {name: [] for name in FAMILIES}
    for node in nodes:
        for device in node.devices:
            cache = {}
            for t, rows in device.samples:
                for metric, labels, value in device.exposed(t, rows):
                    key = (metric, tuple(labels.items()))
                    if key not in cache:
                        cache[key] = line(metric, scraped(labels, node), "%s").rstrip("\n")
                    families[metric].append(cache[key] % f"{value} {t}")
        for gpu, model, total in node.parents:
            labels = scraped({"gpu": str(gpu), "UUID": f"GPU-{node.name}-{gpu}", "modelName": model, node.host_label(END - 1): node.name}, node)
            for t in range(START - 600 + node.offset, END, node.interval):
                if any(device.gpu == gpu and device.hole and device.hole[0] <= t < device.hole[1] for device in node.devices):
                    continue
                families["DCGM_FI_DEV_GPU_UTIL"].append(line("DCGM_FI_DEV_GPU_UTIL", labels, 0, t).rstrip("\n"))
                families["DCGM_FI_DEV_FB_USED"].append(line("DCGM_FI_DEV_FB_USED", labels, 40_000, t).rstrip("\n"))
                families["DCGM_FI_DEV_FB_FREE"].append(line("DCGM_FI_DEV_FB_FREE", labels, total - 40_000, t).rstrip("\n"))
    text = []
    for name, lines in families.items():
        text += [f"# HELP {name} {FAMILIES[name]}", f"# TYPE {name} gauge", *lines]
    return "\n".join(text) + "\n# EOF\n"


def current(device, t):
    """Returns the value that Prometheus uses at `t`.

    That is the latest sample of each series within the lookback. If two series stand for the same
    device, because a label has just changed, it is the higher of the two values.
    """
    samples = device.samples
    last = bisect.bisect_right(samples, t, key=lambda sample: sample[0])
    seen = {}
    for index in range(last - 1, -1, -1):
        at, rows = samples[index]
        if at <= t - LOOKBACK:
            break
        for holder, replica, util, memory in rows:
            seen.setdefault((holder, replica, device.node.host_label(at)), (util, memory))
    merged = {}
    for (holder, replica, _), (util, memory) in seen.items():
        known = merged.get((holder, replica), (0, 0))
        merged[holder, replica] = (max(util, known[0]), max(memory, known[1]))
    return merged
