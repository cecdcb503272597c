//! Where other replicas are found.

use std::{net::SocketAddr, time::Duration};

use super::{
    Check, filled,
    host::{self, Unreachable},
};
use crate::config::{Peers, file, place::At, raw};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// Most replicas; each probes all others, and every worker of each takes room on the ring.
const PEERS_MAX: usize = 256;

/// Most name servers. All are asked at once, for each name.
const NAME_SERVERS_MAX: usize = 8;

/// Largest file of addresses, in bytes: 256 of the longest names.
const FILE_BYTES_MAX: u64 = 128 << 10;

impl Check<'_> {
    /// Exactly one of the ways to find them.
    pub(super) fn peers(&mut self, at: &At, raw: &raw::Peers) -> Option<Peers> {
        let raw::Peers { fixed, dns, srv, file } = raw;
        let given = [
            ("static", fixed.is_some()),
            ("dns", dns.is_some()),
            ("srv", srv.is_some()),
            ("file", file.is_some()),
        ];
        let given: Vec<&str> =
            given.into_iter().filter_map(|(key, given)| given.then_some(key)).collect();
        match given.as_slice() {
            [] if !self.faults.any_in(at) => self.faults.push_unless_known(
                at,
                "nothing says where the other replicas are found",
                "write one of `static`, `dns`, `srv` and `file`, as in `static: [\"10.0.0.2:8081\"]`",
            ),
            [first, second, ..] => {
                let what = format!("there are replicas from `{first}` already");
                self.faults.push(&at.key(second), what, "keep one way to find them");
            }
            [] | [_] => {}
        }
        let fixed = fixed.as_ref().map(|list| self.static_peers(&at.key("static"), list));
        let dns = dns.as_ref().and_then(|raw| self.dns_peers(&at.key("dns"), raw));
        let srv = srv.as_ref().and_then(|raw| self.srv_peers(&at.key("srv"), raw));
        let file = file.as_ref().and_then(|raw| self.file_peers(&at.key("file"), raw));
        fixed.or(dns).or(srv).or(file)
    }

    fn static_peers(&mut self, at: &At, raw::OneOrMore(list): &raw::OneOrMore) -> Peers {
        if list.is_empty() {
            self.faults.push(
                at,
                "the list is empty",
                "name the other replicas, as in `[\"10.0.0.2:8081\"]`",
            );
        }
        let mut peers: Vec<String> = Vec::new();
        for (place, text) in self.items(at, list) {
            for text in text.split(',') {
                let Some(peer) = self.replica(&place, text.trim()) else { continue };
                if peers.contains(&peer) {
                    self.faults.push(&place, "this replica is named twice", "keep one of them");
                }
                peers.push(peer);
            }
        }
        if peers.len() > PEERS_MAX {
            let what = format!("there are more than {PEERS_MAX} replicas");
            self.faults.push(at, what, "remove some; more workers in each do as well");
        }
        Peers::Static(peers)
    }

    fn dns_peers(&mut self, at: &At, raw: &raw::DnsPeers) -> Option<Peers> {
        let name = self.looked_up(&at.key("name"), raw.name.as_deref());
        let place = at.key("port");
        let port = raw.port.map(|port| self.count(&place, port, 1..=u64::from(u16::MAX)));
        if port.is_none() {
            self.faults.push_unless_known(
                &place,
                "is missing",
                "write the port on which all replicas listen for each other, such as `8081`",
            );
        }
        let interval = self.span(&at.key("interval"), &raw.interval, SECOND..=HOUR);
        let servers = self.name_servers(&at.key("servers"), raw.servers.as_ref());
        Some(Peers::Dns { name: name?, port: u16::try_from(port?).ok()?, interval, servers })
    }

    fn srv_peers(&mut self, at: &At, raw: &raw::SrvPeers) -> Option<Peers> {
        let name = self.looked_up(&at.key("name"), raw.name.as_deref());
        let interval = self.span(&at.key("interval"), &raw.interval, SECOND..=HOUR);
        let servers = self.name_servers(&at.key("servers"), raw.servers.as_ref());
        Some(Peers::Srv { name: name?, interval, servers })
    }

    /// Whom to ask for names; nobody in particular where nothing is written.
    fn name_servers(&mut self, at: &At, raw: Option<&raw::OneOrMore>) -> Vec<SocketAddr> {
        let Some(raw::OneOrMore(list)) = raw else { return Vec::new() };
        if list.is_empty() {
            self.faults.push(
                at,
                "the list is empty",
                "name whom to ask, as in `[\"127.0.0.1:8600\"]`, or remove it to ask whom this machine asks",
            );
        }
        let mut servers: Vec<SocketAddr> = Vec::new();
        for (place, text) in self.items(at, list) {
            for text in text.split(',') {
                let Some(server) = self.name_server(&place, text.trim()) else { continue };
                if servers.contains(&server) {
                    self.faults.push(&place, "this name server is named twice", "keep one of them");
                }
                servers.push(server);
            }
        }
        if servers.len() > NAME_SERVERS_MAX {
            let what = format!("there are more than {NAME_SERVERS_MAX} name servers");
            self.faults.push(at, what, "remove some; each is asked every time");
        }
        servers
    }

    fn name_server(&mut self, at: &At, text: &str) -> Option<SocketAddr> {
        let what = match host::replica(text) {
            Ok(server) => match server.parse() {
                Ok(server) => return Some(server),
                Err(_name) => {
                    "a name server is given by its address, since nobody else could look up its name"
                }
            },
            Err(Unreachable::Malformed) => "not an address with its port",
            Err(Unreachable::NoPort) => "has no port",
            Err(Unreachable::AnyPort) => "port 0 is no port that can be asked",
            Err(Unreachable::Nowhere) => "this address is not that of one machine",
        };
        let mend =
            "write address and port, such as `10.0.0.2:53`, `[fd00::2]:53` or `127.0.0.1:8600`";
        self.faults.push(at, what, mend);
        None
    }

    /// A name; a dot at its end, which keeps it from being completed, stays.
    fn looked_up(&mut self, at: &At, text: Option<&str>) -> Option<String> {
        let Some(text) = filled(text) else {
            self.faults.push_unless_known(
                at,
                "is missing",
                "write the name of all replicas together, such as `promgate.example.com`",
            );
            return None;
        };
        if !host::is_name(text.strip_suffix('.').unwrap_or(text)) {
            self.faults.push(
                at,
                "not a name that can be looked up",
                "write it without scheme and port, such as `promgate.example.com`; addresses go to `static`",
            );
            return None;
        }
        Some(text.to_ascii_lowercase())
    }

    fn file_peers(&mut self, at: &At, raw: &raw::FilePeers) -> Option<Peers> {
        let interval = self.span(&at.key("interval"), &raw.interval, MILLISECOND * 100..=HOUR);
        let at = at.key("path");
        let Some(path) = filled(raw.path.as_deref()) else {
            self.faults.push_unless_known(
                &at,
                "is missing",
                "name a file with one `host:port` on each line",
            );
            return None;
        };
        let path = self.folder.join(path);
        let (source, read) = file::read(&path, FILE_BYTES_MAX);
        let fault = match read.map(String::from_utf8) {
            Ok(Ok(text)) => not_a_replica(&text).map(|line| {
                let what = format!("line {line} of the file is not a host with its port");
                (what, "write it as `10.0.0.2:8081`; `#` begins a comment")
            }),
            Ok(Err(_binary)) => Some((
                "the file is not UTF-8 text".to_owned(),
                "write one `host:port` on each line",
            )),
            Err(error) => {
                let mend = error.mend("check the path and that this user may read it");
                Some((format!("the file {}", error.words(FILE_BYTES_MAX)), mend))
            }
        };
        if let Some((what, mend)) = fault {
            // Only then: what a good one holds is watched by those who use it, and is no change of the configuration.
            self.sources.push(source);
            self.faults.push(&at, what, mend);
        }
        Some(Peers::File { path, interval })
    }
}

/// The first line, counted from 1, that holds something else than a replica and a comment.
fn not_a_replica(text: &str) -> Option<usize> {
    let holds = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    let mut lines = text.lines().map(holds).zip(1..);
    lines
        .find(|(line, _)| !line.is_empty() && host::replica(line).is_err())
        .map(|(_, number)| number)
}
