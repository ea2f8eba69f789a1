//! Where the programs of a real control plane are.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

/// Where envtest looks when nobody says where.
const DEFAULT: &str = "/usr/local/kubebuilder/bin";
const NEEDED: [&str; 5] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
];

/// It is said once, however many tests there are.
static SAID: Once = Once::new();

/// A directory that holds all that is needed.
#[derive(Clone)]
pub(crate) struct Binaries(PathBuf);

impl Binaries {
    /// `None`, and one loud line, when something is missing: a suite that was not run must not look like one that passed.
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
        // The test harness captures what macros print; CI has to see this.
        SAID.call_once(|| {
            let _ = writeln!(std::io::stdout(), "{line}");
            let _ = writeln!(std::io::stderr(), "{line}");
        });
        None
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The versions, as the programs say them.
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
