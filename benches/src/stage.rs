//! Who answers a case: one serving process, or two of which one passes on to the other.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

use crate::{
    access_log::AccessLogFile,
    failure::Failure,
    process::Server,
    receiver::Receiver,
    serve::{Contender, Replicas, Served},
    tokens::Minter,
};

/// What every record of a request has, and no line of the chain itself.
const OF_REQUEST: &str = r#""request_id":"#;

/// What every record of a replica has to whom requests were passed on.
const PASSED_ON_ONCE: &str = r#""hop":1,"#;

/// The serving processes of a contender, and the access logs that they write.
#[derive(Debug)]
pub struct Stage {
    /// Who serves.
    pub contender: Contender,
    server: Server,
    log: Option<AccessLogFile>,
    receiver: Option<Receiver>,
    /// The replica to whom `server` passes on.
    owner: Option<(Server, AccessLogFile)>,
}

impl Stage {
    /// Starts a contender, with its files in `folder`.
    ///
    /// # Errors
    /// [`Failure`] when a process does not come up.
    pub fn start(
        contender: Contender,
        cpu: Option<usize>,
        folder: &Path,
        minter: &Minter,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(Failure::system("make a folder"))?;
        let access_log = folder.join(contender.name()).with_extension("log");
        let jwks = folder.join("jwks.json");
        fs::write(&jwks, minter.jwks()).map_err(Failure::system("write the key set"))?;
        let told =
            Served { contender, cpu, access_log, jwks: Some(jwks), replicas: None, receiver: None };
        if contender == Contender::Replica {
            return Self::start_two(told, folder);
        }
        let receiver = (contender == Contender::Traced).then(Receiver::start).transpose()?;
        let address = receiver.as_ref().map(|receiver| receiver.address);
        let told = Served { receiver: address, ..told };
        let server = Server::start(&told)?;
        let log = match contender {
            Contender::Bare | Contender::Silent | Contender::Control | Contender::Traced => None,
            Contender::Promgate | Contender::Guarded | Contender::Replica => {
                Some(AccessLogFile::open(&told.access_log, String::new(), true)?)
            }
            Contender::Audited => {
                Some(AccessLogFile::open(&told.access_log, OF_REQUEST.to_owned(), false)?)
            }
        };
        Ok(Self { contender, server, log, receiver, owner: None })
    }

    /// Starts two replicas. Records count that say that a request came by the one and was served by the other.
    fn start_two(told: Served, folder: &Path) -> Result<Self, Failure> {
        let (own, other) = two_addresses().map_err(Failure::system("find two free ports"))?;
        let of_owner = Served {
            contender: told.contender,
            cpu: told.cpu,
            access_log: folder.join("owner.log"),
            jwks: None,
            replicas: Some(Replicas { own: other, other: own }),
            receiver: None,
        };
        let told = Served { replicas: Some(Replicas { own, other }), ..told };
        let server = Server::start(&told)?;
        let log = AccessLogFile::open(&told.access_log, format!(r#""owner":"{other}/"#), true)?;
        let owner = Server::start(&of_owner)?;
        let owner_log = AccessLogFile::open(&of_owner.access_log, PASSED_ON_ONCE.to_owned(), true)?;
        let owner = Some((owner, owner_log));
        Ok(Self { contender: told.contender, server, log: Some(log), receiver: None, owner })
    }

    /// Where requests are sent.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Where sessions are opened: at the replica to whom requests are passed on, if there is one.
    #[must_use]
    pub fn sessions_address(&self) -> SocketAddr {
        self.owner.as_ref().map_or(self.server.address, |(owner, _)| owner.address)
    }

    /// CPU time that all processes have used.
    ///
    /// # Errors
    /// [`Failure`] when one is gone.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        self.servers().map(Server::cpu).sum()
    }

    /// Memory of all processes that is resident.
    ///
    /// # Errors
    /// [`Failure`] when one is gone.
    pub fn rss_bytes(&self) -> Result<u64, Failure> {
        self.servers().map(Server::rss_bytes).sum()
    }

    /// Waits until every process has written so many records, or sent so many traces.
    ///
    /// # Errors
    /// [`Failure::Records`] or [`Failure::Spans`] when they do not come.
    pub async fn take_records(&mut self, records: u64) -> Result<(), Failure> {
        let of_owner = self.owner.as_mut().map(|(_, log)| log);
        for log in self.log.iter_mut().chain(of_owner) {
            log.take(records).await?;
        }
        if let Some(receiver) = &mut self.receiver {
            receiver.take(records).await?;
        }
        Ok(())
    }

    fn servers(&self) -> impl Iterator<Item = &Server> {
        [&self.server].into_iter().chain(self.owner.as_ref().map(|(owner, _)| owner))
    }
}

/// Replicas have to know each other's port before they start, so it cannot be chosen by listening on it.
fn two_addresses() -> std::io::Result<(SocketAddr, SocketAddr)> {
    let free = || TcpListener::bind("127.0.0.1:0");
    let (own, other) = (free()?, free()?);
    Ok((own.local_addr()?, other.local_addr()?))
}
