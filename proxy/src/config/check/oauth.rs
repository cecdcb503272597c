//! What is told of this server as an OAuth resource, and of its authorization server.

use serde_json::Value;
use url::Url;

use super::{Check, filled, host, keys::Fetching};
use crate::config::{AuthorizationServer, ProtectedResource, place::At, raw};

/// Longest suffix of a document's path, in bytes.
const SUFFIX_BYTES_MAX: usize = 256;

/// What is known of us from outside.
pub(super) struct Public {
    /// Host of `resource`, if there is one, whether the document is served or not.
    pub(super) host: Option<String>,
    /// The document, if it is served.
    pub(super) document: Option<ProtectedResource>,
}

impl Check<'_> {
    pub(super) fn authorization_server(
        &mut self,
        raw: &raw::AuthorizationServer,
    ) -> Option<AuthorizationServer> {
        let at = At::from(["oauth_authorization_server"]);
        let url_suffix = self.suffix(&at.key("url_suffix"), raw.url_suffix.as_deref());
        let terms = self.terms(
            &at,
            &Fetching {
                allow_http: raw.allow_http,
                ca_file: raw.ca_file.as_deref(),
                cache_interval: &raw.cache_interval,
                stale_max: None,
                timeout: &raw.fetch_timeout,
            },
        );
        let place = at.key("issuer_uri");
        let Some(issuer) = filled(raw.issuer_uri.as_deref()) else {
            if raw.enabled {
                self.faults.push_unless_known(
                    &place,
                    "is missing, though its metadata is to be served",
                    "write the issuer exactly as its metadata names it, such as `https://idp.example.com`",
                );
            }
            return None;
        };
        self.issuer_address(&place, issuer, raw.allow_http)?;
        raw.enabled.then(|| AuthorizationServer { issuer: issuer.to_owned(), url_suffix, terms })
    }

    pub(super) fn protected_resource(
        &mut self,
        raw: &raw::ProtectedResource,
        in_front: bool,
    ) -> Public {
        let at = At::from(["oauth_protected_resource"]);
        let url_suffix = self.suffix(&at.key("url_suffix"), raw.url_suffix.as_deref());
        self.links(&at, raw);
        let scopes_supported = self.scopes(&at.key("scopes_supported"), &raw.scopes_supported);
        self.promises(&at, raw, in_front);
        let resource = self.resource(&at.key("resource"), raw);
        let host = resource.as_ref().and_then(|url| host::authority(url.host_str()?));
        let servers = at.key("auth_servers");
        if raw.enabled && raw.auth_servers.is_empty() {
            self.faults.push_unless_known(
                &servers,
                "is missing, so clients could not find out where to get a token",
                "name the issuers of the authorization servers, as in `[https://idp.example.com]`",
            );
        }
        let document = resource.filter(|_| raw.enabled).map(|resource| ProtectedResource {
            resource,
            resource_text: raw.resource.as_deref().unwrap_or_default().into(),
            url_suffix,
            scopes_supported,
            document: document(raw),
        });
        Public { host: host.map(|(host, _)| host), document }
    }

    fn resource(&mut self, at: &At, raw: &raw::ProtectedResource) -> Option<Url> {
        let Some(text) = filled(raw.resource.as_deref()) else {
            if raw.enabled {
                self.faults.push_unless_known(
                    at,
                    "is missing, though the document is to be served",
                    "write the public address of this server, such as `https://mcp.example.com/mcp`",
                );
            }
            return None;
        };
        let url = self.web_address(at, text)?;
        if url.fragment().is_some() || url.query().is_some() {
            self.faults.push(
                at,
                "the address holds a query or fragment",
                "remove what follows `?` or `#`",
            );
        }
        Some(url)
    }

    fn links(&mut self, at: &At, raw: &raw::ProtectedResource) {
        let links = [
            ("jwks_uri", &raw.jwks_uri),
            ("resource_documentation", &raw.resource_documentation),
            ("resource_policy_uri", &raw.resource_policy_uri),
            ("resource_tos_uri", &raw.resource_tos_uri),
        ];
        for (key, address) in links {
            if let Some(address) = filled(address.as_deref()) {
                self.web_address(&at.key(key), address);
            }
        }
        for (place, address) in self.items(&at.key("auth_servers"), &raw.auth_servers) {
            self.web_address(&place, address);
        }
        let texts = [
            ("resource_signing_alg_values_supported", &raw.resource_signing_alg_values_supported),
            ("authorization_details_types_supported", &raw.authorization_details_types_supported),
            ("dpop_signing_alg_values_supported", &raw.dpop_signing_alg_values_supported),
        ];
        for (key, list) in texts {
            self.texts(&at.key(key), list);
        }
    }

    /// What the document may not promise, since it would not be kept. A proxy in front may keep more.
    fn promises(&mut self, at: &At, raw: &raw::ProtectedResource, in_front: bool) {
        let methods = at.key("bearer_methods_supported");
        for (place, method) in self.items(&methods, &raw.bearer_methods_supported) {
            match method {
                "header" => {}
                "body" | "query" => self.faults.push(
                    &place,
                    "a token is taken from the `Authorization` header only",
                    "write `[header]`",
                ),
                _ => self.faults.push(&place, "no way to send a token", "write `[header]`"),
            }
        }
        let bound = [
            (
                "tls_client_certificate_bound_access_tokens",
                raw.tls_client_certificate_bound_access_tokens,
                "whether a token is bound to a certificate is not checked here",
            ),
            (
                "dpop_bound_access_tokens_required",
                raw.dpop_bound_access_tokens_required,
                "DPoP proofs are not checked here",
            ),
        ];
        for (key, promised, what) in bound {
            if promised && raw.enabled && !in_front {
                self.faults.push(
                    &at.key(key),
                    what,
                    "write `false`, or let a proxy check it and write `strategy: external`",
                );
            }
        }
    }

    fn suffix(&mut self, at: &At, suffix: Option<&str>) -> String {
        let Some(suffix) = filled(suffix) else { return String::new() };
        let plain =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b'~');
        if !suffix.starts_with('/') {
            self.faults.push(at, "does not begin with a slash", "write it as `/mcp`");
        } else if suffix.len() > SUFFIX_BYTES_MAX || !suffix.bytes().all(plain) {
            self.faults.push(
                at,
                "not the end of a path",
                "write it as `/mcp`: letters, digits, `-`, `_`, `.`, `~` and slashes",
            );
        }
        suffix.to_owned()
    }
}

