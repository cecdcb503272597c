//! The serving processes: the same binary, called with `serve`.
//!
//! Both use the same allocator, the same runtime and the same buffers. A process prints its address on
//! one line and serves until its standard input ends, so that it cannot outlive whoever started it.

mod bare;

mod edge;

use std::{
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
}

impl Contender {
    /// Its name on the command line and in the results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Promgate => "promgate",
        }
    }

    /// The contender of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Bare, Self::Promgate].into_iter().find(|contender| contender.name() == name)
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
        Contender::Promgate => edge(&runtime, served),
    }
}

fn edge(runtime: &Runtime, served: &Served) -> Result<(), Failure> {
    let running = {
        let _inside = runtime.enter();
        edge::start(served.access_log.clone())?
    };
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
