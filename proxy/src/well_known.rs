//! The documents under `/.well-known`, by which clients find out where to get a token.
//!
//! | path | document |
//! |---|---|
//! | `/.well-known/oauth-protected-resource` | about this server (RFC 9728), from the configuration |
//! | the same with the path of `resource`, or with `url_suffix`, behind it | the same |
//! | `/.well-known/oauth-authorization-server`, with `url_suffix` | the authorization server's (RFC 8414), mirrored |
//! | `/.well-known/openid-configuration`, with `url_suffix` | the authorization server's, as OpenID has it, mirrored |
//!
//! Each takes GET, HEAD and OPTIONS, from pages of every origin: nothing in them is secret.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use jsonwebtoken_jwks::{discovery::WellKnown, metadata::Metadata};
use serde::Serializer as _;
use serde_json::Value;

use crate::{
    challenge::{RESOURCE_DOCUMENT, inserted},
    config::ProtectedResource,
    refusal::{Denial, Refusal},
};

const SERVER_DOCUMENT: &str = "/.well-known/oauth-authorization-server";
const OPENID_DOCUMENT: &str = "/.well-known/openid-configuration";

/// How long clients may keep the document about this server: it changes only with the configuration.
const RESOURCE_MAX_AGE: Duration = Duration::from_hours(1);

/// What is served under `/.well-known`.
#[derive(Debug, Default)]
pub struct Documents {
    by_path: Vec<(String, Document)>,
}

/// One document.
#[derive(Debug, Clone)]
enum Document {
    Resource(Bytes),
    Mirrored(Arc<Metadata>, WellKnown),
}

/// The answer to a request for a document.
#[derive(Debug, PartialEq, Eq)]
pub struct Served {
    /// 200, or 204 for a preflight.
    pub status: StatusCode,
    /// Its headers but for type and length.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its JSON; empty for a preflight.
    pub body: Bytes,
}

impl Documents {
    /// The documents of a configuration.
    #[must_use]
    pub fn new(
        resource: Option<&ProtectedResource>,
        mirrored: Option<(&str, Arc<Metadata>)>,
    ) -> Self {
        let mut by_path = Vec::new();
        if let Some(resource) = resource {
            let document = Document::Resource(ordered_json(&resource.document));
            for behind in ["", &resource.url_suffix, inserted(&resource.resource)] {
                by_path.push((format!("{RESOURCE_DOCUMENT}{behind}"), document.clone()));
            }
        }
        if let Some((suffix, metadata)) = mirrored {
            for (path, which) in
                [(SERVER_DOCUMENT, WellKnown::OAuth), (OPENID_DOCUMENT, WellKnown::OpenId)]
            {
                let document = Document::Mirrored(Arc::clone(&metadata), which);
                by_path.push((path.to_owned(), document.clone()));
                by_path.push((format!("{path}{suffix}"), document));
            }
        }
        Self { by_path }
    }

    /// The answer to a request for `path`; none when no document is there.
    ///
    /// # Errors
    /// Inside: the refusal of another method, or of a document that is not at hand.
    #[must_use]
    pub fn answer(&self, method: &Method, path: &str) -> Option<Result<Served, Denial>> {
        let (_, document) = self.by_path.iter().find(|(known, _)| known == path)?;
        Some(match *method {
            Method::OPTIONS => Ok(preflight()),
            Method::GET | Method::HEAD => document.served(),
            _ => Err(Refusal::MethodOfDocument.into()),
        })
    }
}

impl Document {
    fn served(&self) -> Result<Served, Denial> {
        let (body, max_age) = match self {
            Self::Resource(json) => (json.clone(), RESOURCE_MAX_AGE),
            Self::Mirrored(metadata, which) => {
                let document = metadata.current(*which).map_err(|unavailable| Denial {
                    retry_after: Some(unavailable.retry_after),
                    ..Refusal::DocumentUnavailable.into()
                })?;
                (document.json.clone(), document.max_age)
            }
        };
        let max_age = format!("public, max-age={}", max_age.as_secs());
        let mut headers = vec![ANY_ORIGIN];
        headers.extend(HeaderValue::try_from(max_age).ok().map(|age| (header::CACHE_CONTROL, age)));
        Ok(Served { status: StatusCode::OK, headers, body })
    }
}

/// One JSON object with its members in this order; `serde_json`'s own map would sort them.
fn ordered_json(members: &[(&'static str, Value)]) -> Bytes {
    let mut json = Vec::with_capacity(512);
    let members = members.iter().map(|(name, value)| (name, value));
    // Writing values into memory cannot fail.
    serde_json::Serializer::new(&mut json).collect_map(members).unwrap_or_default();
    json.into()
}

const ANY_ORIGIN: (HeaderName, HeaderValue) =
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));

/// Spec: Fetch, CORS-preflight request. MCP clients in browsers send `MCP-Protocol-Version` along.
fn preflight() -> Served {
    let fixed = |name, value| (name, HeaderValue::from_static(value));
    let headers = vec![
        ANY_ORIGIN,
        fixed(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"),
        fixed(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Content-Type, Authorization, MCP-Protocol-Version",
        ),
        fixed(header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    Served { status: StatusCode::NO_CONTENT, headers, body: Bytes::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn documents(resource: &str, url_suffix: &str) -> Documents {
        let resource = ProtectedResource {
            resource: resource.parse().unwrap(),
            resource_text: Arc::from(resource),
            url_suffix: url_suffix.to_owned(),
            scopes_supported: Vec::new(),
            document: vec![
                ("resource", json!(resource)),
                ("authorization_servers", json!(["https://id.example.com"])),
                ("jwks_uri", json!("https://m.example.com/jwks")),
            ],
        };
        Documents::new(Some(&resource), None)
    }

    fn served(documents: &Documents, method: &Method, path: &str) -> Served {
        documents.answer(method, path).expect("a document").expect("which is served")
    }

    #[test]
    fn the_resources_document_is_at_the_root_behind_the_suffix_and_behind_its_path() {
        let documents = documents("https://m.example.com/team/mcp", "-x");
        let root = "/.well-known/oauth-protected-resource";
        for behind in ["", "-x", "/team/mcp"] {
            let served = served(&documents, &Method::GET, &format!("{root}{behind}"));
            assert_eq!(served.status, StatusCode::OK);
            // Members stand in the order of the configuration's document.
            let text = std::str::from_utf8(&served.body).unwrap();
            assert_eq!(
                text,
                r#"{"resource":"https://m.example.com/team/mcp","authorization_servers":["https://id.example.com"],"jwks_uri":"https://m.example.com/jwks"}"#
            );
        }
        for elsewhere in ["/", "/mcp", "/.well-known/oauth-protected-resource/mcp"] {
            assert!(documents.answer(&Method::GET, elsewhere).is_none(), "{elsewhere}");
        }
    }

    #[test]
    fn a_page_of_any_origin_may_read_it() {
        let documents = documents("https://m.example.com", "");
        let path = "/.well-known/oauth-protected-resource";
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            let headers = served(&documents, &method, path).headers;
            assert!(headers.contains(&ANY_ORIGIN), "{method}");
        }
        let preflight = served(&documents, &Method::OPTIONS, path);
        assert_eq!((preflight.status, preflight.body.len()), (StatusCode::NO_CONTENT, 0));
    }

    #[test]
    fn another_method_is_refused() {
        let documents = documents("https://m.example.com", "");
        let answer = documents.answer(&Method::POST, "/.well-known/oauth-protected-resource");
        let denial = answer.expect("a document").expect_err("which is not posted to");
        assert_eq!(denial.refusal.allow(), Some("GET, HEAD, OPTIONS"));
    }
}
