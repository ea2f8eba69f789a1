//! A listening socket that accepts a bounded number of connections.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum_server::{AddrListener, Address};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::route::Role;

/// The least time between two log lines of one [`LogThrottle`].
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// A client's address. It is a type of its own because axum-server selects the listener type by the
/// address type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Accepts while there is a permit for another connection. The others wait in the kernel's backlog,
/// where they cost us nothing.
#[derive(Debug)]
pub(super) struct BoundedListener {
    socket: TcpListener,
    permits: Arc<Semaphore>,
    role: Role,
    full: LogThrottle,
}

/// A connection with its permit, which is released when the connection ends.
#[derive(Debug)]
pub(super) struct Admitted {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
}

impl BoundedListener {
    pub(super) fn new(socket: TcpListener, connections: usize, role: Role) -> Self {
        let permits = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        BoundedListener {
            socket,
            permits,
            role,
            full: LogThrottle::default(),
        }
    }

    fn warn_if_full(&self) {
        if self.permits.available_permits() == 0 && self.full.is_due() {
            tracing::warn!(
                listener = self.role.as_str(),
                "connection limit reached; new connections wait until one ends"
            );
        }
    }
}

impl Address for Peer {
    type Stream = Admitted;
    type Listener = BoundedListener;
}

impl AddrListener<Admitted, Peer> for BoundedListener {
    /// Never called: `Listener::bind` binds the socket before anything is served.
    async fn bind_to(_addr: Peer) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn accept_stream(&self) -> io::Result<(Admitted, Peer)> {
        self.warn_if_full();
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (stream, peer) = self.socket.accept().await?;
        // Answers are small and complete, so waiting for more data gains nothing. If the system
        // refuses, the connection is only slower.
        let _ = stream.set_nodelay(true);
        Ok((
            Admitted {
                stream,
                _permit: permit,
            },
            Peer(peer),
        ))
    }

    fn get_local_addr(&self) -> io::Result<Peer> {
        self.socket.local_addr().map(Peer)
    }
}

impl AsyncRead for Admitted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Lets one log line in [`LOG_INTERVAL`] through.
#[derive(Debug, Default)]
pub(super) struct LogThrottle(Mutex<Option<Instant>>);

impl LogThrottle {
    /// Whether to log now.
    pub(super) fn is_due(&self) -> bool {
        let Ok(mut last) = self.0.lock() else { return false };
        let due = last.is_none_or(|at| at.elapsed() >= LOG_INTERVAL);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_line_in_a_row_is_throttled() {
        let throttle = LogThrottle::default();
        assert!(throttle.is_due());
        assert!(!throttle.is_due());
    }
}
