//! What tokens of one issuer must say.

use std::time::Duration;

use jsonwebtoken_jwks::{
    algorithm::Algorithm,
    policy::{ClaimPath, ClaimRule, LEEWAY_MAX, Policy, Required},
};

use super::{Check, filled};
use crate::{
    config::{Issuer, place::At, raw},
    expression::Expression,
};

/// Most entries in any list of an issuer. Real ones have a few.
const LIST_MAX: usize = 64;
/// Longest entry, in bytes: of an address, a claim's value, a scope.
const TEXT_BYTES_MAX: usize = 2048;
/// Most conditions; each is run for every token that is seen for the first time.
const CONDITIONS_MAX: usize = 32;

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_hours(24 * 365);

/// What the whole configuration says to each issuer.
#[derive(Clone, Copy)]
pub(super) struct Tokens<'a> {
    /// Tokens are verified, so what is missing is a fault.
    pub(super) enabled: bool,
    /// A proxy in front checks signatures.
    pub(super) external: bool,
    /// There are several issuers, so that `iss` must tell them apart.
    pub(super) several: bool,
    /// Our public name, which is the audience where nothing else is said.
    pub(super) resource: Option<&'a str>,
}

impl Check<'_> {
    pub(super) fn issuer(&mut self, at: &At, raw: &raw::Issuer, tokens: Tokens<'_>) -> Issuer {
        let required = self.required(&at.key("optional_claims"), &raw.optional_claims);
        let keys = if tokens.external {
            self.no_keys(at, raw);
            None
        } else {
            self.key_source(at, raw, tokens.enabled)
        };
        let policy = Policy {
            issuer: self.issuer_name(at, raw, required, tokens),
            audiences: self.audiences(at, raw, required, tokens),
            algorithms: self.algorithms(&at.key("algorithms"), &raw.algorithms),
            leeway: self.span(&at.key("leeway"), &raw.leeway, Duration::ZERO..=LEEWAY_MAX),
            lifetime_max: self.span(&at.key("lifetime_max"), &raw.lifetime_max, SECOND..=YEAR),
            required,
            claims: self.required_claims(&at.key("required_claims"), raw),
            groups: self.groups(&at.key("groups_claim"), &raw.groups_claim),
        };
        Issuer {
            policy,
            keys,
            scopes_required: self.scopes(&at.key("scopes_required"), &raw.scopes_required),
            allow_conditions: self.conditions(&at.key("allow_conditions"), &raw.allow_conditions),
        }
    }

    fn issuer_name(
        &mut self,
        at: &At,
        raw: &raw::Issuer,
        required: Required,
        tokens: Tokens<'_>,
    ) -> String {
        let at = at.key("issuer");
        let name = filled(raw.issuer.as_deref());
        if name.is_none() && tokens.enabled {
            if tokens.several {
                self.faults.push_unless_known(
                    &at,
                    "is missing, though there are several issuers",
                    "write the exact `iss` of this one's tokens, which tells them apart",
                );
            } else if required.issuer {
                self.faults.push_unless_known(
                    &at,
                    "is missing, so tokens of other issuers could be let in",
                    "write the exact `iss` of its tokens; if they hold none, write `optional_claims: [iss]`",
                );
            }
        }
        self.bounded(&at, name.unwrap_or_default()).to_owned()
    }

    fn audiences(
        &mut self,
        at: &At,
        raw: &raw::Issuer,
        required: Required,
        tokens: Tokens<'_>,
    ) -> Vec<String> {
        let at = at.key("audiences");
        let given = self.texts(&at, &raw.audiences);
        if !raw.audiences.is_empty() {
            return given;
        }
        if tokens.resource.is_none() && tokens.enabled && required.audience {
            self.faults.push_unless_known(
                &at,
                "is missing, so tokens for other services could be let in",
                "write the `aud` of tokens for this server; or enable `oauth_protected_resource`, whose \
                 `resource` is taken then; or write `optional_claims: [aud]`",
            );
        }
        tokens.resource.into_iter().map(str::to_owned).collect()
    }

    fn algorithms(&mut self, at: &At, list: &[String]) -> Vec<Algorithm> {
        let mut algorithms = Vec::new();
        for (place, name) in self.items(at, list) {
            match Algorithm::named(name) {
                Some(algorithm) if algorithms.contains(&algorithm) => {}
                Some(algorithm) => algorithms.push(algorithm),
                None if name.starts_with("HS") => self.faults.push(
                    &place,
                    "a shared secret signs these tokens, so whoever verifies could also make them",
                    "let the issuer sign with RS256, PS256, ES256, ES384 or EdDSA, and write that",
                ),
                None if name.eq_ignore_ascii_case("none") => self.faults.push(
                    &place,
                    "tokens without a signature are never accepted",
                    "remove it",
                ),
                None => {
                    let names = Algorithm::ALL.map(Algorithm::name).join("`, `");
                    self.faults.push(
                        &place,
                        "unknown algorithm",
                        format!("write one of `{names}`"),
                    );
                }
            }
        }
        if list.is_empty() {
            self.faults.push_unless_known(
                at,
                "the list is empty, so no token could be accepted",
                "name algorithms, or remove the key",
            );
        }
        algorithms
    }

    fn required(&mut self, at: &At, optional: &[String]) -> Required {
        let mut required = Required::default();
        for (place, name) in self.items(at, optional) {
            match name {
                "exp" => required.expiry = false,
                "iss" => required.issuer = false,
                "aud" => required.audience = false,
                "sub" => required.subject = false,
                _ => self.faults.push(
                    &place,
                    "no claim that is required",
                    "write one of `exp`, `iss`, `aud`, `sub`, or remove it",
                ),
            }
        }
        required
    }

    fn required_claims(&mut self, at: &At, raw: &raw::Issuer) -> Vec<ClaimRule> {
        if raw.required_claims.len() > LIST_MAX {
            self.faults.push(at, "there are more than 64 claims", "remove some");
        }
        let mut rules = Vec::new();
        for (path, raw::OneOrMore(values)) in &raw.required_claims {
            let place = at.key(path);
            let any_of = self.texts(&place, values);
            if values.is_empty() {
                self.faults.push_unless_known(
                    &place,
                    "the list is empty, so no token could be accepted",
                    "name the values of which a token must hold one",
                );
            }
            if let Some(path) = self.claim_path(&place, path) {
                rules.push(ClaimRule { path, any_of });
            }
        }
        rules
    }

    fn groups(&mut self, at: &At, raw::OneOrMore(paths): &raw::OneOrMore) -> Vec<ClaimPath> {
        let paths = self.texts(at, paths);
        paths.iter().filter_map(|path| self.claim_path(at, path)).collect()
    }

    fn claim_path(&mut self, at: &At, path: &str) -> Option<ClaimPath> {
        match ClaimPath::parse(path) {
            Ok(path) => Some(path),
            Err(error) => {
                self.faults.push(at, error.to_string(), "write it as in `realm_access.roles`");
                None
            }
        }
    }

    /// Scopes, which go into headers of answers. Spec: RFC 6749 §3.3.
    pub(super) fn scopes(&mut self, at: &At, list: &[String]) -> Vec<String> {
        let good = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        for (place, scope) in self.items(at, list) {
            if !scope.bytes().all(good) {
                self.faults.push(
                    &place,
                    "not a scope",
                    "write visible ASCII characters without spaces, quotes and backslashes; each scope \
                     is an item of its own",
                );
            }
        }
        self.texts(at, list)
    }

    fn conditions(&mut self, at: &At, list: &[raw::Condition]) -> Vec<Expression> {
        if list.len() > CONDITIONS_MAX {
            let what = format!("there are more than {CONDITIONS_MAX} conditions");
            self.faults.push(at, what, "join some with `&&`");
        }
        let mut conditions = Vec::with_capacity(list.len());
        for (index, condition) in list.iter().enumerate() {
            let place = at.item(index).key("expression");
            let text = condition.expression.as_deref().unwrap_or_default();
            conditions.extend(self.expression(&place, text));
        }
        conditions
    }

    /// A condition that was tried.
    pub(super) fn expression(&mut self, at: &At, text: &str) -> Option<Expression> {
        match Expression::read(text, &at.to_string()) {
            Ok(expression) => Some(expression),
            Err(error) => {
                self.faults.push_unless_known(at, error.to_string(), error.mend());
                None
            }
        }
    }

    /// The entries of a list, bounded in number and length, each once.
    pub(super) fn texts(&mut self, at: &At, list: &[String]) -> Vec<String> {
        if list.len() > LIST_MAX {
            let what = format!("there are more than {LIST_MAX} entries");
            self.faults.push(at, what, "remove some");
        }
        let mut texts: Vec<String> = Vec::new();
        for (place, text) in self.items(at, list) {
            let text = self.bounded(&place, text);
            if !texts.iter().any(|other| other == text) {
                texts.push(text.to_owned());
            }
        }
        texts
    }

    fn bounded<'t>(&mut self, at: &At, text: &'t str) -> &'t str {
        if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
            self.faults.push(
                at,
                "is longer than 2048 bytes or holds a control character",
                "write it as it stands in tokens",
            );
        }
        text
    }
}
