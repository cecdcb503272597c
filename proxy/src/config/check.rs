//! From what was written to what it means: the only road to a [`Config`].
//!
//! A check that finds a fault records it and goes on with a stand-in, so that one run finds every
//! fault; the stand-ins are never used, since a configuration with a fault is not returned.

use std::{mem, ops::RangeInclusive, path::Path, time::Duration};

use http::HeaderName;
use url::Url;

use super::{Authentication, Config, Source, fault::Faults, place::At, raw, units};

mod access_log;
mod authorization;
mod backend;
mod cluster;
mod cluster_tls;
mod host;
mod http_listener;
mod issuer;
mod keys;
mod limits;
mod oauth;
mod otlp;
mod peers;
mod rate_limits;
mod records;
mod secret;
mod server;
mod sessions;
mod sink_places;
mod sinks;
mod telemetry;
mod tokens;

/// Longest name or version given to clients, in bytes.
const LABEL_BYTES_MAX: usize = 128;

/// Faults, the folder that relative paths start at, and what the configuration is for.
pub(super) struct Check<'a> {
    pub(super) faults: &'a mut Faults,
    pub(super) folder: &'a Path,
    /// Files that were read, or are missing.
    pub(super) sources: Vec<Source>,
    /// False when it is served over stdio whatever its transport.
    pub(super) may_serve_http: bool,
}

impl Check<'_> {
    /// The whole configuration. It may be used only if no fault was recorded.
    pub(super) fn config(&mut self, raw: raw::Config) -> Config {
        let raw::Config {
            server,
            middleware,
            telemetry,
            sessions,
            cluster,
            tools,
            authorization,
            oauth_authorization_server,
            oauth_protected_resource,
            backends,
        } = raw;
        let worker_limits = self.worker_limits(&server.limits, &sessions);
        let serves_http =
            self.may_serve_http && matches!(server.transport.kind, raw::TransportKind::Http);
        let in_front = matches!(middleware.jwt.validation.strategy, Some(raw::Strategy::External));
        let public = self.protected_resource(&oauth_protected_resource, in_front);
        let server = self.server(server, public.host, cluster.is_some());
        let sessions = self.sessions(sessions, worker_limits.idle_timeout, cluster.is_some());
        let cluster = cluster.and_then(|cluster| self.cluster(cluster, &server));
        let resource = public.document.as_ref().map(|document| &*document.resource_text);
        let authentication =
            self.authentication(&middleware.jwt, &server.http, serves_http, resource);
        let token = middleware.jwt.validation.forwarded_header.as_deref();
        let token = token.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        let names: Vec<String> = backends.keys().cloned().collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Config {
            access_log: self.access_log(middleware.access_logs, serves_http, token.as_ref()),
            rate_limits: self
                .rate_limits(&middleware.rate_limits, authentication != Authentication::None),
            authorization: self.authorization(authorization, &authentication, &names),
            server,
            sessions,
            cluster,
            authentication,
            protected_resource: public.document,
            authorization_server: self.authorization_server(&oauth_authorization_server),
            worker_limits,
            tools: self.tools(&tools),
            telemetry: self.telemetry(telemetry),
            backends: self.backends(backends),
            sources: mem::take(&mut self.sources),
        }
    }

    /// A duration within the range.
    pub(super) fn span(
        &mut self,
        at: &At,
        raw::Span(text): &raw::Span,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(span) = units::span(text) else {
            self.faults.push(
                at,
                "not a duration",
                "write numbers with their units, such as `30s`, `5m` or `1h30m` (ms, s, m, h, d)",
            );
            return *range.start();
        };
        if !range.contains(&span) {
            let (low, high) = (units::shown_span(*range.start()), units::shown_span(*range.end()));
            let what = format!("out of range: {low} to {high}");
            self.faults.push(at, what, "write a duration in that range");
        }
        span
    }

    /// A number of bytes within the range.
    pub(super) fn size(
        &mut self,
        at: &At,
        raw::Size(text): &raw::Size,
        range: RangeInclusive<u64>,
    ) -> usize {
        let Some(size) = units::size(text) else {
            self.faults.push(
                at,
                "not a size",
                "write a whole number of bytes, or one with a unit such as `64KiB`, `1MiB`, `10MB`",
            );
            return 0;
        };
        if !range.contains(&size) {
            let (low, high) = (units::shown_size(*range.start()), units::shown_size(*range.end()));
            let what = format!("out of range: {low} to {high}");
            self.faults.push(at, what, "write a size in that range");
        }
        usize::try_from(size).unwrap_or(usize::MAX)
    }

    /// A number within the range.
    pub(super) fn count(&mut self, at: &At, count: u64, range: RangeInclusive<u64>) -> usize {
        if !range.contains(&count) {
            let what = format!("out of range: {} to {}", range.start(), range.end());
            self.faults.push(at, what, "write a number in that range");
        }
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// The items of a list that hold something; empty ones are faults.
    pub(super) fn items<'l>(&mut self, at: &At, list: &'l [String]) -> Vec<(At, &'l str)> {
        let mut good = Vec::with_capacity(list.len());
        for (index, item) in list.iter().enumerate() {
            let place = at.item(index);
            if item.is_empty() {
                self.faults.push_unless_known(&place, "this item is empty", "remove it");
            } else {
                good.push((place, item.as_str()));
            }
        }
        good
    }

    /// A header's name.
    pub(super) fn header_name(&mut self, at: &At, text: &str) -> Option<HeaderName> {
        let name = HeaderName::from_bytes(text.as_bytes()).ok();
        if name.is_none() {
            self.faults.push(
                at,
                "not the name of a header",
                "write letters, digits and `-` only, such as `X-Request-Id`",
            );
        }
        name
    }

    /// An address with the scheme http or https and without user or password.
    pub(super) fn web_address(&mut self, at: &At, text: &str) -> Option<Url> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
        let Some(url) = url else {
            self.faults.push(
                at,
                "not an http or https address",
                "write it with its scheme, such as `https://example.com`",
            );
            return None;
        };
        if url.username().is_empty() && url.password().is_none() {
            return Some(url);
        }
        self.faults.push(
            at,
            "the address holds a user name or password",
            "remove them; a backend's credentials go to its `auth` section",
        );
        None
    }
}

/// prometheus-mcp takes an empty text for an absent one, and so do files written for it.
fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}
