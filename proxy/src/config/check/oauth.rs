//! Token verification and OAuth metadata: accepted when switched off, refused when on.
//!
//! This version verifies no tokens. A file that asks for it must not load: it would leave open
//! what its writer believes closed.

use super::{Check, filled, host};
use crate::config::{place::At, raw, units};

impl Check<'_> {
    pub(super) fn jwt(&mut self, raw: &raw::Jwt) {
        let at = At::from(["middleware", "jwt"]);
        if raw.enabled {
            self.faults.push(
                &at.key("enabled"),
                "this version does not verify tokens, so it would serve everyone",
                "let a proxy in front verify them, keep Promgate reachable from that proxy only, \
                 and write `enabled: false`",
            );
        }
        let at = at.key("validation");
        if let Some(name) = filled(raw.validation.forwarded_header.as_deref()) {
            self.header_name(&at.key("forwarded_header"), name);
        }
        self.jwt_local(&at, &raw.validation);
    }

    fn jwt_local(&mut self, at: &At, validation: &raw::JwtValidation) {
        let raw::JwtLocal { jwks_uri, cache_interval, allow_conditions } = &validation.local;
        let local = at.key("local");
        if let Some(address) = filled(jwks_uri.as_deref()) {
            self.web_address(&local.key("jwks_uri"), address);
        } else if is_local(validation) {
            self.faults.push_unless_known(
                &local.key("jwks_uri"),
                "is missing, though `strategy` is `local`",
                "write the address of the signing keys",
            );
        }
        if let Some(raw::Span(text)) = cache_interval.as_ref() {
            let good = units::span(text).is_some_and(|span| !span.is_zero());
            if !good {
                self.faults.push(
                    &local.key("cache_interval"),
                    "not a duration over zero",
                    "write how long keys may be used, such as `5m`",
                );
            }
        }
        for (index, condition) in allow_conditions.iter().enumerate() {
            if filled(condition.expression.as_deref()).is_none() {
                let place = local.key("allow_conditions").item(index);
                self.faults.push_unless_known(
                    &place.key("expression"),
                    "this condition has no expression",
                    "write one, or remove the item",
                );
            }
        }
    }

    pub(super) fn authorization_server(&mut self, raw: &raw::AuthorizationServer) {
        let at = At::from(["oauth_authorization_server"]);
        self.metadata(&at, raw.enabled, raw.url_suffix.as_deref());
        if let Some(address) = filled(raw.issuer_uri.as_deref()) {
            self.web_address(&at.key("issuer_uri"), address);
        }
    }

    /// Gives the host of `resource`, if there is one.
    pub(super) fn protected_resource(&mut self, raw: &raw::ProtectedResource) -> Option<String> {
        let at = At::from(["oauth_protected_resource"]);
        self.metadata(&at, raw.enabled, raw.url_suffix.as_deref());
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
            ("scopes_supported", &raw.scopes_supported),
            ("bearer_methods_supported", &raw.bearer_methods_supported),
            ("resource_signing_alg_values_supported", &raw.resource_signing_alg_values_supported),
            ("authorization_details_types_supported", &raw.authorization_details_types_supported),
            ("dpop_signing_alg_values_supported", &raw.dpop_signing_alg_values_supported),
        ];
        for (key, list) in texts {
            self.items(&at.key(key), list);
        }
        let resource = self.web_address(&at.key("resource"), filled(raw.resource.as_deref())?)?;
        host::authority(resource.host_str()?).map(|(host, _)| host)
    }

    fn metadata(&mut self, at: &At, enabled: bool, suffix: Option<&str>) {
        if enabled {
            self.faults.push(
                &at.key("enabled"),
                "this version does not serve OAuth metadata, so clients could not find out where \
                 to log in",
                "let the proxy in front serve it, and write `enabled: false`",
            );
        }
        if filled(suffix).is_some_and(|suffix| !suffix.starts_with('/')) {
            self.faults.push(
                &at.key("url_suffix"),
                "does not begin with a slash",
                "write it as `/mcp`",
            );
        }
    }
}

fn is_local(validation: &raw::JwtValidation) -> bool {
    matches!(validation.strategy, Some(raw::Strategy::Local))
}
