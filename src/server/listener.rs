//! A bound address and all that decides how it is served.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::accept::DefaultAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use tokio::net::{TcpListener, TcpSocket};

use super::limits::{ByteCount, Limits};
use super::observer::Observer;
use super::role::Role;
use super::socket::{BoundedListener, Peer};
use super::warning::Warning;
use crate::tls::config::{CLIENT_CA_FLAG, ServerTls};

/// Connections that the kernel completes before we accept them. The standard library's 128 is soon full when every
/// controller of a cluster restarts at once, and a SYN that is dropped comes again only after a second.
const BACKLOG: u32 = 1024;

/// What a connection buffers of what it reads and writes: one TLS record, more than any head that is sent to us.
/// hyper's own 400 KiB would be 400 MiB for a thousand clients that send faster than they are read.
const BUFFER: ByteCount = ByteCount::kib(16);

/// How often a quiet HTTP/2 client is asked whether it is there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_mins(1);
const PING_ANSWER: Duration = Duration::from_secs(20);

/// Requests that one HTTP/2 connection may have under way; the scheduler has a handful.
const STREAMS: u32 = 128;

/// What is spoken on a connection.
#[derive(Clone, Debug)]
pub enum Transport {
    /// HTTP in the clear.
    Plain,
    /// HTTP over TLS.
    Tls(ServerTls),
}

/// A socket that is bound and listens, but is not served yet.
#[derive(Debug)]
pub struct Listener {
    role: Role,
    socket: TcpListener,
    address: SocketAddr,
    transport: Transport,
    limits: Limits,
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address} ({}): {}; choose another with {}",
        role.as_str(), why(source), role.listen_flag()
    )]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// For what.
        role: Role,
        /// What the system says.
        source: io::Error,
    },
    /// Requests in the clear from other machines, which anyone on the way could change.
    #[error(
        "cannot listen on {address} ({}) without TLS: that is for loopback addresses; \
         give --tls-cert and --tls-key, or --tls-self-signed, or choose 127.0.0.1 with {}",
        role.as_str(), role.listen_flag()
    )]
    Plain {
        /// Which address.
        address: SocketAddr,
        /// For what.
        role: Role,
    },
    /// Requests of nobody knows whom from other machines.
    #[error(
        "cannot listen on {address} (extender) for any client: whoever reaches it could act as the scheduler; \
         give the authority of client certificates with {CLIENT_CA_FLAG}, or choose 127.0.0.1 with --extender-listen"
    )]
    AnyClient {
        /// Which address.
        address: SocketAddr,
    },
}

impl Listener {
    /// Binds `address` and listens. To be called inside a tokio runtime, for every listener before any is served: a
    /// server with half of its ports is worse than none.
    ///
    /// Admin is plain HTTP anywhere, as kubelets and collectors expect. The others are plain only on loopback, and the
    /// extender takes any client only there, for a scheduler has no other way to say who it is than a certificate.
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

    /// What it is for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Where it listens; with the port that the system chose if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What it allows.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Serves until `handle` says stop.
    pub(super) async fn serve(
        self,
        router: Router,
        observer: Arc<dyn Observer>,
        handle: Handle<Peer>,
    ) -> io::Result<()> {
        let (role, limits) = (self.role, self.limits);
        let failing = Warning::default();
        // It was bound in another runtime, perhaps: this one is to be told of its connections.
        let socket = TcpListener::from_std(self.socket.into_std()?)?;
        let mut server = Server::<Peer>::from_listener(BoundedListener::new(socket, limits.connections, role))
            .handle(handle)
            .first_request_timeout(limits.first_request)
            .accept_error_handler(move |peer, error| failed(role, peer, error, observer.as_ref(), &failing));
        let http = server.http_builder();
        http.http1().header_read_timeout(limits.idle).max_buf_size(BUFFER.get());
        http.http2()
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWER)
            .max_concurrent_streams(STREAMS);
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
    // Else a restart would wait a minute for the connections of the process before it. It takes no port from anyone.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied, as for most ports below 1024".to_owned(),
        _ => error.to_string(),
    }
}

/// Ports are probed and clients go away: one failed handshake is no news. Not being able to accept at all is.
fn failed(role: Role, peer: Option<&Peer>, error: &io::Error, observer: &dyn Observer, failing: &Warning) {
    let listener = role.as_str();
    if let Some(peer) = peer {
        tracing::debug!(listener, peer = %peer.0, %error, "a TLS handshake failed");
        observer.handshake_failed(role);
    } else if failing.is_due() {
        tracing::error!(listener, %error, "cannot accept connections; raise the limit of open files if it was reached");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_tls_only_loopback_and_admin_are_served() {
        let bind = |role, address: &str| {
            Listener::bind(role, address.parse().unwrap(), Transport::Plain, Limits::for_role(role))
        };
        for role in [Role::Webhook, Role::Extender] {
            for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "[::ffff:192.0.2.1]:0"] {
                let error = bind(role, address).unwrap_err().to_string();
                let flag = role.listen_flag();
                assert!(error.contains("without TLS: that is for loopback addresses"), "{error}");
                assert!(error.ends_with(&format!("choose 127.0.0.1 with {flag}")), "{error}");
            }
            assert!(bind(role, "127.0.0.1:0").unwrap().local_addr().port() > 0);
        }
        assert!(bind(Role::Admin, "127.0.0.1:0").is_ok());
        let error = bind(Role::Admin, "192.0.2.1:0").unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot listen on 192.0.2.1:0 (admin): this machine does not have that address; \
             choose another with --admin-listen"
        );
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_flag() {
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
