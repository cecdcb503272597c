//! Which request headers a record shows, and how.
//!
//! The rules are walked, never the headers: a header that no rule names is never even looked at.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, GetAll},
};

use super::json;
use crate::config;

/// Longest header value written, in bytes; several values of one name count together.
const VALUE_BYTES_MAX: usize = 512;

/// What stands for a value that is not shown. It tells neither its length nor any part of it.
const MASK: &[u8] = br#""***""#;

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
const SECRET_WORDS: [&str; 7] =
    ["token", "secret", "passw", "jwt", "credential", "auth", "api-key"];

/// Tool arguments that MCP 2026-07-28 mirrors into headers start so; they are what a user asked.
const ARGUMENT_PREFIX: &str = "mcp-param-";

/// The rules, worked out once from the configuration.
#[derive(Debug, Clone)]
pub(super) struct HeaderRules(Box<[Rule]>);

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
    pub(super) fn new(config: &config::AccessLog) -> Self {
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
    pub(super) fn apply<'a>(&'a self, headers: &'a HeaderMap) -> Option<RuledHeaders<'a>> {
        (!self.0.is_empty()).then_some(RuledHeaders { rules: self, headers })
    }
}

impl RuledHeaders<'_> {
    /// Appends `,"headers":{…}`, or nothing when the request has none of the headers.
    pub(super) fn write_to(&self, line: &mut Vec<u8>) {
        let mut before: &[u8] = br#","headers":{"#;
        for Rule { name, show } in &self.rules.0 {
            let values = self.headers.get_all(name);
            if values.iter().next().is_none() {
                continue;
            }
            line.extend_from_slice(before);
            before = b",";
            json::text(line, name.as_str().as_bytes(), usize::MAX);
            line.push(b':');
            match show {
                Show::Value => write_values(line, &values),
                Show::Mask => line.extend_from_slice(MASK),
            }
        }
        if before == b"," {
            line.push(b'}');
        }
    }
}

impl std::fmt::Debug for RuledHeaders<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RuledHeaders(..)")
    }
}

/// Appends all values of one name as one list. Spec: RFC 9110 §5.3.
fn write_values(line: &mut Vec<u8>, values: &GetAll<'_, HeaderValue>) {
    let mut room = VALUE_BYTES_MAX;
    let mut before: &[u8] = b"\"";
    for value in values {
        line.extend_from_slice(before);
        before = b", ";
        json::escaped(line, value.as_bytes(), room);
        if value.len() > room {
            break;
        }
        room -= value.len();
    }
    line.push(b'"');
}

fn is_secret(name: &HeaderName) -> bool {
    let text = name.as_str();
    ALWAYS_MASKED.contains(name)
        || text.starts_with(ARGUMENT_PREFIX)
        || SECRET_WORDS.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(included: &[&str], redacted: &[&str], excluded: &[&str]) -> HeaderRules {
        let names = |list: &[&str]| list.iter().map(|name| name.parse().unwrap()).collect();
        HeaderRules::new(&config::AccessLog {
            included_headers: names(included),
            excluded_headers: names(excluded),
            redacted_headers: names(redacted),
            ..config::AccessLog::off()
        })
    }

    fn headers(list: &[(&str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    fn written(rules: &HeaderRules, headers: &HeaderMap) -> String {
        let mut line = Vec::new();
        if let Some(ruled) = rules.apply(headers) {
            ruled.write_to(&mut line);
        }
        let line = String::from_utf8(line).unwrap();
        if !line.is_empty() {
            let whole = format!("{{\"a\":1{line}}}");
            serde_json::from_str::<serde_json::Value>(&whole).unwrap();
        }
        line
    }

    #[test]
    fn only_headers_that_a_rule_names_are_written() {
        let sent = headers(&[("accept", b"*/*"), ("x-other", b"canary"), ("x-id", b"canary")]);
        let rules = rules(&["Accept", "X-Absent"], &["X-Id"], &[]);
        assert_eq!(written(&rules, &sent), r#","headers":{"x-id":"***","accept":"*/*"}"#);
    }

    #[test]
    fn an_absent_header_is_not_made_up() {
        assert_eq!(written(&rules(&["accept"], &["x-id"], &[]), &headers(&[])), "");
    }

    #[test]
    fn no_part_and_no_length_of_a_masked_value_shows() {
        let rules = rules(&[], &["x-short", "x-long"], &[]);
        let sent =
            headers(&[("x-short", b"ab"), ("x-long", b"abcdefghijklmnop"), ("x-long", b"q")]);
        assert_eq!(written(&rules, &sent), r#","headers":{"x-short":"***","x-long":"***"}"#);
    }

    #[test]
    fn a_secret_is_masked_even_when_the_configuration_includes_it() {
        let names = [
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "Set-Cookie",
            "Mcp-Session-Id",
            "X-Api-Key",
            "Mcp-Param-Query",
            "X-Validated-Jwt",
            "X-Access-Token",
            "X-Client-Secret",
            "X-Password",
            "X-Amz-Credential",
            "X-Forwarded-Auth",
        ];
        for name in names {
            let shown = written(&rules(&[name], &[], &[]), &headers(&[(name, b"canary")]));
            assert_eq!(shown, format!(",\"headers\":{{\"{}\":\"***\"}}", name.to_lowercase()));
        }
    }

    #[test]
    fn excluding_wins_over_masking_and_masking_over_showing() {
        let sent = headers(&[("x-a", b"1"), ("x-b", b"2")]);
        let rules = rules(&["x-a", "x-b"], &["x-a", "x-b"], &["x-b"]);
        assert_eq!(written(&rules, &sent), r#","headers":{"x-a":"***"}"#);
    }

    #[test]
    fn every_value_of_a_name_is_written() {
        let sent = headers(&[("x-a", b"one"), ("x-a", b"two")]);
        assert_eq!(written(&rules(&["x-a"], &[], &[]), &sent), r#","headers":{"x-a":"one, two"}"#);
    }

    #[test]
    fn bytes_that_are_not_utf_8_and_long_values_make_sound_json() {
        let rules = rules(&["x-a"], &[], &[]);
        let sent = headers(&[("x-a", b"\x80\xff\"\\"), ("x-a", &[b'y'; 600]), ("x-a", b"z")]);
        let shown = written(&rules, &sent);
        assert!(shown.starts_with(",\"headers\":{\"x-a\":\"\u{fffd}\u{fffd}\\\"\\\\, yyy"));
        assert!(shown.ends_with("yyy…\"}"), "{shown}");
        assert!(shown.len() < 600);
    }

    #[test]
    fn debug_shows_no_header() {
        let rules = rules(&["x-a"], &[], &[]);
        let sent = headers(&[("x-a", b"canary")]);
        assert!(!format!("{:?}", rules.apply(&sent)).contains("canary"));
    }
}
