//! A server on loopback with endpoints that echo, and clients for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apportion::server::endpoints::Observer;
use apportion::server::endpoints::{Answer, Endpoints, NotReady};
use apportion::server::limits::Limits;
use apportion::server::listener::{Listener, Transport};
use apportion::server::route::Role;
use apportion::server::route::Route;
use apportion::server::run::DrainTimes;
use apportion::server::run::{RunError, run};
use apportion::tls::config::ServerTls;
use apportion::tls::resolver::Resolver;
use apportion::tls::self_signed::SelfSigned;
use axum::body::Bytes;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The configuration of a test server.
pub(crate) struct ServerConfig {
    pub(crate) limits: fn(Role) -> Limits,
    pub(crate) times: DrainTimes,
    /// TLS of the extender; plain HTTP if `None`.
    pub(crate) extender: Option<ServerTls>,
    /// TLS of the webhook; plain HTTP if `None`.
    pub(crate) webhook: Option<ServerTls>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let times = DrainTimes {
            delay: Duration::ZERO,
            deadline: Duration::from_secs(1),
        };
        ServerConfig {
            limits: Limits::for_role,
            times,
            extender: None,
            webhook: None,
        }
    }
}

/// A server that runs until it is stopped or dropped.
pub(crate) struct TestServer {
    pub(crate) webhook: SocketAddr,
    pub(crate) extender: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) echo: Arc<EchoEndpoints>,
    pub(crate) events: Arc<RecordedEvents>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), RunError>>,
}

impl TestServer {
    pub(crate) fn start(setup: ServerConfig) -> Self {
        let bind = |role: Role, tls: Option<ServerTls>| {
            let transport = tls.map_or(Transport::Plain, Transport::Tls);
            Listener::bind(role, "127.0.0.1:0".parse().unwrap(), transport, (setup.limits)(role)).unwrap()
        };
        let webhook = bind(Role::Webhook, setup.webhook);
        let extender = bind(Role::Extender, setup.extender);
        let admin = bind(Role::Admin, None);
        let addresses = [webhook.local_addr(), extender.local_addr(), admin.local_addr()];
        let (echo, events) = (Arc::new(EchoEndpoints::default()), Arc::new(RecordedEvents::default()));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(
            vec![webhook, extender, admin],
            Arc::clone(&echo) as Arc<dyn Endpoints>,
            Arc::clone(&events) as Arc<dyn Observer>,
            setup.times,
            async move { drop(stopped.await) },
        ));
        let [webhook, extender, admin] = addresses;
        TestServer {
            webhook,
            extender,
            admin,
            echo,
            events,
            stop,
            task,
        }
    }

    /// Asks the server to stop. The task ends when it has stopped.
    pub(crate) fn stop(self) -> JoinHandle<Result<(), RunError>> {
        self.stop.send(()).unwrap();
        self.task
    }
}

/// Endpoints that answer with the body of the request.
#[derive(Default)]
pub(crate) struct EchoEndpoints {
    pub(crate) not_ready: AtomicBool,
}

impl Endpoints for EchoEndpoints {
    fn mutate(&self, body: &[u8]) -> Answer {
        match body {
            b"panic" => panic!("as asked"),
            b"refuse" => Answer::refusal(400, "not a review"),
            _ => Answer::json(body.to_vec()),
        }
    }

    fn filter(self: Arc<Self>, body: Bytes) -> BoxFuture<'static, Answer> {
        Box::pin(async move { Answer::json([b"filter ", &*body].concat()) })
    }

    fn prioritize(&self, body: &[u8]) -> Answer {
        Answer::json([b"prioritize ", body].concat())
    }

    fn preempt(&self, body: &[u8]) -> Answer {
        Answer::json([b"preempt ", body].concat())
    }

    fn bind(self: Arc<Self>, body: Bytes) -> BoxFuture<'static, Answer> {
        Box::pin(async move {
            match &*body {
                b"panic" => panic!("as asked"),
                _ => Answer::json([b"bind ", &*body].concat()),
            }
        })
    }

    fn breaches(&self) -> Answer {
        Answer::json(b"[]".to_vec())
    }

    fn ready(&self) -> Result<(), NotReady> {
        if self.not_ready.load(Ordering::Relaxed) {
            Err(NotReady::Unlisted("nodes".to_owned()))
        } else {
            Ok(())
        }
    }

    fn metrics(&self) -> String {
        "# EOF\n".to_owned()
    }
}

/// The events that the server reported.
#[derive(Default)]
pub(crate) struct RecordedEvents {
    pub(crate) answered: Mutex<Vec<(Role, Option<Route>, u16)>>,
    pub(crate) panics: AtomicUsize,
    pub(crate) handshakes: AtomicUsize,
}

impl Observer for RecordedEvents {
    fn answered(&self, role: Role, route: Option<Route>, status: u16, _took: Duration) {
        self.answered.lock().unwrap().push((role, route, status));
    }

    fn panicked(&self, _route: Route) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    fn handshake_failed(&self, _role: Role) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
    }
}

/// A self-signed certificate for a listener, and its CA for clients.
pub(crate) fn self_signed() -> (ServerTls, String) {
    let issued = SelfSigned::issue(&[], Timestamp::now()).unwrap();
    (
        ServerTls::for_any_client(Resolver::new(issued.material)).unwrap(),
        issued.ca_pem,
    )
}

/// A client that trusts only `ca_pem` and uses the HTTP version that the server prefers.
pub(crate) fn client(ca_pem: &str) -> reqwest::ClientBuilder {
    // reqwest needs a provider for the process; the server names its own.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let authority = reqwest::Certificate::from_pem(ca_pem.as_bytes()).unwrap();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .timeout(Duration::from_secs(5))
}

/// A client for plain HTTP.
pub(crate) fn plain_client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap()
}

/// A client that writes bytes to a socket, for requests that no HTTP library sends.
pub(crate) struct RawClient(TcpStream);

impl RawClient {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        RawClient(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends a request over HTTP/1.1 and returns the answer.
    pub(crate) async fn request(&mut self, body: &str) -> String {
        self.send(&format!(
            "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
        self.receive().await
    }

    /// Sends the head of a request and half of its body.
    pub(crate) async fn send_half_request(&mut self) {
        self.send("POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n12")
            .await;
    }

    /// Sends the other half and returns the answer.
    pub(crate) async fn finish_request(&mut self) -> String {
        self.send("34").await;
        self.receive().await
    }

    /// The next bytes; empty if the server closed the connection.
    pub(crate) async fn receive(&mut self) -> String {
        let mut bytes = [0; 4096];
        let received = tokio::time::timeout(Duration::from_secs(2), self.0.read(&mut bytes)).await;
        let length = received.expect("the server neither answered nor closed").unwrap_or(0);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}
