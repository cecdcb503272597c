//! Which request headers a record shows, and how.
//!
//! The rules are walked, never the headers: a header that no rule names is never even looked at.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, GetAll},
};

use crate::config;

/// Headers that are masked whatever the configuration says. Each can open something.
const ALWAYS_MASKED: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("promgate-hop"),
    HeaderName::from_static("x-api-key"),
];

/// Words in a header's name that say that its value is a secret.
const SECRET_WORDS: [&str; 14] = [
    "token",
    "secret",
    "passw",
    "jwt",
    "credential",
    "auth",
    "cookie",
    "session",
    "signature",
    "assertion",
    "bearer",
    "private",
    "csrf",
    "xsrf",
];

/// The same, where they are a part of a name by themselves: in others they mean something else.
const SECRET_PARTS: [&str; 4] = ["pass", "pin", "otp", "sig"];

/// What the part of such a name may end in too, as in `X-ApiKey` and `X-Key-1`.
const SECRET_ENDS: [&str; 3] = ["key", "keys", "pwd"];

/// Tool arguments that MCP 2026-07-28 mirrors into headers start so; they are what a user asked.
const ARGUMENT_PREFIX: &str = "mcp-param-";

/// The rules, worked out once from the configuration.
#[derive(Debug, Clone)]
pub(in crate::access_log) struct HeaderRules(Box<[Rule]>);

#[derive(Debug, Clone)]
struct Rule {
    name: HeaderName,
    show: Show,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    Value,
    Mask,
}

/// The headers of one request as the rules let them be seen.
#[derive(Clone, Copy)]
pub struct RuledHeaders<'a> {
    rules: &'a HeaderRules,
    headers: &'a HeaderMap,
}

impl HeaderRules {
    /// Works out the rules. Excluding wins over masking, masking over showing.
    #[must_use]
    pub(in crate::access_log) fn new(config: &config::AccessLog) -> Self {
        let mut rules: Vec<Rule> = Vec::new();
        let masked = config.redacted_headers.iter().map(|name| (name, Show::Mask));
        let shown = config.included_headers.iter().map(|name| (name, Show::Value));
        for (name, show) in masked.chain(shown) {
            let known = rules.iter().any(|rule| rule.name == name);
            if known || config.excluded_headers.contains(name) {
                continue;
            }
            let show = if is_secret(name) { Show::Mask } else { show };
            rules.push(Rule { name: name.clone(), show });
        }
        Self(rules.into())
    }

    /// `headers` as the rules let them be seen; `None` when no rule shows anything.
    #[must_use]
    pub(in crate::access_log) fn apply<'a>(
        &'a self,
        headers: &'a HeaderMap,
    ) -> Option<RuledHeaders<'a>> {
        (!self.0.is_empty()).then_some(RuledHeaders { rules: self, headers })
    }
}

/// A header as a rule lets it be seen.
pub(in crate::access_log) enum Shown<'a> {
    /// Its values, but for what the detectors find.
    Values(GetAll<'a, HeaderValue>),
    /// That it was there.
    Masked,
}

impl<'a> RuledHeaders<'a> {
    /// Whether the request has one of the headers.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.rules.0.iter().any(|rule| self.headers.contains_key(&rule.name))
    }

    /// The headers that are there, in the order of the rules.
    pub(in crate::access_log) fn iter(&self) -> impl Iterator<Item = (&'a str, Shown<'a>)> {
        let headers = self.headers;
        self.rules.0.iter().filter(|rule| headers.contains_key(&rule.name)).map(|rule| {
            let shown = match rule.show {
                Show::Value => Shown::Values(headers.get_all(&rule.name)),
                Show::Mask => Shown::Masked,
            };
            (rule.name.as_str(), shown)
        })
    }
}

impl std::fmt::Debug for RuledHeaders<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RuledHeaders(..)")
    }
}

fn is_secret(name: &HeaderName) -> bool {
    let text = name.as_str();
    ALWAYS_MASKED.contains(name)
        || text.starts_with(ARGUMENT_PREFIX)
        || SECRET_WORDS.iter().any(|word| text.contains(word))
        || text.split(['-', '_', '.']).any(is_secret_part)
}

fn is_secret_part(part: &str) -> bool {
    SECRET_PARTS.contains(&part) || SECRET_ENDS.iter().any(|end| part.ends_with(end))
}

#[cfg(test)]
mod tests;
