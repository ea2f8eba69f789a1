//! A real Prometheus with some hours of samples like those of dcgm-exporter.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cluster::until;
use crate::process::{Process, free_ports};

const HOURS: i64 = 8;
const INTERVAL: i64 = 60;
/// MiB.
const MEMORY: u32 = 81_920;

/// A whole GPU with constant use by one pod.
pub(crate) struct Sampled {
    labels: String,
    utilization: u32,
    memory: u32,
}

impl Sampled {
    pub(crate) fn new(node: &str, gpu: u32, (namespace, pod): (&str, &str), utilization: u32, memory: u32) -> Self {
        Sampled {
            labels: format!(
                "Hostname=\"{node}\",UUID=\"GPU-{node}-{gpu}\",gpu=\"{gpu}\",device=\"nvidia{gpu}\",modelName=\"NVIDIA A100-SXM4-80GB\",\
                 exported_namespace=\"{namespace}\",exported_pod=\"{pod}\",exported_container=\"main\",\
                 namespace=\"gpu-operator\",pod=\"nvidia-dcgm-exporter-x\",container=\"nvidia-dcgm-exporter\""
            ),
            utilization,
            memory,
        }
    }
}

/// The server. Dropping it ends it.
pub(crate) struct Prometheus {
    port: u16,
    _process: Process,
}

/// The programs.
pub(crate) struct Tools {
    server: PathBuf,
    promtool: PathBuf,
}

impl Prometheus {
    /// From `PATH`, else from where `.ci/prometheus` unpacks them.
    pub(crate) fn tools() -> Option<Tools> {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/prometheus/usr/bin");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places: Vec<PathBuf> = std::env::split_paths(&path).chain([PathBuf::from(own)]).collect();
        let find = |name: &str| places.iter().map(|place| place.join(name)).find(|file| file.is_file());
        Some(Tools {
            server: find("prometheus")?,
            promtool: find("promtool")?,
        })
    }

    /// Loads the samples up to now, and waits until it answers.
    pub(crate) async fn start(tools: &Tools, sampled: &[Sampled], dir: &Path) -> Self {
        let dir = dir.join("prometheus");
        std::fs::create_dir(&dir).unwrap();
        let (file, data) = (dir.join("samples.txt"), dir.join("data"));
        std::fs::write(&file, open_metrics(sampled)).unwrap();
        let loaded = Command::new(&tools.promtool)
            .args(["tsdb", "create-blocks-from", "--max-block-duration=360h", "openmetrics"])
            .args([&file, &data])
            .output()
            .unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        let config = dir.join("prometheus.yml");
        std::fs::write(&config, "{}\n").unwrap();
        let [port] = free_ports();
        let args = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", data.display()),
            "--storage.tsdb.retention.time=100y".to_owned(),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let process = Process::start("prometheus", &tools.server, &args, &dir);
        let prometheus = Prometheus {
            port,
            _process: process,
        };
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap();
        until("Prometheus to be ready", async || {
            let answer = http.get(format!("{}/-/ready", prometheus.url())).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        prometheus
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn open_metrics(sampled: &[Sampled]) -> String {
    let now = jiff::Timestamp::now().as_second();
    let mut text = String::new();
    for (metric, value) in [
        ("DCGM_FI_DEV_GPU_UTIL", (|one| one.utilization) as fn(&Sampled) -> u32),
        ("DCGM_FI_DEV_FB_USED", |one| one.memory),
        ("DCGM_FI_DEV_FB_FREE", |one| MEMORY - one.memory),
    ] {
        let _ = writeln!(text, "# TYPE {metric} gauge");
        for one in sampled {
            for at in (now - HOURS * 3600..=now).step_by(usize::try_from(INTERVAL).unwrap()) {
                let _ = writeln!(text, "{metric}{{{}}} {} {at}", one.labels, value(one));
            }
        }
    }
    text.push_str("# EOF\n");
    text
}
