"""Tests of `apportion audit` against a real Prometheus.

Every number of the report is computed a second time, from the definitions behind the samples.
"""

import base64
import json
import math
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

import expectation
import fleet
from server import ROOT, Exporters, Gate, Prometheus

BINARY = ROOT / "target/debug/apportion"


def differences(path, expected, got):
    """Yields the places where two values differ; numbers may differ by rounding."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key, value in expected.items():
            yield from differences(f"{path}.{key}", value, got.get(key, "missing"))
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            yield f"{path}: {len(expected)} expected, {len(got)} found: {expected} {got}"
        for at, (one, other) in enumerate(zip(expected, got)):
            yield from differences(f"{path}[{at}]", one, other)
    elif isinstance(expected, (int, float)) and isinstance(got, (int, float)) and not isinstance(expected, bool):
        if not math.isclose(expected, got, rel_tol=1e-9, abs_tol=1e-6):
            yield f"{path}: {expected} expected, {got} found"
    elif expected != got:
        yield f"{path}: {expected!r} expected, {got!r} found"


def numbers(value) -> int:
    if isinstance(value, dict):
        return sum(map(numbers, value.values()))
    if isinstance(value, list):
        return sum(map(numbers, value))
    return int(isinstance(value, (int, float)) and not isinstance(value, bool))


class Audit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.nodes = fleet.fleet()
        cls.exporters = Exporters(cls.nodes)
        cls.addClassCleanup(cls.exporters.stop)
        cls.prometheus = Prometheus(cls.nodes, cls.exporters)
        cls.addClassCleanup(cls.prometheus.stop)
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.directory = pathlib.Path(directory.name)
        (cls.directory / "cluster.json").write_text(fleet.cluster(cls.nodes))
        lines = "".join(f"  {word}: {price}\n" for word, price in expectation.PRICES.items())
        (cls.directory / "prices.yaml").write_text(f"currency: EUR\nprices:\n{lines}")

    def run_audit(self, url, *args):
        return subprocess.run(
            [BINARY, "audit", "--prometheus", url, "--cluster", self.directory / "cluster.json",
             "--policies", ROOT / "policies", "--prices", self.directory / "prices.yaml", *args],
            capture_output=True, text=True, timeout=120, env={k: v for k, v in os.environ.items() if not k.startswith("APPORTION_")},
        )

    def audit(self, *args, status=(0, 1)):
        done = self.run_audit(self.prometheus.url, *args)
        self.assertIn(done.returncode, status, done.stderr)
        return done.stderr if done.returncode == 2 else done.stdout

    def report(self, *args):
        return json.loads(self.audit("--output", "json", *args))

    def compare(self, got):
        expected = expectation.expected(self.nodes)
        key = {"namespaces": ["namespace"], "workloads": ["namespace", "workload"], "gpus": ["node", "uuid", "instance"]}
        found = []
        for table, names in key.items():
            index = lambda rows: {tuple(row[name] for name in names): row for row in rows}
            want, have = index(expected[table]), index(got[table])
            self.assertEqual(set(want), set(have), table)
            for name in want:
                found += differences(f"{table}{list(name)}", want[name], have[name])
        for part in ("window", "currency", "total"):
            found += differences(part, expected[part], got[part])
        have = {gap["kind"]: gap for gap in got["unseen"]}
        self.assertEqual(set(expected["unseen"]), set(have))
        for kind, names in expected["unseen"].items():
            found += differences(kind, {"count": len(names), "names": sorted(names)[:8]}, have[kind])
        self.assertEqual(found, [])
        return expected

    def test_every_number_is_reproduced(self):
        # The report recommends changes, so the exit status is 1.
        got = json.loads(self.audit("--output", "json", "--end", fleet.stamp(fleet.END + 17), status=(1,)))
        expected = self.compare(got)
        # An empty report must not pass as a correct one.
        self.assertGreater(numbers(expected["gpus"]) + numbers(expected["workloads"]), 2000)
        wasted = [row["wasted"] or 0 for row in got["namespaces"]]
        self.assertEqual(wasted, sorted(wasted, reverse=True))

    def test_query_size_does_not_change_the_report(self):
        self.compare(self.report("--end", fleet.stamp(fleet.END), "--nodes-per-query", "1", "--parallel", "3"))

    def test_scraped_series_have_the_labels_of_the_samples(self):
        """A real scrape produces the series of the week, and live values can be audited."""
        week = self.labels(fleet.END - 400, fleet.END)
        deadline = time.monotonic() + 30
        while (live := self.labels(time.time() - 10, time.time())) != week - self.ended() and time.monotonic() < deadline:
            time.sleep(0.5)
        self.assertEqual(live, week - self.ended())
        # On a busy machine a scrape may time out and leave a gap. Then look at the next seconds.
        deadline = time.monotonic() + 60
        while True:
            time.sleep(4)
            got = self.report("--window", "3s", "--step", "1s")
            seen = [row["seenPart"] for row in got["gpus"] if row["meanPercent"] is not None]
            if (len(seen) == 26 and min(seen) == 1.0) or time.monotonic() > deadline:
                break
        by_key = {(row["node"], row["uuid"], row["instance"] or ""): row for row in got["gpus"]}
        for node in self.nodes:
            for device in node.devices:
                row = by_key[device.key[:3]]
                if device.blind:
                    self.assertIsNone(row["meanPercent"])
                    continue
                last = max(util for _, _, util, _ in device.samples[-1][1])
                self.assertAlmostEqual(row["meanPercent"], last, places=4, msg=row)
                self.assertEqual(row["seenPart"], 1.0)

    def labels(self, start, end):
        found = self.prometheus.get("series", start=start, end=end, **{"match[]": ['{__name__=~"DCGM_.*"}']})
        return {tuple(sorted(labels.items())) for labels in found}

    def ended(self):
        """Returns series that only the week has.

        The simulated exporters show a GPU in MIG mode only as its MIG devices.
        """
        parents = {f"GPU-{node.name}-{gpu}" for node in self.nodes for gpu, _, _ in node.parents}
        week = self.labels(fleet.END - 400, fleet.END)
        return {labels for labels in week if dict(labels)["UUID"] in parents and "GPU_I_ID" not in dict(labels)}

    def test_all_output_formats_agree(self):
        end = ["--end", fleet.stamp(fleet.END)]
        got = self.report(*end)
        wasted = f"{got['total']['wasted']:,.0f}"
        for form in ("text", "markdown", "html"):
            text = self.audit("--output", form, *end)
            for word in (wasted, "jupyter-alice", "time-slicing", "apportion.dev/policy=development", "gone-1", "dark-1", "1g.10gb"):
                self.assertIn(word, text, form)
        html = self.audit("--output", "html", *end)
        for foreign in ("http://", "https://", "<script", "url(", "@import", "<link"):
            self.assertNotIn(foreign, html.replace("http://www.w3.org/2000/svg", ""))

    def test_https_and_login(self):
        basic = base64.b64encode(b"auditor:pass word").decode()
        gate = Gate(self.prometheus.url, self.directory, {"Bearer secret", f"Basic {basic}"})
        self.addCleanup(gate.stop)
        (self.directory / "token").write_text("secret\n")
        (self.directory / "password").write_text("pass word\n")
        trust, token = ["--ca-file", gate.certificate], ["--token-file", self.directory / "token"]
        password = ["--username", "auditor", "--password-file", self.directory / "password"]
        span = ["--end", fleet.stamp(fleet.END), "--window", "6h"]
        for args, words in [
            ([*trust, *token], None), ([*trust, *password], None), (["--insecure-skip-tls-verify", *token], None),
            (trust, "log in with --token-file"), (token, "cannot reach Prometheus"),
        ]:
            done = self.run_audit(gate.url, *span, *args, "--output", "json")
            if words:
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertIn(words, done.stderr)
                self.assertNotIn("secret", done.stderr)
            else:
                self.assertIn(done.returncode, (0, 1), done.stderr)
                self.assertEqual(json.loads(done.stdout)["total"]["devices"], 27)
        done = self.run_audit("http://prometheus.example", *token)
        self.assertIn("in the clear", done.stderr)

    def test_errors_exit_2_with_a_message(self):
        for args, words in [
            (["--end", "2020-01-01T00:00:00Z"], "knows no DCGM metric"),
            (["--selector", 'cluster="none"'], "knows no DCGM metric"),
            (["--selector", "cluster="], "refuses a query (bad_data)"),
            (["--window", "5m"], "fewer than 2 steps"),
            (["--prometheus", "localhost:9090"], "is not the address"),
            (["--prometheus", "http://127.0.0.1:9"], "cannot reach Prometheus"),
            (["--prometheus", f"http://127.0.0.1:{self.exporters.port}"], "is not Prometheus' HTTP API"),
            (["--prometheus", self.prometheus.url + "/elsewhere"], "answers 404"),
        ]:
            # The flag must not be given twice.
            url, args = (args[1], []) if args[0] == "--prometheus" else (self.prometheus.url, args)
            done = self.run_audit(url, *args)
            self.assertEqual((done.returncode, done.stdout), (2, ""), args)
            self.assertIn(words, done.stderr, args)


if __name__ == "__main__":
    unittest.main()
