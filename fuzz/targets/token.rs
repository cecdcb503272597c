//! What stands behind `Authorization: Bearer`: any text, or (after a `c`) a header and, on the next line, a
//! payload, which are encoded first so that more of them reaches the checks of claims.
//!
//! Nothing may panic. Nobody can sign, so no token may pass where signatures are checked; and where they are not,
//! what passes must say what the policy wants, as read by another parser.

#![no_main]

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken_jwks::{
    algorithm::Algorithm,
    jwks::Jwks,
    key::KeySet,
    policy::{ClaimPath, ClaimRule, Policy, Required, TOKEN_BYTES_MAX},
    verifier::{Issuer, Verifier},
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

const ISSUER: &str = "https://i.example";
const AUDIENCE: &str = "https://a.example/mcp";
const NOW: u64 = 1_000_000_000;
const LEEWAY: u64 = 30;

/// The keys of RFC 7517 and RFC 8037.
const KEYS: &str = r#"{"keys":[
{"kty":"EC","kid":"ec","alg":"ES256","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
{"kty":"OKP","kid":"ed","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

struct World {
    runtime: Runtime,
    /// Checks signatures.
    local: Verifier<()>,
    /// Leaves that to somebody else.
    external: Verifier<()>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let keys = KeySet::parse(KEYS.as_bytes()).expect("the keys are well formed");
    assert_eq!(keys.keys().len(), 2);
    let verifier = |keys| Verifier::new(vec![Issuer { policy: policy(), keys }], 100, |_, _| ());
    World {
        runtime: Builder::new_current_thread().build().expect("a runtime"),
        local: verifier(Some(Jwks::fixed(keys))),
        external: verifier(None),
    }
});

fn policy() -> Policy {
    Policy {
        issuer: ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        algorithms: Algorithm::ALL.to_vec(),
        leeway: Duration::from_secs(LEEWAY),
        lifetime_max: Duration::from_secs(3600),
        required: Required::default(),
        claims: vec![ClaimRule {
            path: ClaimPath::parse("use").expect("a path"),
            any_of: vec!["access".to_owned()],
        }],
        groups: vec![ClaimPath::parse("realm_access.roles").expect("a path")],
    }
}

fuzz_target!(|data: &[u8]| {
    let token = match data.strip_prefix(b"c") {
        Some(parts) => {
            let at = parts.iter().position(|byte| *byte == b'\n').unwrap_or(parts.len());
            let (header, claims) = parts.split_at(at);
            let claims = claims.strip_prefix(b"\n").unwrap_or(claims);
            let encode = |bytes| URL_SAFE_NO_PAD.encode(bytes);
            format!("{}.{}.{}", encode(header), encode(claims), encode([0; 64].as_slice()))
        }
        None => String::from_utf8_lossy(data).into_owned(),
    };
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    let World { runtime, local, external } = &*WORLD;

    let forged = runtime.block_on(local.verify(&token, now));
    let told = local.explain(&token, now);
    assert!(forged.is_err(), "nobody can sign");
    assert!(told.refused.is_some(), "explained as if it were good");

    let outcome = runtime.block_on(external.verify(&token, now));
    let told = external.explain(&token, now);
    assert_eq!(outcome.as_ref().err(), told.refused.as_ref(), "explained otherwise than decided");
    if outcome.is_ok() {
        sound(&token, now);
    }
});

/// What every good token says, read by another parser.
fn sound(token: &str, now: SystemTime) {
    assert!(token.len() <= TOKEN_BYTES_MAX);
    let payload = token.split('.').nth(1).expect("a token has parts");
    let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    let claims: Value = serde_json::from_slice(&payload).expect("JSON");
    assert_eq!(claims["iss"], ISSUER);
    assert!(claims["sub"].is_string());
    let audience = &claims["aud"];
    let ours = |name: &Value| name == AUDIENCE;
    assert!(ours(audience) || audience.as_array().is_some_and(|names| names.iter().any(ours)));
    let uses = &claims["use"];
    let access = |word: &Value| word == "access";
    assert!(access(uses) || uses.as_array().is_some_and(|words| words.iter().any(access)));
    let now = now.duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let leeway = Duration::from_secs(LEEWAY + 1).as_secs_f64();
    assert!(claims["exp"].as_f64().expect("a number") > now - leeway);
    for claim in ["nbf", "iat"] {
        if let Some(time) = claims.get(claim) {
            assert!(time.as_f64().expect("a number") < now + leeway);
        }
    }
}
