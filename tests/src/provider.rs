//! A real OpenID provider.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::net::TcpSocket;

use crate::{
    clients::{NODE, node_environment},
    http::{Answer, Request, once},
    paths::{tool, workspace},
    process::Process,
};

/// A running provider; dropping it ends it.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    _process: Process,
}

impl Provider {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at(0)
    }

    /// Starts one on a port that was kept for it.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_on(port: &KeptPort) -> Self {
        Self::start_at(port.number())
    }

    fn start_at(port: u16) -> Self {
        let script = workspace().join("tests/clients/provider.mjs").display().to_string();
        let environment = node_environment();
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
        let arguments = [script, port.to_string()];
        let process = Process::start_with(&tool(NODE), arguments, &environment);
        let line = process.stdout().wait_for("its issuer", |line| line.starts_with("ISSUER "));
        let address = line.rsplit('/').next().and_then(|address| address.parse().ok());
        Self { address: address.expect("an address"), _process: process }
    }

    /// Its name in tokens, and the base of its addresses.
    #[must_use]
    pub fn issuer(&self) -> String {
        issuer(self.address.port())
    }

    /// Where its keys are.
    #[must_use]
    pub fn jwks_uri(&self) -> String {
        format!("{}/jwks", self.issuer())
    }

    /// A token for `resource` by client credentials.
    ///
    /// # Panics
    /// When the provider gives none.
    #[must_use]
    pub fn token(&self, resource: &str, scope: &str) -> String {
        let form = format!("grant_type=client_credentials&scope={scope}&resource={resource}");
        let request = Request::new("POST", "/token")
            // `svc:svc-secret`, as the script has it.
            .header("Authorization", "Basic c3ZjOnN2Yy1zZWNyZXQ=")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = self.ask(request);
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = json["access_token"].as_str();
        token.unwrap_or_else(|| panic!("no token: {}", answer.text())).to_owned()
    }

    /// Signs with a new key from now on, and keeps the old ones in the set or drops them.
    pub fn rotate(&self, keep: bool) {
        self.change(&format!("rotate?keep={}", u8::from(keep)));
    }

    /// Signs with this algorithm from now on, by a new key; the old ones stay in the set.
    pub fn sign_with(&self, algorithm: &str) {
        self.change(&format!("sign?alg={algorithm}"));
    }

    /// Stops to give its keys, or gives them again.
    pub fn hide_keys(&self, hidden: bool) {
        self.change(&format!("jwks?down={}", u8::from(hidden)));
    }

    /// How often its keys were asked for.
    ///
    /// # Panics
    /// When it does not tell.
    #[must_use]
    pub fn fetches(&self) -> u64 {
        self.change("fetches")["fetches"].as_u64().expect("a number")
    }

    fn change(&self, what: &str) -> Value {
        let answer = self.ask(Request::new("GET", &format!("/_test/{what}")));
        serde_json::from_slice(&answer.body).expect("the provider answers in JSON")
    }

    fn ask(&self, request: Request) -> Answer {
        let request = request.with("Host", &self.address.to_string());
        let answer = once(self.address, &request.header("Connection", "close"));
        assert_eq!(answer.head.status, 200, "{}", answer.text());
        answer
    }
}

/// A port that is kept for somebody who is to listen on it later.
///
/// It is bound, so the system gives it to nobody who asks for a free one, and whoever connects to it is refused.
/// Whoever names it may listen on it all the same, as servers do that want their address back after a restart
/// (`SO_REUSEADDR`).
#[derive(Debug)]
pub struct KeptPort {
    address: SocketAddr,
    _bound: TcpSocket,
}

impl KeptPort {
    /// Keeps a free port until this is dropped.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn any() -> Self {
        let bound = TcpSocket::new_v4().expect("a socket");
        bound.set_reuseaddr(true).expect("the option is known");
        bound.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = bound.local_addr().expect("a bound socket has an address");
        Self { address, _bound: bound }
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.address.port()
    }

    /// The name of a provider on this port, whether it runs or not.
    #[must_use]
    pub fn issuer(&self) -> String {
        issuer(self.number())
    }
}

fn issuer(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
