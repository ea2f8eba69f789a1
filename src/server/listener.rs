//! A bound address, its transport and its limits.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::accept::DefaultAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use tokio::net::{TcpListener, TcpSocket};

use super::bounded_listener::{BoundedListener, LogThrottle, Peer};
use super::endpoints::Observer;
use super::limits::{ByteCount, Limits};
use super::route::Role;
use crate::tls::config::{CLIENT_CA_FLAG, ServerTls};

/// Connections that the kernel completes before we accept them. The standard library's 128 fills up
/// when every controller of a cluster restarts at once, and a dropped SYN is resent only after a
/// second.
const BACKLOG: u32 = 1024;

/// Read and write buffer of a connection: one TLS record, more than any request head that we
/// receive. hyper's default of 400 KiB would be 400 MiB for a thousand fast clients.
const CONNECTION_BUFFER: ByteCount = ByteCount::kib(16);

const HTTP2_PING_INTERVAL: Duration = Duration::from_mins(1);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Concurrent requests of one HTTP/2 connection; the scheduler has a handful.
const MAX_HTTP2_STREAMS: u32 = 128;

#[derive(Clone, Debug)]
pub enum Transport {
    /// HTTP without TLS.
    Plain,
    /// HTTP over TLS.
    Tls(ServerTls),
}

/// A socket that listens but is not served yet.
#[derive(Debug)]
pub struct Listener {
    role: Role,
    socket: TcpListener,
    address: SocketAddr,
    transport: Transport,
    limits: Limits,
}

/// Why a listener could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    #[error(
        "cannot listen on {address} ({}): {}; choose another with {}",
        role.as_str(), bind_failure(source), role.listen_flag()
    )]
    Bind {
        address: SocketAddr,
        role: Role,
        source: io::Error,
    },
    /// Anyone on the network path could change requests without TLS.
    #[error(
        "cannot listen on {address} ({}) without TLS: only loopback addresses are allowed; \
         give --tls-cert and --tls-key, or --tls-self-signed, or choose 127.0.0.1 with {}",
        role.as_str(), role.listen_flag()
    )]
    Plain { address: SocketAddr, role: Role },
    /// A scheduler can only identify itself by a client certificate.
    #[error(
        "cannot listen on {address} (extender) without client certificates: any client could act as the scheduler; \
         give the CA of client certificates with {CLIENT_CA_FLAG}, or choose 127.0.0.1 with --extender-listen"
    )]
    AnyClient { address: SocketAddr },
}

impl Listener {
    /// Binds `address` and listens. Call it inside a tokio runtime, for every listener before any
    /// is served: a server with half of its ports is worse than none.
    ///
    /// The admin listener is plain HTTP on any address, as kubelets and collectors expect. The
    /// others are plain HTTP on loopback only, and on other addresses the extender requires client
    /// certificates: a scheduler has no other way to identify itself.
    pub fn bind(role: Role, address: SocketAddr, transport: Transport, limits: Limits) -> Result<Self, ListenError> {
        if role != Role::Admin && !address.ip().to_canonical().is_loopback() {
            match &transport {
                Transport::Plain => return Err(ListenError::Plain { address, role }),
                Transport::Tls(tls) if role == Role::Extender && !tls.checks_clients() => {
                    return Err(ListenError::AnyClient { address });
                }
                Transport::Tls(_) => {}
            }
        }
        let refused = |source| ListenError::Bind { address, role, source };
        let socket = listen(address).map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        Ok(Listener {
            role,
            socket,
            address,
            transport,
            limits,
        })
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// The address with the actual port, also if port 0 was requested.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Serves until `handle` shuts it down.
    pub(super) async fn serve(
        self,
        router: Router,
        observer: Arc<dyn Observer>,
        handle: Handle<Peer>,
    ) -> io::Result<()> {
        let (role, limits) = (self.role, self.limits);
        let throttle = LogThrottle::default();
        // It may have been bound in another runtime; register it with this one.
        let socket = TcpListener::from_std(self.socket.into_std()?)?;
        let mut server = Server::<Peer>::from_listener(BoundedListener::new(socket, limits.connections, role))
            .handle(handle)
            .first_request_timeout(limits.first_request)
            .accept_error_handler(move |peer, error| accept_failed(role, peer, error, observer.as_ref(), &throttle));
        let http = server.http_builder();
        http.http1()
            .header_read_timeout(limits.idle)
            .max_buf_size(CONNECTION_BUFFER.get());
        http.http2()
            .keep_alive_interval(HTTP2_PING_INTERVAL)
            .keep_alive_timeout(HTTP2_PING_TIMEOUT)
            .max_concurrent_streams(MAX_HTTP2_STREAMS);
        match self.transport {
            Transport::Plain => {
                server
                    .acceptor(DefaultAcceptor::new())
                    .serve(router.into_make_service())
                    .await
            }
            Transport::Tls(tls) => {
                let config = RustlsConfig::from_config(Arc::clone(tls.config()));
                let acceptor = RustlsAcceptor::new(config).handshake_timeout(limits.handshake);
                server.acceptor(acceptor).serve(router.into_make_service()).await
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Otherwise a restart waits a minute for the connections of the previous process.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind_failure(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this host does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied, as for most ports below 1024".to_owned(),
        _ => error.to_string(),
    }
}

/// Ports are probed and clients disconnect, so one failed handshake is a debug line. Failing to
/// accept at all is an error.
fn accept_failed(role: Role, peer: Option<&Peer>, error: &io::Error, observer: &dyn Observer, throttle: &LogThrottle) {
    let listener = role.as_str();
    if let Some(peer) = peer {
        tracing::debug!(listener, peer = %peer.0, %error, "TLS handshake failed");
        observer.handshake_failed(role);
    } else if throttle.is_due() {
        tracing::error!(listener, %error, "cannot accept connections; raise the open file limit if it was reached");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_tls_only_loopback_and_the_admin_listener_are_allowed() {
        let bind = |role, address: &str| {
            Listener::bind(role, address.parse().unwrap(), Transport::Plain, Limits::for_role(role))
        };
        for role in [Role::Webhook, Role::Extender] {
            for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "[::ffff:192.0.2.1]:0"] {
                let error = bind(role, address).unwrap_err().to_string();
                let flag = role.listen_flag();
                assert!(
                    error.contains("without TLS: only loopback addresses are allowed"),
                    "{error}"
                );
                assert!(error.ends_with(&format!("choose 127.0.0.1 with {flag}")), "{error}");
            }
            assert!(bind(role, "127.0.0.1:0").unwrap().local_addr().port() > 0);
        }
        assert!(bind(Role::Admin, "127.0.0.1:0").is_ok());
        let error = bind(Role::Admin, "192.0.2.1:0").unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot listen on 192.0.2.1:0 (admin): this host does not have that address; \
             choose another with --admin-listen"
        );
    }

    #[tokio::test]
    async fn the_error_for_a_port_in_use_names_its_flag() {
        let bind = |address| {
            Listener::bind(
                Role::Webhook,
                address,
                Transport::Plain,
                Limits::for_role(Role::Webhook),
            )
        };
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = first.local_addr().port();
        assert_eq!(
            bind(first.local_addr()).unwrap_err().to_string(),
            format!(
                "cannot listen on 127.0.0.1:{port} (webhook): address already in use; \
                 choose another with --webhook-listen"
            )
        );
    }
}
