//! Where an issuer's keys come from, and how they are fetched.

use std::{net::IpAddr, time::Duration};

use jsonwebtoken_jwks::{
    key::KeySet,
    source::{Source, Terms},
};
use url::{Host, Url};

use super::{Check, filled};
use crate::config::{KeySource, place::At, raw};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Largest set of keys, in bytes; 64 RSA keys of 4096 bits with certificates take less.
const JWKS_BYTES_MAX: u64 = 256 << 10;

/// How something is fetched, as written.
pub(super) struct Fetching<'a> {
    pub(super) allow_http: bool,
    pub(super) ca_file: Option<&'a str>,
    pub(super) cache_interval: &'a raw::Span,
    pub(super) stale_max: Option<&'a raw::Span>,
    pub(super) timeout: &'a raw::Span,
}

impl Check<'_> {
    /// The source of an issuer's keys. `wanted` says that it is a fault if there is none.
    pub(super) fn key_source(
        &mut self,
        at: &At,
        raw: &raw::Issuer,
        wanted: bool,
    ) -> Option<KeySource> {
        let terms = self.terms(
            at,
            &Fetching {
                allow_http: raw.allow_http,
                ca_file: raw.ca_file.as_deref(),
                cache_interval: &raw.cache_interval,
                stale_max: raw.stale_max.as_ref(),
                timeout: &raw.fetch_timeout,
            },
        );
        let given = given(raw);
        if let [_, second, ..] = given.as_slice() {
            let what = format!("there are keys from `{}` already", given.first().unwrap_or(second));
            self.faults.push(&at.key(second), what, "keep one source of an issuer's keys");
        } else if given.is_empty() && wanted {
            let known = SOURCES.iter().any(|key| self.faults.knows(&at.key(key)));
            if !known {
                self.faults.push_unless_known(
                    &at.key("jwks_uri"),
                    "is missing, though `strategy` is `local`",
                    "write the address of the signing keys; or `discovery: true`, `jwks_file` or `jwks`",
                );
            }
        }
        let sources = given.into_iter().map(|key| self.source(at, key, raw)).collect::<Vec<_>>();
        Some(KeySource { source: sources.into_iter().next()??, terms })
    }

    /// Where somebody else checks signatures, keys would do nothing.
    pub(super) fn no_keys(&mut self, at: &At, raw: &raw::Issuer) {
        for key in given(raw) {
            self.faults.push(
                &at.key(key),
                "no signature is checked here, since `strategy` is `external`",
                "remove this key, or write `strategy: local`; if an alias (`*name`) elsewhere takes its value, \
                 write the value there",
            );
        }
    }

    fn source(&mut self, section: &At, key: &str, raw: &raw::Issuer) -> Option<Source> {
        let at = section.key(key);
        match key {
            "jwks_uri" => {
                let url = self.fetched_address(&at, raw.jwks_uri.as_deref()?, raw.allow_http)?;
                Some(Source::Uri(url))
            }
            "discovery" => {
                let Some(issuer) = filled(raw.issuer.as_deref()) else {
                    let section = section.key("issuer");
                    if !self.faults.knows(&section) {
                        let mend = "write the issuer's address there";
                        self.faults.push(&at, "needs an `issuer`", mend);
                    }
                    return None;
                };
                self.issuer_address(&section.key("issuer"), issuer, raw.allow_http)?;
                Some(Source::Discovery { issuer: issuer.to_owned() })
            }
            "jwks_file" => {
                let file = raw.jwks_file.as_deref()?;
                let bytes = self.file(&at, file, JWKS_BYTES_MAX)?;
                self.key_set(&at, &bytes);
                Some(Source::File(self.folder.join(file)))
            }
            _ => {
                let text = raw.jwks.as_deref()?;
                self.key_set(&at, text.as_bytes());
                Some(Source::Inline(text.into()))
            }
        }
    }

    /// A set without a key that can be used would refuse every token.
    fn key_set(&mut self, at: &At, bytes: &[u8]) {
        match KeySet::parse(bytes) {
            Err(error) => self.faults.push(
                at,
                format!("not a set of keys (JWKS): {error}"),
                "write JSON of the form `{\"keys\": [{\"kty\": …}]}`",
            ),
            Ok(set) if set.keys().is_empty() => {
                let mut reasons: Vec<_> =
                    set.rejected().iter().map(|key| key.reason.word()).collect();
                reasons.sort_unstable();
                reasons.dedup();
                let why =
                    if reasons.is_empty() { "it is empty".to_owned() } else { reasons.join(", ") };
                self.faults.push(
                    at,
                    format!("there is no key in it that can be used: {why}"),
                    "take the set that the issuer publishes: RSA from 2048 bits, P-256, P-384 or Ed25519",
                );
            }
            Ok(_) => {}
        }
    }

    pub(super) fn terms(&mut self, at: &At, raw: &Fetching<'_>) -> Terms {
        let place = at.key("cache_interval");
        let cache_interval = self.span(&place, raw.cache_interval, SECOND * 10..=DAY);
        let stale_max = match raw.stale_max {
            None => cache_interval.max(HOUR),
            Some(span) => {
                let place = at.key("stale_max");
                let stale_max = self.span(&place, span, SECOND * 10..=DAY * 7);
                if stale_max < cache_interval {
                    self.faults.push_unless_known(
                        &place,
                        "is shorter than `cache_interval`",
                        "write a longer time, so that one failed fetch does not end the service",
                    );
                }
                stale_max
            }
        };
        Terms {
            cache_interval,
            stale_max,
            timeout: self.span(
                &at.key("fetch_timeout"),
                raw.timeout,
                Duration::from_millis(100)..=SECOND * 60,
            ),
            allow_http: raw.allow_http,
            ca_pem: self.ca_pem(&at.key("ca_file"), raw.ca_file),
        }
    }

    /// The address of an issuer, below which its metadata lies. Spec: RFC 8414 §2.
    pub(super) fn issuer_address(&mut self, at: &At, text: &str, allow_http: bool) -> Option<Url> {
        let url = self.fetched_address(at, text, allow_http)?;
        if url.query().is_some() || url.fragment().is_some() {
            self.faults.push(
                at,
                "an issuer's address has no query and no fragment",
                "write the issuer as it stands in its metadata and in its tokens",
            );
        }
        Some(url)
    }

    /// An address to fetch from: https, unless on this machine or allowed.
    pub(super) fn fetched_address(&mut self, at: &At, text: &str, allow_http: bool) -> Option<Url> {
        let url = self.web_address(at, text)?;
        if url.scheme() == "http" && !allow_http && !is_loopback(&url) {
            self.faults.push(
                at,
                "the address is not https, so anybody on the way could change what is fetched",
                "write `https://…`, or `allow_http: true` beside it if the way is safe",
            );
        }
        Some(url)
    }
}

/// The keys that name a source of keys.
const SOURCES: [&str; 4] = ["jwks_uri", "discovery", "jwks_file", "jwks"];

/// Whether it names a source of keys.
pub(super) fn has_keys(raw: &raw::Issuer) -> bool {
    !given(raw).is_empty()
}

/// Those that are given.
fn given(raw: &raw::Issuer) -> Vec<&'static str> {
    let is = |key: &str| match key {
        "jwks_uri" => filled(raw.jwks_uri.as_deref()).is_some(),
        "discovery" => raw.discovery,
        "jwks_file" => filled(raw.jwks_file.as_deref()).is_some(),
        _ => filled(raw.jwks.as_deref()).is_some(),
    };
    SOURCES.into_iter().filter(|key| is(key)).collect()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
