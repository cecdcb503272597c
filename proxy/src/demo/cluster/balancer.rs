//! A round-robin TCP balancer, as plain as those that replicas stand behind.
//!
//! It passes on bytes and knows nothing of HTTP, so it cannot keep a session at its owner.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time,
};

/// Most connections at once; others wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 512;

/// How long a replica may take to accept one. A dead one refuses at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Pause after a failure to accept, which is a lack of file descriptors and does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running balancer; it and all its connections end when dropped.
#[derive(Debug)]
pub(super) struct Balancer {
    accepting: AbortHandle,
}

impl Balancer {
    /// Gives each connection that `listener` accepts to the next of `targets`, and to the one after it
    /// where that does not accept. Belongs into a runtime.
    pub(super) fn start(
        listener: std::net::TcpListener,
        targets: Vec<SocketAddr>,
    ) -> io::Result<Self> {
        Self::bounded(listener, targets, CONNECTIONS_MAX)
    }

    fn bounded(
        listener: std::net::TcpListener,
        targets: Vec<SocketAddr>,
        connections_max: usize,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let serving = tokio::spawn(serve(listener, targets.into(), connections_max));
        Ok(Self { accepting: serving.abort_handle() })
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(listener: TcpListener, targets: Arc<[SocketAddr]>, connections_max: usize) {
    // Owned by this task, so that they end with it.
    let mut connections = JoinSet::new();
    let mut turns = (0..targets.len()).cycle();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < connections_max => match accepted {
                Ok((client, _)) => {
                    let first = turns.next().unwrap_or_default();
                    connections.spawn(pass(client, Arc::clone(&targets), first));
                }
                Err(error) => {
                    tracing::warn!(%error, "the demo's balancer cannot accept a connection");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// Joins the client with the first of the targets that accepts, beginning with the one at `first`. A
/// client that no target accepts is hung up on.
async fn pass(mut client: TcpStream, targets: Arc<[SocketAddr]>, first: usize) {
    for target in targets.iter().cycle().skip(first).take(targets.len()) {
        let connecting = TcpStream::connect(target);
        let Ok(Ok(mut replica)) = time::timeout(CONNECT_TIMEOUT, connecting).await else {
            continue;
        };
        if let Err(error) = join(&mut client, &mut replica).await {
            tracing::debug!(%error, "a connection through the demo's balancer broke");
        }
        return;
    }
}

async fn join(client: &mut TcpStream, replica: &mut TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    replica.set_nodelay(true)?;
    copy_bidirectional(client, replica).await.map(drop)
}

#[cfg(test)]
mod tests;
