//! What replicas record of a request in their access logs: who took it, and who owns its session.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio::time;

use super::replica::Replica;
use crate::demo::error::DemoError;

/// How long a record may take to be written; it takes some hundredths of a second.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often the logs are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The way of a request.
#[derive(Debug)]
pub(super) struct Way<'r> {
    /// The replica that took it from the balancer.
    pub(super) entry: &'r Replica,
    /// The replica that owns the session, and so answered it.
    pub(super) owner: &'r Replica,
}

/// A line of an access log, as far as it concerns us.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Record {
    request_id: Option<String>,
    owner: Option<String>,
    worker: Option<u16>,
    // Through how many replicas it had come; absent where it came from the client.
    #[serde(default)]
    hop: u64,
}

/// Finds the way of the request that was answered with this id.
pub(super) async fn way<'r>(
    replicas: &'r [Replica],
    request_id: &str,
) -> Result<Way<'r>, DemoError> {
    let begun = Instant::now();
    loop {
        if let Some(way) = look(replicas, request_id) {
            return Ok(way);
        }
        if begun.elapsed() > TIMEOUT {
            return Err(DemoError::NoRecord { request_id: request_id.to_owned() });
        }
        time::sleep(LOOK).await;
    }
}

fn look<'r>(replicas: &'r [Replica], request_id: &str) -> Option<Way<'r>> {
    replicas.iter().find_map(|entry| {
        let text = fs::read_to_string(entry.access_log()).ok()?;
        let owner = match owner_in(&text, request_id)? {
            Owner::Itself => entry,
            Owner::Named(name) => {
                replicas.iter().find(|one| one.place().peer.to_string() == name)?
            }
        };
        Some(Way { entry, owner })
    })
}

/// The owner of a session, as a record has it.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// The replica whose record it is: it opened the session.
    Itself,
    /// The replica of this name.
    Named(String),
}

/// The owner of the session of a request that came from a client.
fn owner_in(log: &str, request_id: &str) -> Option<Owner> {
    let lines = log.lines().rev().filter(|line| line.contains(request_id));
    let mut records = lines.filter_map(|line| serde_json::from_str::<Record>(line).ok());
    let found = records
        .find(|record| record.hop == 0 && record.request_id.as_deref() == Some(request_id))?;
    match found.owner {
        // What follows is the number of its worker.
        Some(owner) => Some(Owner::Named(owner.rsplit_once('/')?.0.to_owned())),
        None => found.worker.map(|_opener| Owner::Itself),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_in_the_record_of_who_took_the_request_from_a_client() {
        let log = "{\"request_id\":\"1\",\"status\":200,\"owner\":\"127.0.0.1:8181/0\"}\n\
                   {\"request_id\":\"2\",\"owner\":\"127.0.0.1:8182/1\",\"hop\":1}\n\
                   {\"request_id\":\"3\",\"owner\":\"127.0.0.1:8183/1\",\"hop\":0}\n\
                   {\"request_id\":\"4\",\"rpc_method\":\"initialize\",\"worker\":1}\n\
                   {\"request_id\":\"5\",\"status\":404}\n\
                   {\"request_id\":\"6\",\"sta";
        let named = |name: &str| Some(Owner::Named(name.to_owned()));
        assert_eq!(owner_in(log, "1"), named("127.0.0.1:8181"));
        assert_eq!(owner_in(log, "2"), None, "another replica sent it");
        assert_eq!(owner_in(log, "3"), named("127.0.0.1:8183"));
        assert_eq!(owner_in(log, "4"), Some(Owner::Itself));
        assert_eq!(owner_in(log, "5"), None, "nobody served it");
        assert_eq!(owner_in(log, "6"), None, "it is not written to its end");
        assert_eq!(owner_in(log, "7"), None);
    }
}
