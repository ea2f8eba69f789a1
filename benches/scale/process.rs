//! Child processes and their CPU time and memory.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// CPU masks of client and server.
const CALLER: &str = "1";
const SERVERS: &str = "2";

/// A process that is killed when dropped.
pub(crate) struct Process {
    child: Child,
}

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) now: u64,
    /// The maximum.
    pub(crate) peak: u64,
}

/// The resources that a finished process used.
pub(crate) struct Spent {
    pub(crate) status: ExitStatus,
    pub(crate) cpu: Duration,
    pub(crate) memory: Memory,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Process { child })
    }

    /// Pins all its threads to the core for servers.
    ///
    /// Waking a server on another core costs twice as much as on the same one, and the kernel
    /// places processes at random: the same call took 17 or 36 µs of the baseline's CPU. So both
    /// servers share one core, and the client uses another.
    pub(crate) fn keep_on_one_core(&self) -> bool {
        taskset(&["--all-tasks", "--pid", SERVERS, &self.child.id().to_string()])
    }

    /// Starts a role of this program, which prints its addresses on one line.
    pub(crate) fn start_role(role: &str, flags: &[String]) -> anyhow::Result<(Self, Vec<SocketAddr>)> {
        let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
        let mut process = Process::start(command.arg(role).args(flags).stdout(Stdio::piped()))?;
        let mut line = String::new();
        let output = process.child.stdout.take().context("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let addresses = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("the {role} server said {line:?}"))?;
        Ok((process, addresses))
    }

    /// Fails when the process has ended.
    pub(crate) fn expect_alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => anyhow::bail!("the server ended ({status})"),
            None => Ok(()),
        }
    }

    /// CPU time of all threads, user and system. `schedstat` counts nanoseconds, `stat` only
    /// hundredths of a second.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end while we look.
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else {
                continue;
            };
            let nanos = text.split_whitespace().next().context("an empty schedstat")?;
            sum += nanos.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Waits until it has ended. Returns the CPU time of its first thread, and the memory some
    /// milliseconds before the end.
    pub(crate) fn await_end(mut self, limit: Duration) -> anyhow::Result<Spent> {
        let started = Instant::now();
        let mut memory = Memory { now: 0, peak: 0 };
        loop {
            // The kernel keeps the CPU time of a zombie process, but not its memory.
            match self.memory() {
                Ok(seen) => memory = seen,
                Err(_) => break,
            }
            ensure!(started.elapsed() < limit, "it did not end within {limit:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        let cpu = self.cpu()?;
        let status = self.child.wait()?;
        Ok(Spent { status, cpu, memory })
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let value = line.and_then(|rest| rest.split_whitespace().next());
            value
                .with_context(|| format!("no {key}"))?
                .parse::<u64>()
                .map_err(anyhow::Error::from)
        };
        Ok(Memory {
            now: of("VmRSS:")?,
            peak: of("VmHWM:")?,
        })
    }
}

/// Pins this thread to the core for clients, and returns whether that worked. Must not run before
/// processes are started, because they inherit it and would see one core.
pub(crate) fn ask_from_one_core() -> bool {
    let this = fs::read_link("/proc/thread-self").ok();
    let id = this.as_deref().and_then(|path| path.file_name()?.to_str());
    id.is_some_and(|id| taskset(&["--pid", CALLER, id]))
}

fn taskset(args: &[&str]) -> bool {
    let mut command = Command::new("taskset");
    let done = command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
