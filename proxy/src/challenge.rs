//! `WWW-Authenticate`: what a client that was turned away is told. Spec: RFC 6750 §3, RFC 9728 §5.1.

use http::HeaderValue;
use url::Url;

use crate::config::ProtectedResource;

/// Path of the document about this server. Spec: RFC 9728 §3.
pub const RESOURCE_DOCUMENT: &str = "/.well-known/oauth-protected-resource";

/// Most scopes that a challenge names, and the longest of them, in bytes: a header line must pass everywhere.
const SCOPES_MAX: usize = 32;
const SCOPE_BYTES_MAX: usize = 100;

/// The challenges of one configuration, written once.
#[derive(Debug)]
pub struct Challenges {
    /// For a request without a token. It names no error: there is none yet (RFC 6750 §3.1).
    pub missing: HeaderValue,
    /// For a token that is refused, whatever the reason.
    pub refused: HeaderValue,
    /// For a token sent wrongly.
    pub misplaced: HeaderValue,
    /// `resource_metadata="…"`, where there is such a document.
    metadata: Option<String>,
}

impl Challenges {
    /// The challenges for tokens that need `scopes`; `resource` says where clients find out more.
    #[must_use]
    pub fn new(resource: Option<&ProtectedResource>, scopes: &[String]) -> Self {
        let metadata = resource
            .map(|resource| format!("resource_metadata=\"{}\"", document_url(&resource.resource)));
        let scopes = if scopes.is_empty() {
            resource.map_or(&[][..], |resource| &resource.scopes_supported)
        } else {
            scopes
        };
        let scope = (!scopes.is_empty()).then(|| scope(scopes));
        let error = |error: &str, about: &str| {
            Some(format!("error=\"{error}\", error_description=\"{about}\""))
        };
        let about_refused = "the access token is not valid for this server";
        let about_misplaced = "send exactly one access token, in the Authorization header";
        Self {
            missing: value([metadata.clone(), scope.clone()]),
            refused: value([error("invalid_token", about_refused), metadata.clone(), scope]),
            misplaced: value([error("invalid_request", about_misplaced), metadata.clone()]),
            metadata,
        }
    }

    /// For a good token that lacks scopes. Spec: RFC 6750 §3.1.
    #[must_use]
    pub fn insufficient_scope(&self, scopes: impl Iterator<Item = impl AsRef<str>>) -> HeaderValue {
        let error = "error=\"insufficient_scope\"".to_owned();
        // Some of them are from a token, and could be anything.
        let scopes = scopes.filter(|scope| is_scope(scope.as_ref())).take(SCOPES_MAX);
        let scopes: Vec<String> = scopes.map(|scope| scope.as_ref().to_owned()).collect();
        value([Some(error), Some(scope(&scopes)), self.metadata.clone()])
    }
}

/// Where the document about `resource` is: its path goes behind the well-known one. Spec: RFC 9728 §3.1.
#[must_use]
pub fn document_url(resource: &Url) -> String {
    let origin = resource.origin().ascii_serialization();
    format!("{origin}{RESOURCE_DOCUMENT}{}", inserted(resource))
}

/// What a resource's path adds to a well-known path: nothing for a bare host.
#[must_use]
pub fn inserted(resource: &Url) -> &str {
    resource.path().strip_suffix('/').unwrap_or(resource.path())
}

/// Whether it is a scope. Spec: RFC 6749 §3.3.
fn is_scope(text: &str) -> bool {
    let fits = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    (1..=SCOPE_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

fn scope(scopes: &[String]) -> String {
    format!("scope=\"{}\"", scopes.join(" "))
}

fn value<const N: usize>(parameters: [Option<String>; N]) -> HeaderValue {
    let parameters: Vec<String> = parameters.into_iter().flatten().collect();
    let text = if parameters.is_empty() {
        "Bearer".to_owned()
    } else {
        format!("Bearer {}", parameters.join(", "))
    };
    // Scopes and addresses are checked where they are read; a bare challenge is right in any case.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn resource(url: &str) -> ProtectedResource {
        ProtectedResource {
            resource: url.parse().unwrap(),
            resource_text: Arc::from(url),
            url_suffix: String::new(),
            scopes_supported: vec!["metrics:read".to_owned()],
            document: Vec::new(),
        }
    }

    #[test]
    fn the_documents_address_holds_the_path_of_the_resource() {
        for (resource, document) in [
            (
                "https://m.example.com/mcp",
                "https://m.example.com/.well-known/oauth-protected-resource/mcp",
            ),
            ("https://m.example.com", "https://m.example.com/.well-known/oauth-protected-resource"),
            (
                "http://[::1]:8080/a/mcp/",
                "http://[::1]:8080/.well-known/oauth-protected-resource/a/mcp",
            ),
        ] {
            assert_eq!(document_url(&resource.parse().unwrap()), document);
        }
    }

    #[test]
    fn a_request_without_a_token_is_told_no_error() {
        let challenges = Challenges::new(Some(&resource("https://m.example.com/mcp")), &[]);
        assert_eq!(
            challenges.missing,
            "Bearer resource_metadata=\"https://m.example.com/.well-known/oauth-protected-resource/mcp\", \
             scope=\"metrics:read\""
        );
        assert_eq!(Challenges::new(None, &[]).missing, "Bearer");
    }

    #[test]
    fn a_refusal_names_its_error_and_the_scopes_that_are_needed() {
        let challenges = Challenges::new(None, &["a".to_owned(), "b".to_owned()]);
        let refused = challenges.refused.to_str().unwrap();
        assert!(refused.starts_with("Bearer error=\"invalid_token\", "), "{refused}");
        assert!(refused.ends_with(", scope=\"a b\""), "{refused}");
        assert_eq!(
            challenges.insufficient_scope(["c".to_owned(), "d\", x=\"".to_owned()].iter()),
            "Bearer error=\"insufficient_scope\", scope=\"c\"",
            "what is no scope is left out"
        );
    }
}
