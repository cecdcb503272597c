//! The serving processes: the same binary, called with `serve`.
//!
//! Both use the same allocator, the same runtime and the same buffers. A process prints its address on
//! one line and serves until its standard input ends, so that it cannot outlive whoever started it.

mod bare;

mod edge;

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
};

use tokio::runtime::{Builder, Runtime};

use crate::{cpus, failure::Failure};

/// Who serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// A static answer from Pingora's `request_filter`.
    Bare,
    /// Promgate's edge with the stub handler.
    Promgate,
    /// The same, and it asks for tokens.
    Guarded,
    /// The same as [`Contender::Promgate`], one of two replicas that share sessions.
    Replica,
    /// The same as [`Contender::Promgate`], and nothing is recorded.
    Silent,
    /// The same as [`Contender::Silent`], in a process of its own: what two processes differ by that do the same.
    Control,
    /// The same as [`Contender::Promgate`], and every fact of each request is recorded and sealed into a chain.
    Audited,
    /// The same as [`Contender::Silent`], and each request is traced.
    Traced,
}

impl Contender {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Bare,
        Self::Promgate,
        Self::Guarded,
        Self::Replica,
        Self::Silent,
        Self::Control,
        Self::Audited,
        Self::Traced,
    ];

    /// Its name on the command line and in the results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Promgate => "promgate",
            Self::Guarded => "guarded",
            Self::Replica => "replica",
            Self::Silent => "silent",
            Self::Control => "control",
            Self::Audited => "audited",
            Self::Traced => "traced",
        }
    }

    /// The contender of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|contender| contender.name() == name)
    }
}

/// What a serving process is told.
#[derive(Debug)]
pub struct Served {
    /// Who serves.
    pub contender: Contender,
    /// The CPU to stay on.
    pub cpu: Option<usize>,
    /// Where Promgate's access records go.
    pub access_log: PathBuf,
    /// The key set that the guarded one takes tokens by.
    pub jwks: Option<PathBuf>,
    /// Where a replica and the other one find each other.
    pub replicas: Option<Replicas>,
    /// Where the traced one sends its spans.
    pub receiver: Option<SocketAddr>,
}

/// Two replicas, as one of them sees it.
#[derive(Debug, Clone, Copy)]
pub struct Replicas {
    /// Where this one listens to the other; its name as well.
    pub own: SocketAddr,
    /// Where the other one does.
    pub other: SocketAddr,
}

/// Serves until standard input ends.
///
/// # Errors
/// [`Failure`] when it cannot start.
pub fn serve(served: &Served) -> Result<(), Failure> {
    if let Some(cpu) = served.cpu {
        cpus::stay_on(&[cpu])?;
    }
    cpus::allow_many_files()?;
    // As `promgate serve` does: a thread for each CPU that it may use.
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("start a runtime"))?;
    match served.contender {
        Contender::Bare => {
            let address = runtime.block_on(bare::start())?;
            until_told(address)
        }
        Contender::Promgate => edge(&runtime, served, edge::Kind::Open),
        Contender::Guarded => {
            let file = served.jwks.as_ref().ok_or(Failure::NoKeys)?;
            let jwks = fs::read_to_string(file).map_err(Failure::system("read the key set"))?;
            edge(&runtime, served, edge::Kind::Guarded(jwks.into()))
        }
        Contender::Replica => {
            let replicas = served.replicas.ok_or(Failure::NoReplicas)?;
            edge(&runtime, served, edge::Kind::Replica(replicas))
        }
        Contender::Silent | Contender::Control => edge(&runtime, served, edge::Kind::Silent),
        Contender::Audited => edge(&runtime, served, edge::Kind::Audited),
        Contender::Traced => {
            let receiver = served.receiver.ok_or(Failure::NoReceiver)?;
            edge(&runtime, served, edge::Kind::Traced(receiver))
        }
    }
}

fn edge(runtime: &Runtime, served: &Served, kind: edge::Kind) -> Result<(), Failure> {
    let running = runtime.block_on(edge::start(served.access_log.clone(), kind))?;
    until_told(running.address)?;
    let _requests_may_be_cut = runtime.block_on(running.stop());
    Ok(())
}

fn until_told(address: SocketAddr) -> Result<(), Failure> {
    let mut out = io::stdout();
    writeln!(out, "{address}")
        .and_then(|()| out.flush())
        .and_then(|()| io::stdin().read_to_end(&mut Vec::new()))
        .map_err(Failure::system("talk to whoever started the server"))?;
    Ok(())
}
