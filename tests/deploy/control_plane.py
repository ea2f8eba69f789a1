"""A real control plane on loopback for tests: etcd, kube-apiserver and optional controllers.

The binaries are expected where envtest expects them: in $KUBEBUILDER_ASSETS, else in
/usr/local/kubebuilder/bin.
"""

import functools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ASSETS = pathlib.Path(os.environ.get("KUBEBUILDER_ASSETS") or "/usr/local/kubebuilder/bin")
BINARIES = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"]


@functools.cache
def missing() -> str:
    """Returns why no control plane can run here, or an empty string."""
    absent = [name for name in BINARIES if not (ASSETS / name).is_file()]
    if not shutil.which("openssl"):
        absent.append("openssl")
    if not absent:
        return ""
    reason = f"NOT TESTED: {', '.join(absent)} not found (looked in {ASSETS}; set KUBEBUILDER_ASSETS)"
    # unittest prints reasons for skipping only in verbose mode.
    print(reason, file=sys.stderr)
    return reason


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ControlPlane:
    """A control plane as a context manager. Leaving it stops everything that it started."""

    def __init__(self, controllers: bool = False):
        self.controllers = controllers
        self.processes: list[subprocess.Popen] = []
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="apportion-deploy-"))

    def __enter__(self) -> "ControlPlane":
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, name: str, *arguments: str, cwd: pathlib.Path | None = None) -> subprocess.Popen:
        """Starts one of the binaries. Its output goes to <name>.log."""
        with open(self.directory / f"{name}.log", "wb") as log:
            process = subprocess.Popen([ASSETS / name, *arguments], cwd=cwd or self.directory, stdout=log, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True) -> subprocess.CompletedProcess:
        command = [ASSETS / "kubectl", f"--kubeconfig={self.directory}/admin.conf", *arguments]
        done = subprocess.run(command, input=input, text=True, capture_output=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done

    def get(self, *arguments: str) -> dict:
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def wait_for(self, what: str, condition, seconds: float = 60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            if dead := [p.args[0].name for p in self.processes if p.poll() is not None]:
                raise AssertionError(f"{dead} exited while waiting for {what}; log: {self.log(dead[0])[-1500:]}")
            time.sleep(0.3)
        raise AssertionError(f"timed out after {seconds} s waiting for {what}")

    def kubeconfig(self, name: str, subject: str):
        """Writes <name>.conf, the kubeconfig of a client with this certificate subject."""
        self._certificate(name, subject, "extendedKeyUsage=clientAuth")
        path = f"--kubeconfig={self.directory}/{name}.conf"
        for arguments in (
            ["set-cluster", "c", f"--server=https://127.0.0.1:{self.port}", "--certificate-authority=ca.crt", "--embed-certs"],
            ["set-credentials", "u", f"--client-certificate={name}.crt", f"--client-key={name}.key", "--embed-certs"],
            ["set-context", "x", "--cluster=c", "--user=u"],
            ["use-context", "x"],
        ):
            self._quietly(ASSETS / "kubectl", path, "config", *arguments)

    def _quietly(self, *command):
        subprocess.run(command, cwd=self.directory, check=True, capture_output=True)

    def _certificate(self, name: str, subject: str, extensions: str):
        (self.directory / f"{name}.ext").write_text(extensions)
        self._quietly("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        self._quietly(
            "openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-out", f"{name}.crt", "-extfile", f"{name}.ext",
        )  # fmt: skip

    def _start(self):
        self.port, client, peer = free_port(), free_port(), free_port()
        self._quietly("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test-ca")
        names = "IP:127.0.0.1,IP:10.0.0.1,DNS:localhost,DNS:kubernetes.default.svc"
        self._certificate("api", "/CN=kube-apiserver", f"subjectAltName={names}")
        self._quietly("openssl", "genrsa", "-out", "sa.key", "2048")
        self._quietly("openssl", "rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")
        self.kubeconfig("admin", "/O=system:masters/CN=admin")
        self.run(
            "etcd", f"--data-dir={self.directory}/etcd", "--unsafe-no-fsync", "--log-level=warn",
            f"--listen-client-urls=http://127.0.0.1:{client}", f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
        )  # fmt: skip
        self.run(
            "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{client}", "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", f"--secure-port={self.port}",
            f"--cert-dir={self.directory}/run", "--tls-cert-file=api.crt", "--tls-private-key-file=api.key",
            "--client-ca-file=ca.crt", "--requestheader-client-ca-file=ca.crt", "--requestheader-allowed-names=nobody", f"--service-account-issuer=https://127.0.0.1:{self.port}",
            "--service-account-key-file=sa.pub", "--service-account-signing-key-file=sa.key",
            "--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC",
        )  # fmt: skip
        self.wait_for("the API server", lambda: self.kubectl("get", "--raw", "/readyz", check=False).returncode == 0, 120)
        if self.controllers:
            self.kubeconfig("kcm", "/CN=system:kube-controller-manager")
            self.run(
                "kube-controller-manager", "--kubeconfig=kcm.conf", "--authentication-kubeconfig=kcm.conf",
                "--authorization-kubeconfig=kcm.conf", "--bind-address=127.0.0.1", f"--secure-port={free_port()}",
                "--leader-elect=false", "--service-account-private-key-file=sa.key", "--root-ca-file=ca.crt",
                "--use-service-account-credentials=true", "--controllers=*,-node-lifecycle-controller",
            )  # fmt: skip
