//! The binaries of a real control plane.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

/// The default directory of envtest.
const DEFAULT: &str = "/usr/local/kubebuilder/bin";
const NEEDED: [&str; 5] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
];

/// The reason is printed once, not for each test.
static SAID: Once = Once::new();

/// A directory with all binaries.
#[derive(Clone)]
pub(crate) struct Binaries(PathBuf);

impl Binaries {
    /// `None` and a line that says SKIPPED if a binary is missing, because a skipped suite must not
    /// look like a passed one.
    pub(crate) fn find() -> Option<Self> {
        let dir = std::env::var_os("KUBEBUILDER_ASSETS").map_or_else(|| PathBuf::from(DEFAULT), PathBuf::from);
        let missing: Vec<&str> = NEEDED.into_iter().filter(|name| !dir.join(name).is_file()).collect();
        if missing.is_empty() {
            return Some(Binaries(dir));
        }
        let line = format!(
            "SKIPPED: end-to-end suite: no {} in {} (KUBEBUILDER_ASSETS says where to look)",
            missing.join(", "),
            dir.display()
        );
        // Not by a macro, because the test harness captures those; CI must see this.
        SAID.call_once(|| {
            let _ = writeln!(std::io::stdout(), "{line}");
            let _ = writeln!(std::io::stderr(), "{line}");
        });
        None
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The versions that the binaries print.
    pub(crate) fn versions(&self) -> String {
        let said = |name: &str, args: &[&str]| {
            let output = Command::new(self.path(name)).args(args).output().unwrap();
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        [
            said("etcd", &["--version"]),
            format!("kube-apiserver {}", said("kube-apiserver", &["--version"])),
            format!(
                "kube-controller-manager {}",
                said("kube-controller-manager", &["--version"])
            ),
            format!("kube-scheduler {}", said("kube-scheduler", &["--version"])),
            format!("kubectl {}", said("kubectl", &["version", "--client"])),
        ]
        .join("; ")
    }
}
