//! The metrics backends.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_core::{
    config::{BackendAuth, BackendConfig, BackendName, OrgId, RESERVED_BACKEND_HEADERS},
    secret::Secret,
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use url::Url;

use super::{Check, filled, secret::Pair};
use crate::config::{place::At, raw};

/// Most backends: each has its own connections, and its name goes into every tool's description.
const BACKENDS_MAX: usize = 64;

/// Most further headers of a backend, or of a receiver of OpenTelemetry data.
const HEADERS_MAX: usize = 32;

/// Largest file of certificate authorities, in bytes; the public ones of Mozilla take 220 KB.
pub(super) const CA_FILE_BYTES_MAX: u64 = 1 << 20;

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);

impl Check<'_> {
    pub(super) fn backends(&mut self, raw: BTreeMap<String, raw::Backend>) -> Vec<BackendConfig> {
        let at = At::from(["backends"]);
        // A section in the wrong place was named already.
        let misplaced = ["prometheus", "pmm", "backend"];
        if raw.is_empty() && !misplaced.iter().any(|key| self.faults.knows(&At::from([*key]))) {
            self.faults.push_unless_known(
                &at,
                "there is no backend",
                "name at least one, as in `backends: { prometheus: { url: \"http://127.0.0.1:9090\" } }`",
            );
        }
        if raw.len() > BACKENDS_MAX {
            let what = format!("there are more than {BACKENDS_MAX} backends");
            self.faults.push(&at, what, "remove some, or run a second Promgate");
        }
        raw.into_iter().filter_map(|(name, raw)| self.backend(&at, &name, raw)).collect()
    }

    fn backend(&mut self, at: &At, name: &str, raw: raw::Backend) -> Option<BackendConfig> {
        let at = at.key(name);
        let parsed = BackendName::parse(name);
        if let Err(error) = &parsed {
            self.faults.push(&at, error.to_string(), "rename it");
        }
        let url = self.backend_url(&at.key("url"), raw.url.as_deref());
        let org_id =
            filled(raw.org_id.as_deref()).and_then(|id| self.org_id(&at.key("org_id"), id));
        let available_orgs = self.orgs(&at.key("available_orgs"), &raw.available_orgs);
        let auth = self.auth(&at.key("auth"), raw.auth);
        let headers =
            self.further_headers(&at, raw.headers, &raw.header_files, &RESERVED_BACKEND_HEADERS);
        let ca_pem = self.ca_pem(&at.key("tls").key("ca_file"), raw.tls.ca_file.as_deref());
        let timeout = self.span(&at.key("timeout"), &raw.timeout, MILLISECOND..=HOUR);
        let connect_timeout =
            self.span(&at.key("connect_timeout"), &raw.connect_timeout, MILLISECOND..=HOUR);
        let response_bytes_max =
            self.size(&at.key("response_bytes_max"), &raw.response_bytes_max, 1 << 10..=4 << 30);
        Some(BackendConfig {
            name: parsed.ok()?,
            url: url?,
            org_id,
            available_orgs,
            auth,
            headers,
            ca_pem,
            timeout,
            connect_timeout,
            response_bytes_max,
        })
    }

    fn backend_url(&mut self, at: &At, text: Option<&str>) -> Option<Url> {
        const EXAMPLE: &str = "write the backend's base address, such as `http://prometheus:9090`";
        let Some(text) = text else {
            self.faults.push_unless_known(at, "is missing", EXAMPLE);
            return None;
        };
        if text.is_empty() {
            self.faults.push(at, "is empty", EXAMPLE);
            return None;
        }
        let url = self.web_address(at, text)?;
        if url.query().is_some() || url.fragment().is_some() {
            self.faults.push(
                at,
                "the address holds a query or fragment",
                "remove what follows `?` or `#`; further keys of a request go to `headers`",
            );
        } else if url.path().trim_end_matches('/').ends_with("/api/v1") {
            self.faults.push(
                at,
                "the address ends with `/api/v1`",
                "remove that end; it is appended to every request",
            );
        }
        Some(url)
    }

    fn org_id(&mut self, at: &At, text: &str) -> Option<OrgId> {
        match OrgId::parse(text) {
            Ok(id) => Some(id),
            Err(error) => {
                self.faults.push(at, error.to_string(), "write one tenant's id");
                None
            }
        }
    }

    fn orgs(&mut self, at: &At, list: &[String]) -> Vec<OrgId> {
        let mut orgs = Vec::new();
        for (place, text) in self.items(at, list) {
            if let Some(id) = self.org_id(&place, text)
                && !orgs.contains(&id)
            {
                orgs.push(id);
            }
        }
        orgs
    }

    fn auth(&mut self, at: &At, raw: raw::Auth) -> BackendAuth {
        let raw::Auth { kind, username, password, password_file, token, token_file } = raw;
        let password = Pair::new("password", password, password_file.as_deref());
        let token = Pair::new("token", token, token_file.as_deref());
        let has_basic = filled(username.as_deref()).is_some() || password.is_given();
        let has_token = token.is_given();
        match kind {
            raw::AuthKind::None => {
                if has_basic || has_token {
                    let kind = if has_token { "token" } else { "basic" };
                    self.faults.push_unless_known(
                        &at.key("type"),
                        "credentials are given, but no type that uses them",
                        format!("write `type: {kind}`, or remove the credentials"),
                    );
                }
                BackendAuth::None
            }
            raw::AuthKind::Basic => {
                if has_token {
                    self.unused(at, "a token is given, but the type is `basic`", "token");
                }
                self.basic(at, username.as_deref(), password)
            }
            raw::AuthKind::Token => {
                if has_basic {
                    self.unused(
                        at,
                        "a user name or password is given, but the type is `token`",
                        "basic",
                    );
                }
                self.token(at, token)
            }
        }
    }

    fn unused(&mut self, at: &At, what: &str, other: &str) {
        let mend = format!("remove it, or write `type: {other}`");
        self.faults.push(&at.key("type"), what, mend);
    }

    fn basic(&mut self, at: &At, username: Option<&str>, password: Pair<'_>) -> BackendAuth {
        let username = match filled(username) {
            None => {
                self.faults.push_unless_known(
                    &at.key("username"),
                    "is missing or empty, though the type is `basic`",
                    "write the user name",
                );
                ""
            }
            Some(name) => name,
        };
        if username.contains(':') || username.chars().any(char::is_control) {
            self.faults.push(
                &at.key("username"),
                "holds a colon or control character, which basic authentication cannot carry",
                "write another user name",
            );
        }
        let Some(password) = self.needed(at, password, "basic") else { return BackendAuth::None };
        BackendAuth::Basic { username: username.to_owned(), password }
    }

    fn token(&mut self, at: &At, token: Pair<'_>) -> BackendAuth {
        let Some(token) = self.needed(at, token, "token") else { return BackendAuth::None };
        if !token.expose().bytes().all(|b| b.is_ascii_graphic()) {
            self.faults.push(
                &at.key("token"),
                "holds a space or another character that a token cannot have",
                "give the token alone, without `Bearer` and line ends",
            );
        }
        BackendAuth::Token(token)
    }

    fn needed(&mut self, at: &At, pair: Pair<'_>, kind: &str) -> Option<Secret> {
        let (key, given) = (pair.key, pair.is_given());
        let secret = self.secret(at, pair);
        if !given && !self.faults.knows(&at.key(&format!("{key}_file"))) {
            self.faults.push_unless_known(
                &at.key(key),
                format!("is missing or empty, though the type is `{kind}`"),
                format!("write `{key}: ${{VARIABLE}}`, or name a file with `{key}_file`"),
            );
        }
        secret
    }

    /// Further headers, written out or named by files, but none of those that are `reserved`.
    pub(super) fn further_headers(
        &mut self,
        at: &At,
        values: BTreeMap<String, raw::SecretText>,
        files: &BTreeMap<String, String>,
        reserved: &[HeaderName],
    ) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if values.len() + files.len() > HEADERS_MAX {
            let what = format!("there are more than {HEADERS_MAX} headers");
            self.faults.push(&at.key("headers"), what, "remove some");
        }
        for (name, raw::SecretText(value)) in values {
            let place = at.key("headers").key(&name);
            self.secret_header((&place, &name), Some(value), reserved, &mut headers);
        }
        for (name, file) in files {
            let place = at.key("header_files").key(name);
            let value = self.secret_file(&place, file);
            self.secret_header((&place, name), value, reserved, &mut headers);
        }
        headers
    }

    /// Adds a header whose value is a secret and whose name is none that Promgate sets.
    fn secret_header(
        &mut self,
        (at, name): (&At, &str),
        value: Option<Secret>,
        reserved: &[HeaderName],
        headers: &mut HeaderMap,
    ) {
        let Some(name) = self.header_name(at, name) else { return };
        if reserved.contains(&name) {
            let mend = match name.as_str() {
                "authorization" => "use the backend's `auth` section",
                "x-scope-orgid" => "use the backend's `org_id`",
                _ => "remove it",
            };
            self.faults.push(at, "Promgate sets this header itself", mend);
            return;
        }
        let Some(value) = value else { return };
        if value.expose().is_empty() {
            self.faults.push(at, "is empty", "give the value, or remove the key");
            return;
        }
        let Ok(mut value) = HeaderValue::from_str(value.expose()) else {
            self.faults.push(
                at,
                "the value holds a character that a header cannot have",
                "write one line of visible ASCII characters",
            );
            return;
        };
        value.set_sensitive(true);
        if headers.insert(name, value).is_some() {
            self.faults.push(at, "this header is given twice", "keep one of them");
        }
    }

    pub(super) fn ca_pem(&mut self, at: &At, file: Option<&str>) -> Option<Arc<[u8]>> {
        let bytes = self.file(at, filled(file)?, CA_FILE_BYTES_MAX)?;
        let mut roots = RootCertStore::empty();
        let good = CertificateDer::pem_slice_iter(&bytes)
            .all(|certificate| certificate.is_ok_and(|der| roots.add(der).is_ok()));
        if !good || roots.is_empty() {
            self.faults.push(
                at,
                "the file does not hold certificates in PEM form",
                "name a file with one or more `BEGIN CERTIFICATE` blocks of certificate authorities",
            );
            return None;
        }
        Some(bytes.into())
    }
}
