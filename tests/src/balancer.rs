//! A round-robin TCP balancer, as it stands in front of replicas.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::TcpStream,
    task::AbortHandle,
    time::timeout,
};

use crate::cut::{listener, runtime};

/// How long a replica may take to say whether it is ready.
const READINESS_PATIENCE: Duration = Duration::from_secs(5);

/// Gives each new connection to the next replica that is ready.
///
/// It asks a replica's `/readyz` before every connection. Balancers ask now and then, and a replica that is to end
/// gives them time to notice; asking each time leaves a test without a race that is about the balancer alone.
pub struct Balancer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

struct Shared {
    targets: RwLock<Vec<Target>>,
    next: AtomicUsize,
    turned_away: AtomicUsize,
}

#[derive(Debug, Clone)]
struct Target {
    mcp: SocketAddr,
    admin: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Balancer {
    /// Starts one with nobody behind it.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start() -> Self {
        let (listener, address) = listener();
        let shared = Arc::new(Shared {
            targets: RwLock::default(),
            next: AtomicUsize::new(0),
            turned_away: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        let accepting = runtime().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).serve(client));
            }
        });
        Self { address, shared, accepting: accepting.abort_handle() }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts one more replica behind it.
    pub fn add(&self, mcp: SocketAddr, admin: SocketAddr) {
        self.shared.targets.write().push(Target { mcp, admin, connections: Arc::default() });
    }

    /// How many connections each replica was given, in the order in which they were added.
    #[must_use]
    pub fn connections(&self) -> Vec<usize> {
        let targets = self.shared.targets.read();
        targets.iter().map(|target| target.connections.load(Ordering::Relaxed)).collect()
    }

    /// How many connections found no replica.
    #[must_use]
    pub fn turned_away(&self) -> usize {
        self.shared.turned_away.load(Ordering::Relaxed)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl fmt::Debug for Balancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, mut client: TcpStream) {
        let targets = self.targets.read().clone();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        for attempt in 0..targets.len() {
            let Some(target) = targets.get((turn + attempt) % targets.len()) else { break };
            if !is_ready(target.admin).await {
                continue;
            }
            let Ok(mut replica) = TcpStream::connect(target.mcp).await else { continue };
            target.connections.fetch_add(1, Ordering::Relaxed);
            let both = client.set_nodelay(true).and(replica.set_nodelay(true));
            if both.is_ok() {
                let _either_left = copy_bidirectional(&mut client, &mut replica).await;
            }
            return;
        }
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }
}

async fn is_ready(admin: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    matches!(timeout(READINESS_PATIENCE, asked).await, Ok(Ok(answer)) if answer.starts_with(b"HTTP/1.1 200"))
}
