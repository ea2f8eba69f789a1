"""Expected audit report, computed from the fleet in fleet.py, independently of the program."""

from fleet import DARK, DAY, END, NAMESPACES, PODS, START, STEP, current

PRICES = {"A100": 2.5, "T4": 0.35, "V100": 0.9, "L4": 0.6}
IDLE = 5.0

# (node, MIG profile): strategy, product, shares per device, part of a GPU that a device is.
POOLS = {
    ("whole-1", ""): ("exclusive", "NVIDIA-A100-SXM4-80GB", 1, 1.0),
    ("slices-1", ""): ("time-slicing", "Tesla-T4", 4, 1.0),
    ("mps-1", ""): ("mps", "Tesla-V100-SXM2-16GB", 4, 1.0),
    ("turns-1", ""): ("time-slicing", "NVIDIA-L4", 4, 1.0),
    # A seventh of the compute is more than an eighth of the memory. Half an A30 is half of both.
    ("mig-1", "1g.10gb"): ("mig", "NVIDIA-A100-SXM4-80GB", 1, 1 / 7),
    ("mig-1", ""): ("exclusive", "NVIDIA-A100-SXM4-80GB", 1, 1.0),
    ("single-1", "2g.12gb"): ("mig", "NVIDIA-A30", 1, 1 / 2),
    ("mute-1", ""): ("exclusive", "Tesla-T4", 1, 1.0),
    # No strategy: the labels exist, but nothing is allocatable. The part of 1c.2g.20gb is unknown.
    ("blind-1", "1g.10gb"): (None, "NVIDIA-A100-SXM4-80GB", 1, 1 / 7),
    ("blind-1", "1c.2g.20gb"): (None, "NVIDIA-A100-SXM4-80GB", 1, None),
    ("gone-1", ""): (None, "Tesla-T4", 1, 1.0),
}
WORKLOADS = {
    "llama-0": "llama", "jupyter-alice": "jupyter-alice", "ranker-6d4cf56db6-7xk2p": "ranker", "ranker-6d4cf56db6-zzqw2": "ranker",
    "ide-0": "ide", "ide-1": "ide", "lab-8f6d5c4b7-kq7xz": "lab", "nb-anna": "nb-anna", "nb-ben": "nb-ben", "nb-cleo": "nb-cleo",
    "nb-dan": "nb-dan", "job-4-kq7xz": "job", "batch-29384720-zx8qw": "batch",
    **{f"chat-{at}": "chat" for at in range(7)}, **{f"bot-{at}": "bot" for at in range(2)},
    **{f"embed-5c9f7d8b64-{end}": "embed" for end in ("zxwvt", "bcdfg", "qrstv")},
}
# Workload: strategy, MIG profile, pods per GPU, policy to set. Decided by hand from the table in
# docs/audit.md.
ADVICE = {
    "llama": ("exclusive", None, None, None),
    "jupyter-alice": ("time-slicing", None, 4, "development"),
    "ranker": ("mig", "2g.20gb", 3, "inference"),
}
NOTHING = (None, None, None, None)
SET_POLICY = {"research": "development", "web": "inference"}


def price(product):
    return next((p for word, p in PRICES.items() if word in product.split("-")), None)


def quantile(values, q):
    """Returns the quantile as Prometheus computes it: linear between ranks."""
    ordered = sorted(values)
    rank = q * (len(ordered) - 1)
    low = int(rank)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (rank - low)


class Measured:
    """The values of a device at steps, in total or while the exporter named a pod on it."""

    def __init__(self, points, memory, weight, price, buckets):
        self.util = [value for _, value in points]
        self.steps, self.idle = len(points), sum(value < IDLE for value in self.util)
        self.mean = sum(self.util) / self.steps if points else None
        self.p95 = quantile(self.util, 0.95) if points else None
        self.peak = max(memory)
        self.weight, self.price = weight, price
        self.trend = trend(points, buckets) if points else []


def trend(points, buckets):
    count, length = buckets
    sums = [[0.0, 0] for _ in range(count)]
    for t, value in points:
        place = count - 1 - (END - STEP - t) // length
        if 0 <= place < count:
            sums[place][0] += value
            sums[place][1] += 1
    return [total / n if n else None for total, n in sums]


def blend_trends(trends):
    """Returns the weighted mean of trends."""
    width = max((len(t) for t, _ in trends), default=0)
    found = []
    for at in range(width):
        known = [(t[at], w) for t, w in trends if w and t and t[at] is not None]
        found.append(sum(v * w for v, w in known) / sum(w for _, w in known) if known else None)
    return found


