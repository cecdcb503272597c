//! Who is let in: whether and how tokens are verified.

use http::{HeaderName, header};

use super::{Check, filled, issuer::Tokens, keys::has_keys};
use crate::config::{Authentication, Http, Issuer, Verification, place::At, raw};

/// Most issuers.
const ISSUERS_MAX: usize = 32;

/// Headers that mean something else, so that no proxy can put a token into them.
const TAKEN_HEADERS: [HeaderName; 9] = [
    header::AUTHORIZATION,
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::ORIGIN,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("mcp-session-id"),
];

impl Check<'_> {
    /// `serves_http` says that requests will come over HTTP; `resource` is our public name.
    pub(super) fn authentication(
        &mut self,
        raw: &raw::Jwt,
        http: &Http,
        serves_http: bool,
        resource: Option<&str>,
    ) -> Authentication {
        let at = At::from(["middleware", "jwt"]);
        self.said_in_words(&at, raw, http, serves_http);
        let enabled = raw.enabled == Some(true);
        let at = at.key("validation");
        let validation = &raw.validation;
        let external = validation.strategy == Some(raw::Strategy::External);
        let header = self.forwarded_header(&at, validation);
        let verification =
            self.verification(&at.key("local"), &validation.local, |several| Tokens {
                enabled: enabled && validation.strategy.is_some(),
                external,
                several,
                resource,
            });
        if !enabled {
            return Authentication::None;
        }
        match (validation.strategy, header) {
            (Some(raw::Strategy::Local), _) => Authentication::Local(verification),
            (Some(raw::Strategy::External), header) => {
                self.external(&at, header.as_ref(), http, serves_http);
                let header = header.unwrap_or(header::AUTHORIZATION);
                Authentication::External { header, verification }
            }
            (None, _) => {
                self.faults.push_unless_known(
                    &at.key("strategy"),
                    "is missing, though tokens are to be verified",
                    "write `local` to verify them here, or `external` if a proxy in front does",
                );
                Authentication::None
            }
        }
    }

    /// That nobody is asked for a token must be written, and once more where others could reach us.
    fn said_in_words(&mut self, at: &At, raw: &raw::Jwt, http: &Http, serves_http: bool) {
        match raw.enabled {
            Some(true) if raw.insecure => self.faults.push(
                &at.key("insecure"),
                "has no meaning where tokens are verified",
                "remove it; it belongs to `enabled: false`",
            ),
            Some(false) if serves_http && !raw.insecure && !http.listen.ip().is_loopback() => {
                self.faults.push_unless_known(
                    &at.key("enabled"),
                    "everybody who reaches the listener would be served, and it is not on loopback",
                    "write `enabled: true` and whose tokens are good, or listen on `127.0.0.1`; if \
                     something else keeps strangers away, write `insecure: true` beside it",
                );
            }
            None if serves_http => self.faults.push_unless_known(
                &at.key("enabled"),
                "is missing, so it is open whether callers need a token",
                "write `enabled: true` and whose tokens are good, or `enabled: false` to serve everybody \
                 who reaches the listener",
            ),
            Some(_) | None => {}
        }
    }

    fn forwarded_header(&mut self, at: &At, raw: &raw::JwtValidation) -> Option<HeaderName> {
        let at = at.key("forwarded_header");
        let name = self.header_name(&at, filled(raw.forwarded_header.as_deref())?)?;
        if TAKEN_HEADERS.contains(&name) {
            self.faults.push(
                &at,
                "this header has a meaning of its own",
                "let the proxy put the token, without `Bearer`, into another, such as `X-Validated-Jwt`",
            );
        }
        Some(name)
    }

    fn external(&mut self, at: &At, header: Option<&HeaderName>, http: &Http, serves_http: bool) {
        if header.is_none() {
            self.faults.push_unless_known(
                &at.key("forwarded_header"),
                "is missing, though `strategy` is `external`",
                "name the header into which the proxy puts the token, such as `X-Validated-Jwt`",
            );
        }
        if serves_http && http.trusted_proxies.is_empty() {
            self.faults.push_unless_known(
                &At::from(["server", "transport", "http", "trusted_proxies"]),
                "is empty, though `strategy` is `external`",
                "name the addresses or networks of the proxies whose tokens are believed",
            );
        }
    }

    fn verification<'t>(
        &mut self,
        at: &At,
        raw: &raw::JwtLocal,
        tokens: impl FnOnce(bool) -> Tokens<'t>,
    ) -> Verification {
        // Keys directly in the section describe an issuer as soon as one of them says something.
        let touched = raw.issuer != raw::Issuer::default();
        let nameless = raw.issuer.issuer.is_none() && !has_keys(&raw.issuer);
        if touched && nameless && !raw.issuers.is_empty() {
            self.faults.push_unless_known(
                at,
                "settings of an issuer stand directly here, but neither its `issuer` nor its keys",
                "write them into each item of `issuers` that they are meant for; items take nothing from here",
            );
        }
        let first = raw.issuers.is_empty() || (touched && !nameless);
        let tokens = tokens(usize::from(first) + raw.issuers.len() > 1);
        let list = at.key("issuers");
        if raw.issuers.len() >= ISSUERS_MAX {
            let what = format!("there are more than {ISSUERS_MAX} issuers");
            self.faults.push(&list, what, "remove some");
        }
        let mut issuers: Vec<Issuer> = Vec::new();
        let places = first.then(|| (at.clone(), &raw.issuer)).into_iter();
        let further = raw.issuers.iter().enumerate().map(|(n, raw)| (list.item(n), raw));
        for (place, raw) in places.chain(further) {
            let issuer = self.issuer(&place, raw, tokens);
            let name = &issuer.policy.issuer;
            if !name.is_empty() && issuers.iter().any(|other| other.policy.issuer == *name) {
                self.faults.push(
                    &place.key("issuer"),
                    "this issuer is described twice",
                    "keep one of them; it may have several `audiences`",
                );
            }
            issuers.push(issuer);
        }
        Verification {
            issuers,
            cache_entries_max: self.count(
                &at.key("cache_entries_max"),
                raw.cache_entries_max,
                1..=1_000_000,
            ),
        }
    }
}
