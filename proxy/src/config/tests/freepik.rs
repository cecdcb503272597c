//! Files of prometheus-mcp.

use super::*;

/// Equal in content to the HTTP example without authentication of prometheus-mcp's documentation.
pub(super) const FREEPIK_HTTP: &str = r#"
server:
  name: "Prometheus MCP"
  version: "0.1.0"
  transport:
    type: "http"
    http:
      host: ":8080"
middleware:
  access_logs:
    excluded_headers: ["X-Excluded"]
    redacted_headers: ["Authorization", "X-Validated-Jwt"]
  jwt:
    enabled: false
    validation:
      strategy: "local"
      forwarded_header: "X-Validated-Jwt"
      local:
        jwks_uri: &JwksUri "https://keycloak.example.com/realms/mcp/protocol/openid-connect/certs"
        cache_interval: "10s"
        allow_conditions:
          - expression: 'payload.groups.exists(g, g == "sre")'
oauth_authorization_server:
  enabled: false
  issuer_uri: "https://keycloak.example.com/realms/mcp"
oauth_protected_resource:
  enabled: false
  resource: "https://mcp.example.com/mcp"
  auth_servers: ["https://keycloak.example.com/realms/mcp"]
  jwks_uri: *JwksUri
  scopes_supported: [openid, groups]
  bearer_methods_supported: [header]
  resource_signing_alg_values_supported: [RS256]
  resource_name: "Prometheus MCP"
  resource_documentation: ""
  resource_policy_uri: ""
  resource_tos_uri: ""
  tls_client_certificate_bound_access_tokens: false
  authorization_details_types_supported: []
  dpop_signing_alg_values_supported: []
  dpop_bound_access_tokens_required: false
  url_suffix: "/mcp"
backends:
  prometheus:
    url: "$PROMETHEUS_URL"
    org_id: ""
    auth: { type: "basic", username: "${USER_NAME}", password: "${PASSWORD}" }
  mimir:
    url: "https://mimir.example.com/prometheus"
    org_id: "tenant-1"
    available_orgs: ["tenant-1", "tenant-2"]
    auth: { type: "token", token: "${TOKEN}" }
  pmm:
    url: "https://pmm.example.com/prometheus"
    auth: { type: "" }
"#;

fn freepik_env() -> Variables {
    Variables::from([
        ("PROMETHEUS_URL", "http://prometheus:9090"),
        ("USER_NAME", "u"),
        ("PASSWORD", "p$1"),
        ("TOKEN", "t"),
    ])
}

/// The example with some of its texts replaced by others, each once.
fn freepik_with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(FREEPIK_HTTP.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

#[test]
fn a_file_of_prometheus_mcp_over_http_loads_once_it_says_that_it_is_insecure() {
    let faults = parse(Path::new("c.yaml"), FREEPIK_HTTP, &freepik_env()).expect_err("refused");
    assert_eq!(
        faults.to_string(),
        "c.yaml:14: middleware.jwt.enabled: everybody who reaches the listener would be served, and it is \
         not on loopback; write `enabled: true` and whose tokens are good, or listen on `127.0.0.1`; if \
         something else keeps strangers away, write `insecure: true` beside it"
    );
    let text = freepik_with(&[("enabled: false", "enabled: false\n    insecure: true")]);
    let config = parsed_with(&text, &freepik_env());
    assert_eq!(config.server.transport, Transport::Http);
    assert_eq!(config.authentication, Authentication::None);
    assert_eq!(config.protected_resource, None);
    assert_eq!(config.authorization_server, None);
    assert_eq!(config.backends.len(), 3);
    assert!(matches!(config.backends[1].auth, BackendAuth::None));
    assert!(config.backends[2].org_id.is_none());
}

#[test]
fn a_file_of_prometheus_mcp_over_stdio_loads() {
    let config = parsed(
        "server:\n  name: \"Prometheus MCP\"\n  version: \"0.1.0\"\n  transport:\n    type: stdio\n\
         backends:\n  prometheus:\n    url: \"http://localhost:9090\"\n    auth:\n      \
         username: \"\"\n      password: \"\"\n",
    );
    assert_eq!(config.server.transport, Transport::Stdio);
    assert_eq!(config.authentication, Authentication::None);
}

#[test]
fn a_file_of_prometheus_mcp_that_asks_for_tokens_loads_once_it_says_whose_and_for_whom() {
    let on = ("enabled: false", "enabled: true");
    let faults = parse(Path::new("c.yaml"), &freepik_with(&[on]), &freepik_env());
    assert_eq!(
        faults.expect_err("refused").to_string(),
        "c.yaml:18: middleware.jwt.validation.local.issuer: is missing, so tokens of other issuers could be \
         let in; write the exact `iss` of its tokens; if they hold none, write `optional_claims: [iss]`\n\
         c.yaml:18: middleware.jwt.validation.local.audiences: is missing, so tokens for other services \
         could be let in; write the `aud` of tokens for this server; or enable \
         `oauth_protected_resource`, whose `resource` is taken then; or write `optional_claims: [aud]`"
    );
    let issuer = "      local:\n        issuer: https://keycloak.example.com/realms/mcp\n";
    let text = freepik_with(&[on, ("      local:\n", issuer), on, on]);
    let config = parsed_with(&text, &freepik_env());
    let Authentication::Local(verification) = config.authentication else { panic!("local") };
    let [issuer] = verification.issuers.as_slice() else { panic!("one issuer") };
    assert_eq!(issuer.policy.issuer, "https://keycloak.example.com/realms/mcp");
    assert_eq!(issuer.policy.audiences, ["https://mcp.example.com/mcp"]);
    assert_eq!(issuer.allow_conditions.len(), 1);
    let resource = config.protected_resource.expect("a document");
    let members: Vec<&str> = resource.document.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        members,
        [
            "resource",
            "authorization_servers",
            "jwks_uri",
            "scopes_supported",
            "bearer_methods_supported",
            "resource_signing_alg_values_supported",
            "resource_name"
        ]
    );
    assert_eq!(resource.url_suffix, "/mcp");
    let mirrored = config.authorization_server.expect("metadata");
    assert_eq!(mirrored.issuer, "https://keycloak.example.com/realms/mcp");
}

