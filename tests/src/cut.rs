//! A piece of network between two replicas, that can be cut, made slow, listened to, and made to change what is sent.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, LazyLock},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Runtime,
    sync::watch,
    task::AbortHandle,
    time::sleep,
};

/// What the network does with what is sent over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// It arrives at once.
    Clear,
    /// Every piece takes so long on its way.
    Slow(Duration),
    /// Nothing arrives and nobody is told, as when a cable is cut; what was sent arrives when the weather is better.
    Silent,
    /// Connections break, and new ones break at once.
    Torn,
}

/// A relay in front of one address. Whoever is to be reached over it is told its address instead.
pub struct Cut {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

struct Shared {
    target: SocketAddr,
    weather: watch::Sender<Weather>,
    /// Changes whenever open connections are to break.
    broken: watch::Sender<()>,
    /// What each connection has sent towards the target, when it is listened to.
    heard: Mutex<Option<Vec<Vec<u8>>>>,
    /// What is done to each piece on its way to the target.
    forger: Mutex<Option<Forger>>,
}

type Forger = Box<dyn Fn(&mut [u8]) + Send>;

/// Runs what stands between processes: relays and balancers.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime")
});

/// The runtime of what stands between processes.
#[must_use]
pub fn runtime() -> &'static Runtime {
    &RUNTIME
}

/// A listener on this address, or on a free port of the loopback interface.
pub(crate) fn listener() -> (TcpListener, SocketAddr) {
    let bound = runtime().block_on(TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)));
    let bound = bound.expect("a free port");
    let address = bound.local_addr().expect("a bound socket has an address");
    (bound, address)
}

impl Cut {
    /// Puts one in front of `target`; the weather is clear.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn to(target: SocketAddr) -> Self {
        let (listener, address) = listener();
        let weather = watch::Sender::new(Weather::Clear);
        let broken = watch::Sender::new(());
        let (heard, forger) = (Mutex::new(None), Mutex::new(None));
        let shared = Arc::new(Shared { target, weather, broken, heard, forger });
        let serving = Arc::clone(&shared);
        let accepting = runtime().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).relay(client));
            }
        });
        Self { address, shared, accepting: accepting.abort_handle() }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
        if weather == Weather::Torn {
            self.shared.broken.send_replace(());
        }
    }

    /// Begins to listen to new connections, and breaks those that are.
    pub fn listen_in(&self) {
        *self.shared.heard.lock() = Some(Vec::new());
        self.shared.broken.send_replace(());
    }

    /// Changes what is sent towards the target from now on, piece by piece as it comes.
    pub fn forge(&self, forger: impl Fn(&mut [u8]) + Send + 'static) {
        *self.shared.forger.lock() = Some(Box::new(forger));
    }

    /// What was sent towards the target since [`Cut::listen_in`], by connection.
    #[must_use]
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.shared.heard.lock().clone().unwrap_or_default()
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Weather::Torn);
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weather = *self.shared.weather.borrow();
        let mut shown = f.debug_struct("Cut");
        shown.field("address", &self.address).field("weather", &weather).finish_non_exhaustive()
    }
}

impl Shared {
    async fn relay(self: Arc<Self>, client: TcpStream) {
        let mut broken = self.broken.subscribe();
        if *self.weather.borrow() == Weather::Torn {
            return;
        }
        let Ok(server) = TcpStream::connect(self.target).await else { return };
        if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
            return;
        }
        let place = self.heard.lock().as_mut().map(|heard| {
            heard.push(Vec::new());
            heard.len() - 1
        });
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let both = async {
            tokio::join!(
                self.pump(from_client, to_server, (true, place)),
                self.pump(from_server, to_client, (false, None))
            )
        };
        tokio::select! {
            _ended = both => {}
            _broken = broken.changed() => {}
        }
    }

    async fn pump(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        (is_to_target, place): (bool, Option<usize>),
    ) -> io::Result<()> {
        let mut weather = self.weather.subscribe();
        let mut piece = vec![0_u8; 64 << 10];
        loop {
            let read = from.read(&mut piece).await?;
            if read == 0 {
                return to.shutdown().await;
            }
            let now = *weather.borrow_and_update();
            match now {
                Weather::Clear | Weather::Torn => {}
                Weather::Slow(delay) => sleep(delay).await,
                Weather::Silent => {
                    let better = weather.wait_for(|weather| *weather != Weather::Silent).await;
                    better.map_err(io::Error::other)?;
                }
            }
            let piece = piece.get_mut(..read).unwrap_or_default();
            if is_to_target && let Some(forger) = self.forger.lock().as_ref() {
                forger(piece);
            }
            if let (Some(place), Some(heard)) = (place, self.heard.lock().as_mut()) {
                heard.get_mut(place).map(|all| all.extend_from_slice(piece)).unwrap_or_default();
            }
            to.write_all(piece).await?;
        }
    }
}
