"""A real Prometheus with a week of synthetic samples, which also scrapes simulated exporters."""

import http.server
import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import fleet

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target/tools/prometheus/usr/bin"


def tool(name: str) -> str:
    """Returns the path of a Prometheus program, on the PATH or where `.ci/prometheus` puts it."""
    found = shutil.which(name) or shutil.which(name, path=str(TOOLS))
    if not found:
        raise FileNotFoundError(f"{name} is missing; run .ci/prometheus")
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Exporters:
    """One dcgm-exporter per node, at /<node>, which serves the last sample of the week."""

    def __init__(self, nodes):
        texts = {}
        for node in nodes:
            lines = {}
            for device in node.devices:
                for metric, labels, value in device.exposed(*device.samples[-1]):
                    lines.setdefault(metric, []).append(fleet.line(metric, labels, value))
            texts[f"/{node.name}"] = "".join(
                f"# HELP {metric} {fleet.FAMILIES[metric]}\n# TYPE {metric} gauge\n" + "".join(found) for metric, found in lines.items()
            ).encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.path in texts else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(texts.get(self.path, b""))

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                """Ignores scrapers that disconnect early."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Gate:
    """An HTTPS proxy in front of Prometheus that requires a login."""

    def __init__(self, url: str, directory: pathlib.Path, wanted: set[str]):
        self.certificate = directory / "gate.pem"
        key = directory / "gate.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", key,
             "-out", self.certificate, "-subj", "/CN=gate", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             # A server certificate, not an authority.
             "-addext", "basicConstraints=critical,CA:FALSE"],
            check=True, capture_output=True,
        )

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
                code, text = 401, b"login required"
                if self.headers.get("Authorization") in wanted:
                    headers = {"Content-Type": self.headers["Content-Type"]} if body else {}
                    request = urllib.request.Request(url + self.path.removeprefix("/proxy"), body, headers)
                    try:
                        with urllib.request.urlopen(request, timeout=30) as answer:
                            code, text = answer.status, answer.read()
                    except urllib.error.HTTPError as error:
                        code, text = error.code, error.read()
                self.send_response(code)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(self.certificate, key)
        self.server.socket = trust.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/proxy"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Prometheus:
    def __init__(self, nodes, exporters: Exporters):
        self.directory = tempfile.TemporaryDirectory(prefix="apportion-audit-")
        base = pathlib.Path(self.directory.name)
        (base / "week.txt").write_text(fleet.week(nodes))
        subprocess.run(
            # One block for the whole week, or promtool reads the text again for every two hours.
            [tool("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=360h", "openmetrics", base / "week.txt", base / "data"],
            check=True, stdout=subprocess.DEVNULL,
        )
        jobs = []
        for node in nodes:
            labels = fleet.EXPORTER | {"job": "honor" if node.honor else "plain", "instance": node.name}
            target = {"targets": [f"127.0.0.1:{exporters.port}"], "labels": labels}
            jobs.append({"job_name": node.name, "honor_labels": node.honor, "metrics_path": f"/{node.name}", "static_configs": [target]})
        config = {"global": {"scrape_interval": "2s", "scrape_timeout": "2s"}, "scrape_configs": jobs}
        (base / "prometheus.yml").write_text(json.dumps(config))
        self.log = open(base / "log", "w")
        # Another process may take the port before Prometheus does. Then try another port.
        for _ in range(5):
            port = free_port()
            self.url = f"http://127.0.0.1:{port}"
            self.process = subprocess.Popen(
                [tool("prometheus"), f"--config.file={base}/prometheus.yml", f"--storage.tsdb.path={base}/data",
                 "--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{port}"],
                stdout=self.log, stderr=self.log,
            )
            if self._ready():
                return
        raise RuntimeError((base / "log").read_text()[-2000:])

    def _ready(self) -> bool:
        for _ in range(300):
            if self.process.poll() is not None:
                return False
            try:
                urllib.request.urlopen(f"{self.url}/-/ready", timeout=2)
                return True
            except OSError:
                time.sleep(0.1)
        return False

    def get(self, path: str, **params):
        query = urllib.parse.urlencode(params, doseq=True)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
            return json.load(answer)["data"]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        self.directory.cleanup()
