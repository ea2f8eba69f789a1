//! Accepting connections, no more at one time than allowed.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_server::{AddrListener, Address};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::role::Role;
use super::warning::Warning;

/// A client's address. A type of its own only because it is by the address that axum-server picks its listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// A listening socket that accepts while there is a place for one more connection. The others wait in the kernel, where
/// they cost us nothing.
#[derive(Debug)]
pub(super) struct BoundedListener {
    socket: TcpListener,
    places: Arc<Semaphore>,
    role: Role,
    full: Warning,
}

/// A connection and its place, given back when it ends.
#[derive(Debug)]
pub(super) struct Admitted {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl BoundedListener {
    pub(super) fn new(socket: TcpListener, connections: usize, role: Role) -> Self {
        let places = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        BoundedListener {
            socket,
            places,
            role,
            full: Warning::default(),
        }
    }

    fn warn_if_full(&self) {
        if self.places.available_permits() == 0 && self.full.is_due() {
            tracing::warn!(
                listener = self.role.as_str(),
                "as many connections as are allowed; more wait until one ends"
            );
        }
    }
}

impl Address for Peer {
    type Stream = Admitted;
    type Listener = BoundedListener;
}

impl AddrListener<Admitted, Peer> for BoundedListener {
    /// Never used: a listener is bound before anything is served, see [`super::listener::Listener::bind`].
    async fn bind_to(_addr: Peer) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn accept_stream(&self) -> io::Result<(Admitted, Peer)> {
        self.warn_if_full();
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (stream, peer) = self.socket.accept().await?;
        // Answers are small and complete: nothing is gained by waiting for more to send along. Where the system cannot,
        // the connection is a little slower and still good.
        let _ = stream.set_nodelay(true);
        Ok((Admitted { stream, _place: place }, Peer(peer)))
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
