//! Calls over persistent connections, like those of kube-apiserver and kube-scheduler.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// An address, with or without TLS.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// A connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

/// An answer: its status, and its body in [`Connection`]'s buffer.
pub(crate) struct Answer<'c> {
    pub(crate) status: u16,
    pub(crate) body: &'c [u8],
}

/// A client that trusts one CA and uses HTTP/1.1, like kube-apiserver.
pub(crate) fn trusting(authority: CertificateDer<'static>) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A whole POST.
pub(crate) fn post(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: application/json\r\n\
         user-agent: Go-http-client/1.1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A whole GET.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

impl Connection {
    pub(crate) fn open(target: &Target) -> anyhow::Result<Self> {
        let tcp = TcpStream::connect(target.address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(Duration::from_secs(30)))?;
        let stream: Box<dyn Stream> = match &target.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from("localhost")?;
                Box::new(StreamOwned::new(ClientConnection::new(Arc::clone(config), name)?, tcp))
            }
        };
        Ok(Connection {
            stream,
            received: Vec::new(),
        })
    }

    /// Sends a request and reads the full answer.
    pub(crate) fn call(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.stream.write_all(request)?;
        self.stream.flush()?;
        self.received.clear();
        let mut piece = vec![0; 64 * 1024];
        let (head, length) = loop {
            self.read(&mut piece)?;
            if let Some(head) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break (head + 4, length(&self.received[..head])?);
            }
        };
        while self.received.len() < head + length {
            self.read(&mut piece)?;
        }
        let status = std::str::from_utf8(self.received.get(9..12).context("no status")?)?.parse()?;
        Ok(Answer {
            status,
            body: &self.received[head..],
        })
    }

    /// Sends a request that must be answered with 200.
    pub(crate) fn ask(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        let answer = self.call(request)?;
        let said = || {
            String::from_utf8_lossy(answer.body)
                .chars()
                .take(300)
                .collect::<String>()
        };
        ensure!(answer.status == 200, "{}: {}", answer.status, said());
        Ok(answer.body)
    }

    fn read(&mut self, piece: &mut [u8]) -> anyhow::Result<()> {
        let count = self.stream.read(piece)?;
        ensure!(count > 0, "the server closed the connection");
        self.received.extend_from_slice(&piece[..count]);
        Ok(())
    }
}

fn length(head: &[u8]) -> anyhow::Result<usize> {
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    let line = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    Ok(line.context("an answer without its length")?.trim().parse()?)
}

/// Makes `count` calls over each of `connections` concurrently, and returns how long each took.
pub(crate) fn hammer(connections: &mut [Connection], request: &[u8], count: usize) -> anyhow::Result<Vec<Duration>> {
    let one = |connection: &mut Connection| -> anyhow::Result<Vec<Duration>> {
        (0..count)
            .map(|_| {
                let started = Instant::now();
                connection.ask(request)?;
                Ok(started.elapsed())
            })
            .collect()
    };
    if let [only] = connections {
        return one(only);
    }
    std::thread::scope(|scope| {
        let running: Vec<_> = connections
            .iter_mut()
            .map(|connection| scope.spawn(move || one(connection)))
            .collect();
        let mut took = Vec::new();
        for thread in running {
            let part = thread.join().map_err(|_| anyhow::anyhow!("a caller panicked"))?;
            took.extend(part?);
        }
        Ok(took)
    })
}
