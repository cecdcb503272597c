use std::{net::SocketAddr, path::Path, sync::Arc};

use jsonwebtoken_jwks::{
    policy::{Policy, Required},
    source::{Source, Terms},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::config::{self, Authentication, KeySource, ProcessEnvironment, Verification};

/// Two keys that are used and two that are not, one of them named to play with a terminal.
const KEYS: &str = r#"{"keys":[
    {"kty":"EC","crv":"P-256","kid":"a","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
    {"kty":"EC","crv":"P-256","kid":"b","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    {"kty":"oct","kid":"c\u001b[31m\u202ed","k":"Y2FuYXJ5"},
    {"kty":"oct","k":"Y2FuYXJ5"}
]}"#;
const VERSION: &str = r#"{"status":"success","data":{"version":"2.42.0"}}"#;

/// A server that answers each path with what is given, and others with 404.
async fn serve(answers: impl Fn(SocketAddr) -> Vec<(&'static str, String)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers: Arc<[(&'static str, String)]> = answers(address).into();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answers = Arc::clone(&answers);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                let request = String::from_utf8(request).unwrap();
                let path = request.split(' ').nth(1).unwrap();
                let found = answers.iter().find(|(other, _)| *other == path);
                let (status, body) =
                    found.map_or(("404 Not Found", ""), |(_, body)| ("200 OK", body.as_str()));
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\
                     Content-Length: {length}\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    address
}

fn config_of(backends: &str) -> Config {
    let yaml = format!("middleware:\n  jwt:\n    enabled: false\nbackends:\n{backends}");
    config::parse(Path::new("c.yaml"), &yaml, &ProcessEnvironment).unwrap()
}

fn issuer_with(source: Option<Source>, name: &str) -> Issuer {
    let policy = Policy {
        issuer: name.to_owned(),
        audiences: vec!["https://mcp.example/mcp".to_owned()],
        algorithms: Vec::new(),
        leeway: Duration::from_secs(30),
        lifetime_max: Duration::from_hours(24),
        required: Required::default(),
        claims: Vec::new(),
        groups: Vec::new(),
    };
    Issuer {
        policy,
        keys: source.map(|source| KeySource { source, terms: Terms::default() }),
        scopes_required: Vec::new(),
        allow_conditions: Vec::new(),
    }
}

fn local(issuers: Vec<Issuer>) -> Authentication {
    Authentication::Local(Verification { issuers, cache_entries_max: 10 })
}

/// The lines of a report, times and the width of columns left out.
fn lines(report: &Report) -> Vec<String> {
    let lines = report.to_string();
    let lines = lines.lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "ms");
        let mut words = words;
        if let Some(at) = at {
            words.drain(at - 1..=at);
        }
        words.join(" ")
    });
    lines.filter(|line| !line.is_empty()).collect()
}

#[tokio::test]
async fn what_is_there_is_shown_with_its_keys_and_versions() {
    let provider = serve(|address| {
        let metadata =
            format!(r#"{{"issuer":"http://{address}","jwks_uri":"http://{address}/jwks"}}"#);
        vec![("/jwks", KEYS.to_owned()), ("/.well-known/openid-configuration", metadata)]
    })
    .await;
    let backend = serve(|_| vec![("/prom/api/v1/status/buildinfo", VERSION.to_owned())]).await;
    let issuer = format!("http://{provider}");
    let mut config = config_of(&format!("  eu: {{url: 'http://{backend}/prom'}}\n"));
    config.authentication = local(vec![
        issuer_with(Some(Source::Discovery { issuer: issuer.clone() }), &issuer),
        issuer_with(Some(Source::Uri(format!("{issuer}/jwks").parse().unwrap())), "https://b"),
        issuer_with(Some(Source::Inline(KEYS.into())), "https://c"),
        issuer_with(None, "https://d"),
    ]);
    config.authorization_server = Some(AuthorizationServer {
        issuer: issuer.clone(),
        url_suffix: String::new(),
        terms: Terms::default(),
    });
    let report = report(&config).await;
    let found = "yes 2 P-256 c\\u{1b}[31m\\u{202e}d (symmetric), without kid (symmetric)";
    assert_eq!(
        lines(&report),
        [
            "issuer reachable after keys rejected",
            &format!("{issuer} {found}"),
            &format!("https://b {found}"),
            &format!("https://c {found}"),
            "https://d not asked",
            "signatures are checked by the proxy in front",
            "authorization server reachable after",
            &format!("{issuer} yes"),
            "backend reachable after version",
            "eu yes 2.42.0",
        ]
    );
    assert!(report.verdict().is_ok());
}

#[tokio::test]
async fn what_is_not_there_is_shown_with_its_reason_and_counted() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nothing = serve(|_| vec![("/jwks", r#"{"keys":[]}"#.to_owned())]).await;
    let mut config = config_of(&format!(
        "  down: {{url: 'http://{closed}'}}\n  page: {{url: 'http://{nothing}', auth: {{type: \
         token, token: canary-secret}}}}\n"
    ));
    let at = |address: &str| Some(Source::Uri(address.parse().unwrap()));
    config.authentication = local(vec![
        issuer_with(at(&format!("http://{closed}/jwks")), "https://down"),
        issuer_with(at(&format!("http://{nothing}/jwks")), "https://empty"),
        issuer_with(at(&format!("http://{nothing}/other")), "https://wrong"),
        issuer_with(at("https://169.254.169.254/jwks"), "https://cloud"),
        issuer_with(Some(Source::File("/nowhere/jwks.json".into())), "https://file"),
    ]);
    config.authorization_server = Some(AuthorizationServer {
        issuer: format!("http://{nothing}"),
        url_suffix: String::new(),
        terms: Terms::default(),
    });
    let report = report(&config).await;
    let text = report.to_string();
    for words in [
        "https://down   no\n  because: the keys did not come: cannot fetch http",
        "no connection",
        "/jwks has no key that can be used; it is empty",
        "status 404",
        "a link-local address",
        "the key file `/nowhere/jwks.json` cannot be read",
        "oauth-authorization-server",
        "down     no\n  because: no connection to the backend",
        "check `url`, and that the backend runs",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert!(!text.contains("canary"), "{text}");
    let verdict = report.verdict().unwrap_err();
    assert_eq!(verdict.to_string(), "8 of 8 cannot be used; the table says which and why");
}

#[test]
fn a_configuration_that_trusts_a_proxy_and_asks_for_no_keys_is_fine() {
    let mut config = config_of("  a: {url: 'http://127.0.0.1:9'}\n");
    config.backends.clear();
    config.authentication = local(vec![issuer_with(None, "https://d")]);
    let report = ask(&config).unwrap();
    assert!(report.verdict().is_ok());
    assert!(!report.to_string().contains("backend"), "{report}");
}