class Holding:
    def __init__(self, who, count, scope, steps, idle, mean, p95, peak, total, weight, pool, trend, product_price):
        self.who, self.count, self.scope, self.weight, self.pool = who, count, scope, weight, pool
        # A device whose part of a GPU is unknown is left out of all sums.
        weight = self.weight = weight or 0
        self.hours, self.idle_hours = steps * STEP / 3600 * weight, idle * STEP / 3600 * weight
        self.mean, self.p95, self.peak, self.total, self.trend, self.price = mean, p95, peak, total, trend, product_price


def usage(parts):
    hours = sum(p.hours for p in parts)
    priced = [p for p in parts if p.price is not None]
    return {
        "gpuHours": hours,
        "idleHours": sum(p.idle_hours for p in parts),
        "meanPercent": sum(p.mean * p.hours for p in parts if p.hours) / hours if hours else None,
        "p95Percent": max((p.p95 for p in parts if p.p95 is not None), default=None),
        "memoryPeakMebibytes": max((p.peak for p in parts), default=None),
        "cost": sum(p.hours * p.price for p in priced) if priced else None,
        "wasted": sum(p.idle_hours * p.price for p in priced) if priced else None,
        "trend": blend_trends([(p.trend, p.weight) for p in parts]),
    }


SCOPES = ["own", "device", "node"]


