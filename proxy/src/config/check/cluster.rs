//! Replicas: where this one is, how it proves itself, how the others are watched.

use std::{net::SocketAddr, num::NonZeroU8, time::Duration};

use super::{
    Check, filled,
    host::{self, Unreachable},
    secret::MAKE_KEY,
    server::collide,
};
use crate::config::{Cluster, Peers, Probe, Server, place::At, raw};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// Most replicas that one request may pass through: while the membership settles two are enough.
const HOPS_MAX: u8 = 8;

/// Most questions in a row until a replica counts as gone, or as there.
const PROBES_MAX: u8 = 100;

impl Check<'_> {
    pub(super) fn cluster(&mut self, raw: raw::Cluster, server: &Server) -> Option<Cluster> {
        let at = At::from(["cluster"]);
        let listen = self.peer_listener(&at.key("listen"), raw.listen.as_deref(), server);
        let advertise = self.advertised(&at.key("advertise"), raw.advertise.as_deref());
        let signed = !raw.keys.is_empty() || !raw.key_files.is_empty();
        let keys = self.keys(&at, raw.keys, &raw.key_files);
        let known = ["key_files", "tls"].iter().any(|key| self.faults.knows(&at.key(key)));
        if !signed && raw.tls.is_none() && !known {
            self.faults.push_unless_known(
                &at.key("keys"),
                "is missing and `tls` too, so anybody could pose as a replica",
                format!(
                    "write `keys: [\"${{VARIABLE}}\"]` or `key_files`; {MAKE_KEY}, the same for all replicas"
                ),
            );
        }
        let tls = raw.tls.and_then(|tls| self.cluster_tls(&at.key("tls"), &tls));
        let peers = self.peers(&at.key("peers"), &raw.peers);
        if let (None, Some(me), Some(Peers::Static(all))) = (server.workers, &advertise, &peers)
            && all.iter().all(|peer| peer == me)
        {
            self.faults.push_unless_known(
                &at.key("peers").key("static"),
                "names no replica but this one, which has no workers",
                "name the others, or give `server.workers` a number",
            );
        }
        let probe = self.probe(&at.key("probe"), &raw.probe);
        let hops_max = self.small(&at.key("hops_max"), raw.hops_max, HOPS_MAX);
        let clock_skew = self.span(&at.key("clock_skew"), &raw.clock_skew, SECOND..=MINUTE * 5);
        Some(Cluster {
            listen: listen?,
            advertise: advertise?,
            keys,
            tls,
            peers: peers?,
            probe,
            hops_max,
            clock_skew,
        })
    }

    fn peer_listener(
        &mut self,
        at: &At,
        text: Option<&str>,
        server: &Server,
    ) -> Option<SocketAddr> {
        let Some(text) = filled(text) else {
            self.faults.push_unless_known(
                at,
                "is missing",
                "write address and port for the other replicas, such as `:8081`",
            );
            return None;
        };
        let listen = self.listen(at, text)?;
        let admin = server.admin.filter(|admin| collide(listen, *admin)).map(|_| "admin");
        let http = collide(listen, server.http.listen).then_some("HTTP");
        if listen.port() == 0 {
            self.faults.push(
                at,
                "port 0 is any free port, which the other replicas could not know",
                "write a port, as in `:8081`",
            );
        } else if let Some(name) = http.or(admin) {
            let what = format!("the listener for replicas has the port of the {name} listener");
            self.faults.push_unless_known(at, what, "give it another port, such as `:8081`");
        }
        Some(listen)
    }

    fn advertised(&mut self, at: &At, text: Option<&str>) -> Option<String> {
        let Some(text) = filled(text) else {
            self.faults.push_unless_known(
                at,
                "is missing",
                "write host and port under which the other replicas reach this one, such as `10.0.0.1:8081`",
            );
            return None;
        };
        self.replica(at, text)
    }

    /// Where a replica is reached.
    pub(super) fn replica(&mut self, at: &At, text: &str) -> Option<String> {
        let unreachable = match host::replica(text) {
            Ok(replica) => return Some(replica),
            Err(unreachable) => unreachable,
        };
        let what = match unreachable {
            Unreachable::Malformed => "not a host with its port",
            Unreachable::NoPort => "has no port",
            Unreachable::AnyPort => "port 0 is no port that others can reach",
            Unreachable::Nowhere => "this address is not that of one machine",
        };
        let mend = "write name or address and port under which the other replicas reach it, such as \
                    `10.0.0.1:8081`, `[fd00::1]:8081` or `promgate-0.example.com:8081`";
        self.faults.push(at, what, mend);
        None
    }

    fn probe(&mut self, at: &At, raw: &raw::Probe) -> Probe {
        let interval = self.span(&at.key("interval"), &raw.interval, MILLISECOND * 100..=MINUTE);
        let place = at.key("timeout");
        let timeout = self.span(&place, &raw.timeout, MILLISECOND * 10..=MINUTE);
        if timeout > interval && !self.faults.any_in(&at.key("interval")) {
            self.faults.push_unless_known(
                &place,
                "is longer than `interval`, so that questions would pile up",
                "write a shorter time, or a longer `interval`",
            );
        }
        Probe {
            interval,
            timeout,
            down_after: self.small(&at.key("down_after"), raw.down_after, PROBES_MAX),
            up_after: self.small(&at.key("up_after"), raw.up_after, PROBES_MAX),
        }
    }

    fn small(&mut self, at: &At, count: u64, max: u8) -> NonZeroU8 {
        let count = self.count(at, count, 1..=u64::from(max));
        u8::try_from(count).ok().and_then(NonZeroU8::new).unwrap_or(NonZeroU8::MIN)
    }
}