/// The members of the document. Spec: RFC 9728 §2.
fn document(raw: &raw::ProtectedResource) -> Vec<(&'static str, Value)> {
    let text = |text: &Option<String>| filled(text.as_deref()).map(Value::from);
    let list = |list: &[String]| (!list.is_empty()).then(|| Value::from(list.to_vec()));
    let methods = list(&raw.bearer_methods_supported).or_else(|| Some(vec!["header"].into()));
    let promised = |is: bool| is.then_some(Value::Bool(true));
    let members = [
        ("resource", text(&raw.resource)),
        ("authorization_servers", list(&raw.auth_servers)),
        ("jwks_uri", text(&raw.jwks_uri)),
        ("scopes_supported", list(&raw.scopes_supported)),
        ("bearer_methods_supported", methods),
        ("resource_signing_alg_values_supported", list(&raw.resource_signing_alg_values_supported)),
        ("resource_name", text(&raw.resource_name)),
        ("resource_documentation", text(&raw.resource_documentation)),
        ("resource_policy_uri", text(&raw.resource_policy_uri)),
        ("resource_tos_uri", text(&raw.resource_tos_uri)),
        (
            "tls_client_certificate_bound_access_tokens",
            promised(raw.tls_client_certificate_bound_access_tokens),
        ),
        ("authorization_details_types_supported", list(&raw.authorization_details_types_supported)),
        ("dpop_signing_alg_values_supported", list(&raw.dpop_signing_alg_values_supported)),
        ("dpop_bound_access_tokens_required", promised(raw.dpop_bound_access_tokens_required)),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