def expected(nodes):
    steps = range(START, END, STEP)
    # A trend has at most 56 values, which here are 36 steps each.
    length = -(-len(steps) // 56) * STEP
    buckets = ((END - START) // length, length)
    gpus, holdings, per_pool = [], [], {}
    for node in nodes:
        for device in node.devices:
            strategy, product, shares, part = POOLS[node.name, device.profile]
            seen = [(t, current(device, t)) for t in steps]
            seen = [(t, series) for t, series in seen if series]
            points = [] if device.blind else [(t, max(u for u, _ in series.values())) for t, series in seen]
            memory = [max(m for _, m in series.values()) for _, series in seen]
            whole = Measured(points, memory, part, price(product), buckets)
            names = {who for _, series in seen for who in series if who[0]}
            # A pod name on a shared device is ignored, unless the series also names the share.
            believed = {who for who in names if who[1] or strategy in ("exclusive", "mig", None)}
            shared_by = shares if any(who[1] for who in names) else 1
            gpus.append({
                "node": node.name, "uuid": device.uuid, "instance": device.instance or None, "profile": device.profile or None,
                "product": product, "strategy": strategy, "part": part, "seenPart": whole.steps / len(steps),
                **usage([as_holding(whole, None, "own", device.total, part)]), "meanPercent": whole.mean, "trend": whole.trend,
                "memoryMeanMebibytes": sum(memory) / len(memory), "memoryTotalMebibytes": device.total,
                "holders": sorted(f"{who[0][0]}/{who[0][1]}" for who in believed),
            })
            per_pool.setdefault((node.name, device.profile), []).append((whole, device, bool(believed)))
            for who in believed:
                mine = [(t, series[who]) for t, series in seen if who in series]
                own = Measured([(t, u) for t, (u, _) in mine], [m for _, (_, m) in mine], part, price(product), buckets)
                scope = "own" if not who[1] or device.mode == "process" else "device"
                holding = as_holding(own, who[0], scope, device.total, part / shared_by)
                holding.pool = (node.name, device.profile)
                holdings.append(holding)
    holdings += unnamed(per_pool, holdings)
    return report(gpus, holdings, per_pool, steps, length)


def as_holding(measured, who, scope, total, weight):
    m = measured
    return Holding(who, 1, scope, m.steps, m.idle, m.mean, m.p95, m.peak, total, weight, None, m.trend, m.price)


def unnamed(per_pool, named):
    """Returns holdings of pods that no series names.

    They get the mean of their node's devices without a pod name, since their start.
    """
    found = []
    known = {(h.who, h.pool[0]) for h in named}
    for namespace, name, node, resource, count, start in PODS:
        profile = resource.removeprefix("mig-") if resource.startswith("mig-") else ""
        if node == "single-1":
            profile = "2g.12gb"
        devices = [d for d, _, believed in per_pool.get((node, profile), []) if not believed]
        if ((namespace, name), node) in known or not devices or start is None:
            continue
        _, product, shares, part = POOLS[node, profile]
        all_steps = sum(d.steps for d in devices)
        held = len([t for t in range(START, END, STEP) if t >= start])
        assert all(d.steps for d in devices)
        found.append(Holding(
            (namespace, name), count, "device" if len(per_pool[node, profile]) == 1 else "node", held,
            held * sum(d.idle for d in devices) / all_steps, sum(d.mean * d.steps for d in devices) / all_steps,
            max(d.p95 for d in devices), max(d.peak for d in devices), max(d.total for _, d, b in per_pool[node, profile] if not b),
            count * part / shares, (node, profile), blend_trends([(d.trend, 1) for d in devices]), price(product)))
    return found


def report(gpus, holdings, per_pool, steps, length):
    workloads, namespaces = {}, {}
    for holding in holdings:
        workloads.setdefault((holding.who[0], WORKLOADS[holding.who[1]]), []).append(holding)
        namespaces.setdefault(holding.who[0], []).append(holding)
    rows = []
    for (namespace, name), parts in workloads.items():
        strategy, profile, per_gpu, policy = ADVICE.get(name, NOTHING)
        used = usage(parts)
        kept = 1 - 1 / per_gpu if per_gpu else 0
        counts = {}
        for part in parts:
            counts[part.who[1]] = counts.get(part.who[1], 0) + part.count
        most = max(parts, key=lambda part: part.peak)
        pools = [POOLS[part.pool] + (part.pool[1],) for part in parts]
        rows.append({
            "namespace": namespace, "workload": name, "pods": len(counts), "devicesPerPod": max(counts.values()),
            "strategies": sorted({p[0] for p in pools if p[0]}), "products": sorted({f"{p[1]} {p[4]}".strip() for p in pools}),
            **used, "memoryTotalMebibytes": most.total, "scope": max((p.scope for p in parts), key=SCOPES.index),
            "advice": {"strategy": strategy, "change": bool(per_gpu), "profile": profile, "perGpu": per_gpu, "setPolicy": policy,
                       "savingHours": used["gpuHours"] * kept, "saving": used["cost"] * kept if per_gpu else None},
        })
    spaces = []
    for namespace, parts in namespaces.items():
        own = [row["advice"] for row in rows if row["namespace"] == namespace]
        saving = [a["saving"] for a in own if a["saving"] is not None]
        spaces.append({
            "namespace": namespace, "policy": NAMESPACES.get(namespace), **usage(parts),
            "scope": max((p.scope for p in parts), key=SCOPES.index), "savingHours": sum(a["savingHours"] for a in own),
            "saving": sum(saving) if saving else None, "setPolicy": SET_POLICY.get(namespace),
        })
    everything = [as_holding(m, None, "own", d.total, m.weight or 0) for pool in per_pool.values() for m, d, _ in pool]
    unheld = unheld_cost = 0
    for pool, devices in per_pool.items():
        idle = sum(m.idle * STEP / 3600 * (m.weight or 0) for m, _, _ in devices)
        unheld_here = max(0, idle - sum(h.idle_hours for h in holdings if h.pool == pool))
        unheld += unheld_here
        unheld_cost += unheld_here * (price(POOLS[pool][1]) or 0)
    total = {"gpus": len({(g["node"], g["uuid"]) for g in gpus}), "devices": len(gpus), **usage(everything),
             "heldHours": sum(h.hours for h in holdings), "idleUnheldHours": unheld, "idleUnheldCost": unheld_cost,
             "savingHours": sum(r["advice"]["savingHours"] for r in rows), "saving": sum(s["saving"] or 0 for s in spaces)}
    hurt = [f"mig-1 GPU-mig-1-0 MIG {at}" for at in range(7, 14)]
    behind = sorted({f"{h.who[0]}/{h.who[1]}" for h in holdings if h.scope != "own"})
    unseen = {
        "nodesWithoutMetrics": [DARK[0]], "nodesNotInCluster": ["gone-1"], "nodesInDoubt": ["blind-1"],
        "devicesWithoutUtilization": ["blind-1 GPU-blind-1-0 MIG 7"], "devicesOfUnknownSize": ["blind-1 GPU-blind-1-0 MIG 3"], "devicesWithHoles": hurt,
        "podsBehindSharedDevices": behind, "podsNamedForOthers": ["search/embed-5c9f7d8b64-bcdfg", "search/embed-5c9f7d8b64-zxwvt"],
        "podsWithoutMetrics": ["web/hidden"], "podsWithoutStart": ["dev/unborn"], "namespacesNotInCluster": ["legacy"],
        "productsWithoutPrice": ["NVIDIA-A30"],
    }
    window = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-12T00:00:00Z", "stepSeconds": STEP, "hours": 168.0,
              "idleBelowPercent": IDLE, "trendSeconds": length}
    return {"window": window, "currency": "EUR", "total": total, "namespaces": spaces, "workloads": rows, "gpus": gpus, "unseen": unseen}