#[test]
fn a_file_of_prometheus_mcp_behind_a_proxy_that_checks_tokens_is_told_what_is_open() {
    let on = ("enabled: false", "enabled: true");
    let external = ("strategy: \"local\"", "strategy: \"external\"");
    let faults = parse(Path::new("c.yaml"), &freepik_with(&[on, external, on, on]), &freepik_env());
    assert_eq!(
        faults.expect_err("refused").to_string(),
        "c.yaml:7: server.transport.http.trusted_proxies: is empty, though `strategy` is `external`; name \
         the addresses or networks of the proxies whose tokens are believed\n\
         c.yaml:18: middleware.jwt.validation.local.issuer: is missing, so tokens of other issuers could be \
         let in; write the exact `iss` of its tokens; if they hold none, write `optional_claims: [iss]`\n\
         c.yaml:19: middleware.jwt.validation.local.jwks_uri: no signature is checked here, since `strategy` \
         is `external`; remove this key, or write `strategy: local`; if an alias (`*name`) elsewhere takes \
         its value, write the value there"
    );
    let mended = [
        on,
        external,
        ("host: \":8080\"", "host: \":8080\"\n      trusted_proxies: [10.0.0.0/8]"),
        ("jwks_uri: &JwksUri \"https:", "issuer: i #"),
        ("jwks_uri: *JwksUri", "jwks_uri: https://keycloak.example.com/certs"),
        on,
        on,
    ];
    let config = parsed_with(&freepik_with(&mended), &freepik_env());
    assert!(matches!(config.authentication, Authentication::External { .. }));
    // Taken out, the alias has nothing to stand for.
    let faults = parse(Path::new("c.yaml"), &freepik_with(&mended[..4]), &freepik_env());
    assert_eq!(
        faults.expect_err("refused").to_string(),
        "c.yaml:31: an alias (`*name`) stands here, but no anchor (`&name`) before it; define it with \
         `&name` before its first use, or write the value"
    );
}

#[test]
fn what_a_proxy_in_front_keeps_the_document_may_promise_in_freepiks_order() {
    let text = r#"
server: { transport: { http: { trusted_proxies: [10.0.0.1] } } }
middleware:
  jwt:
    enabled: true
    validation:
      strategy: external
      forwarded_header: X-Validated-Jwt
      local: { issuer: "https://id.example.com" }
oauth_protected_resource:
  enabled: true
  resource: "https://mcp.example.com/mcp"
  auth_servers: ["https://id.example.com"]
  resource_tos_uri: "https://tos.example.com"
  tls_client_certificate_bound_access_tokens: true
  authorization_details_types_supported: [a]
  dpop_signing_alg_values_supported: [ES256]
  dpop_bound_access_tokens_required: true
backends: { p: { url: "http://p:9090" } }
"#;
    let document = parsed_with(text, &Variables::default()).protected_resource.unwrap().document;
    let names: Vec<&str> = document.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "resource",
            "authorization_servers",
            "bearer_methods_supported",
            "resource_tos_uri",
            "tls_client_certificate_bound_access_tokens",
            "authorization_details_types_supported",
            "dpop_signing_alg_values_supported",
            "dpop_bound_access_tokens_required",
        ]
    );
    assert_eq!(document.last().unwrap().1, true);
}
