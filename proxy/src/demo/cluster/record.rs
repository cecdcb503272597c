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
        let owner = owner_in(&text, request_id)?;
        let owner = replicas.iter().find(|one| one.place().peer.to_string() == owner)?;
        Some(Way { entry, owner })
    })
}

/// The replica that owns the session of a request that came from a client.
fn owner_in(log: &str, request_id: &str) -> Option<String> {
    let lines = log.lines().rev().filter(|line| line.contains(request_id));
    let mut records = lines.filter_map(|line| serde_json::from_str::<Record>(line).ok());
    let found = records
        .find(|record| record.hop == 0 && record.request_id.as_deref() == Some(request_id))?;
    // What follows is the number of its worker.
    Some(found.owner?.rsplit_once('/')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_in_the_record_of_who_took_the_request_from_a_client() {
        let log = "{\"request_id\":\"1\",\"status\":200,\"owner\":\"127.0.0.1:8181/0\"}\n\
                   {\"request_id\":\"2\",\"owner\":\"127.0.0.1:8182/1\",\"hop\":1}\n\
                   {\"request_id\":\"3\",\"owner\":\"127.0.0.1:8183/1\",\"hop\":0}\n\
                   {\"request_id\":\"4\",\"sta";
        assert_eq!(owner_in(log, "1").as_deref(), Some("127.0.0.1:8181"));
        assert_eq!(owner_in(log, "2"), None, "another replica sent it");
        assert_eq!(owner_in(log, "3").as_deref(), Some("127.0.0.1:8183"));
        assert_eq!(owner_in(log, "4"), None, "it is not written to its end");
        assert_eq!(owner_in(log, "5"), None);
    }
}
