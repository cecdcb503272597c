//! The HTTP listener: address, path, allowed hosts and origins, bounds.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;

use super::{Check, host};
use crate::config::{HostRule, Http, HttpLimits, OriginRule, place::At, raw};

/// Longest path of the endpoint, in bytes.
const PATH_BYTES_MAX: usize = 256;

/// Most networks of trusted proxies; each is compared with every connection.
const NETWORKS_MAX: usize = 256;

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);

impl Check<'_> {
    pub(super) fn http(&mut self, raw: &raw::Http, public_host: Option<String>) -> Http {
        let at = At::from(["server", "transport", "http"]);
        Http {
            listen: self
                .listen(&at.key("host"), &raw.host)
                .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into()),
            path: self.path(&at.key("path"), &raw.path),
            h2c: raw.h2c,
            allowed_hosts: self.hosts(&at.key("allowed_hosts"), &raw.allowed_hosts, public_host),
            allowed_origins: self.origins(&at.key("allowed_origins"), &raw.allowed_origins),
            trusted_proxies: self.networks(&at.key("trusted_proxies"), &raw.trusted_proxies),
            limits: self.http_limits(&at.key("limits"), &raw.limits),
        }
    }

    /// Networks of proxies.
    fn networks(&mut self, at: &At, list: &[String]) -> Vec<IpNet> {
        if list.len() > NETWORKS_MAX {
            let what = format!("there are more than {NETWORKS_MAX} networks");
            self.faults.push(at, what, "join neighbours into wider ones");
        }
        let mut networks = Vec::new();
        for (place, text) in self.items(at, list) {
            let address = || Some(IpNet::from(text.parse::<IpAddr>().ok()?.to_canonical()));
            match text.parse::<IpNet>().ok().or_else(address) {
                Some(network) if network.prefix_len() == 0 => self.faults.push(
                    &place,
                    "this is every address there is, so anybody could be that proxy",
                    "name the network of the proxies alone",
                ),
                Some(network) => networks.push(network.trunc()),
                None => self.faults.push(
                    &place,
                    "not an address or a network",
                    "write it as `10.1.2.3`, `10.0.0.0/8` or `fd00::/8`; names are not looked up",
                ),
            }
        }
        networks
    }

    /// An address to listen on.
    pub(super) fn listen(&mut self, at: &At, text: &str) -> Option<SocketAddr> {
        let listen = match text.rsplit_once(':') {
            Some(("", port)) => port.parse().ok().map(|port| (Ipv4Addr::UNSPECIFIED, port).into()),
            Some(("localhost", port)) => {
                port.parse().ok().map(|port| (Ipv4Addr::LOCALHOST, port).into())
            }
            _ => text.parse().ok(),
        };
        if listen.is_none() {
            self.faults.push(
                at,
                "not an address and port to listen on",
                "write `:8080` for every address of this machine, or one of them, such as \
                 `127.0.0.1:8080` or `[::1]:8080`",
            );
        }
        listen
    }

    fn path(&mut self, at: &At, text: &str) -> String {
        let plain =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b'~');
        let segments_good = || {
            let mut segments = text.split('/').skip(1);
            segments.all(|segment| !matches!(segment, "" | "." | ".."))
        };
        let good = text.starts_with('/')
            && text.len() <= PATH_BYTES_MAX
            && text.bytes().all(plain)
            && segments_good();
        if !good {
            self.faults.push(
                at,
                "not a path that can be served",
                "write it as `/mcp`: a slash first and none at the end, then letters, digits, \
                 `-`, `_`, `.`, `~`; `/mcp/` is served along with `/mcp`",
            );
        } else if text.starts_with("/.well-known") {
            self.faults.push(
                at,
                "`/.well-known` is kept for documents that standards place there",
                "choose another path, such as `/mcp`",
            );
        } else if text.starts_with("/_promgate") {
            self.faults.push(
                at,
                "`/_promgate` is kept for what replicas tell one another",
                "choose another path, such as `/mcp`",
            );
        }
        text.to_owned()
    }

    fn hosts(&mut self, at: &At, list: &[String], public: Option<String>) -> Vec<HostRule> {
        let items = self.items(at, list);
        if list.is_empty() {
            let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
            let rule = |host| HostRule::Exact { host, port: None };
            return names.into_iter().chain(public).map(rule).collect();
        }
        let mut rules = Vec::with_capacity(items.len());
        for (place, text) in items {
            match host::authority(text) {
                _ if text == "*" => rules.push(HostRule::Any),
                Some((host, port)) => rules.push(HostRule::Exact { host, port }),
                None => self.faults.push(
                    &place,
                    "not a host",
                    "write a name or address, with or without a port, such as \
                     `mcp.example.com`; `*` alone allows every host, and there are no patterns",
                ),
            }
        }
        rules
    }

    fn origins(&mut self, at: &At, list: &[String]) -> Vec<OriginRule> {
        let items = self.items(at, list);
        if list.is_empty() {
            let hosts = ["localhost", "127.0.0.1", "::1"];
            let rules = ["http", "https"].into_iter().flat_map(|scheme| {
                hosts.map(|host| OriginRule::Exact {
                    scheme: scheme.to_owned(),
                    host: host.to_owned(),
                    port: None,
                })
            });
            return rules.collect();
        }
        let mut rules = Vec::with_capacity(items.len());
        for (place, text) in items {
            match host::origin(text) {
                _ if text == "*" => rules.push(OriginRule::Any),
                Some(rule) => rules.push(rule),
                None => self.faults.push(
                    &place,
                    "not an origin",
                    "write scheme and host, with or without a port and with no path, such as \
                     `https://app.example.com`; `*` alone allows every origin",
                ),
            }
        }
        rules
    }

    fn http_limits(&mut self, at: &At, raw: &raw::HttpLimits) -> HttpLimits {
        HttpLimits {
            body_bytes_max: self.size(
                &at.key("body_bytes_max"),
                &raw.body_bytes_max,
                1 << 10..=1 << 30,
            ),
            bodies_bytes_max: self.size(
                &at.key("bodies_bytes_max"),
                &raw.bodies_bytes_max,
                1 << 10..=1 << 40,
            ),
            header_timeout: self.wait(at, "header_timeout", &raw.header_timeout),
            body_timeout: self.wait(at, "body_timeout", &raw.body_timeout),
            idle_timeout: self.wait(at, "idle_timeout", &raw.idle_timeout),
            write_timeout: self.wait(at, "write_timeout", &raw.write_timeout),
            connections_max: self.count(
                &at.key("connections_max"),
                raw.connections_max,
                1..=1_000_000,
            ),
            connections_per_address_max: self.count(
                &at.key("connections_per_address_max"),
                raw.connections_per_address_max,
                1..=1_000_000,
            ),
        }
    }

    fn wait(&mut self, at: &At, key: &str, raw: &raw::Span) -> Duration {
        self.span(&at.key(key), raw, MILLISECOND..=HOUR)
    }
}
