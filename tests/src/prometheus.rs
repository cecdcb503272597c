//! A real Prometheus that scrapes itself and a node exporter.

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    http,
    paths::{temporary_folder, tool},
    process::{PATIENCE, Process},
    tls::Leaf,
};

/// A running Prometheus with what it scrapes.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    scheme: &'static str,
    _server: Process,
    _exporter: Option<Process>,
    _data: TempDir,
}

/// The Prometheus that all tests of this binary share.
static SHARED: LazyLock<Prometheus> = LazyLock::new(Prometheus::start);

impl Prometheus {
    /// The one that all tests of this binary share.
    #[must_use]
    pub fn shared() -> &'static Self {
        &SHARED
    }

    /// Its base address as a backend's `url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Starts one and waits until it has scraped both targets twice, so that rates have values.
    fn start() -> Self {
        let data = temporary_folder();
        let (own, exporter) = (free_address(), free_address());
        let node = Process::start(
            &tool("node-exporter/usr/bin/prometheus-node-exporter"),
            [format!("--web.listen-address={exporter}")],
        );
        let config = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\n\
             scrape_configs:\n\
             - job_name: prometheus\n  static_configs: [{{ targets: ['{own}'] }}]\n\
             - job_name: node\n  static_configs: [{{ targets: ['{exporter}'] }}]\n"
        );
        let server = launch(&data, own, &config, ["--log.level=warn".to_owned()]);
        let prometheus = Self {
            address: own,
            scheme: "http",
            _server: server,
            _exporter: Some(node),
            _data: data,
        };
        prometheus.wait_for_samples();
        prometheus
    }

    /// Starts one that scrapes nothing and speaks TLS with this certificate.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn over_tls(leaf: &Leaf) -> Self {
        let (data, address) = (temporary_folder(), free_address());
        let (certificate, key) = (leaf.certificate.display(), leaf.key.display());
        let web = data.path().join("web.yml");
        let tls = format!("tls_server_config: {{ cert_file: {certificate}, key_file: {key} }}\n");
        std::fs::write(&web, tls).expect("the temporary folder is writable");
        let arguments = [format!("--web.config.file={}", web.display())];
        let server = launch(&data, address, "scrape_configs: []\n", arguments);
        let ready = |line: &str| line.contains("ready to receive web requests");
        server.stderr().wait_for("that Prometheus is ready", ready);
        Self { address, scheme: "https", _server: server, _exporter: None, _data: data }
    }

    /// Starts one that scrapes these addresses each second as one job, and itself, and follows the rules in these files.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn watching(job: &str, targets: &[SocketAddr], rules: &[PathBuf]) -> Self {
        let (data, address) = (temporary_folder(), free_address());
        let targets: Vec<String> = targets.iter().map(SocketAddr::to_string).collect();
        let config = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
            "rule_files": rules,
            "scrape_configs": [
                { "job_name": job, "static_configs": [{ "targets": targets }] },
                { "job_name": "prometheus", "static_configs": [{ "targets": [address] }] },
            ],
        });
        let server = launch(&data, address, &config.to_string(), []);
        let ready = |line: &str| line.contains("ready to receive web requests");
        server.stderr().wait_for("that Prometheus is ready", ready);
        Self { address, scheme: "http", _server: server, _exporter: None, _data: data }
    }

    /// What an expression gives now: a list of series.
    ///
    /// # Errors
    /// What Prometheus says to an expression that it cannot evaluate.
    ///
    /// # Panics
    /// When Prometheus does not answer.
    pub fn evaluate(&self, expression: &str) -> Result<Vec<Value>, String> {
        let answer = self.ask(&format!("/api/v1/query?query={}", encoded(expression)));
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        let series = answer["data"]["result"].as_array();
        Ok(series.unwrap_or_else(|| panic!("{expression} gives {answer}")).clone())
    }

    /// The values of a label among the series that a selector chooses.
    ///
    /// # Panics
    /// When Prometheus does not answer, or does not understand the selector.
    #[must_use]
    pub fn label_values(&self, selector: &str, label: &str) -> Vec<String> {
        let path = format!("/api/v1/label/{label}/values?match[]={}", encoded(selector));
        let answer = self.ask(&path);
        let values = answer["data"].as_array().unwrap_or_else(|| panic!("{selector}: {answer}"));
        values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    /// The answer of its API at `path`.
    ///
    /// # Panics
    /// When it is no JSON.
    #[must_use]
    pub fn ask(&self, path: &str) -> Value {
        let answer = http::get(self.address, path);
        serde_json::from_slice(&answer.body).expect("Prometheus answers in JSON")
    }

    fn wait_for_samples(&self) {
        let deadline = Instant::now() + PATIENCE;
        let query = "/api/v1/query?query=count(count_over_time(up[1m])>=3)";
        while self.value_of(query).as_deref() != Some("2") {
            assert!(Instant::now() < deadline, "prometheus has no samples; is the port free?");
            pause();
        }
    }

    fn value_of(&self, target: &str) -> Option<String> {
        let mut connection = http::Connection::try_open(self.address).ok()?;
        let request = http::Request::new("GET", target).header("Connection", "close");
        connection.try_send(request.bytes()).ok()?;
        let answer: Value = serde_json::from_slice(&connection.try_answer().ok()?.body).ok()?;
        answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    }
}

fn launch(
    data: &TempDir,
    address: SocketAddr,
    config: &str,
    arguments: impl IntoIterator<Item = String>,
) -> Process {
    let file = data.path().join("prometheus.yml");
    std::fs::write(&file, config).expect("the temporary folder is writable");
    let mut all = vec![
        format!("--web.listen-address={address}"),
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", data.path().join("data").display()),
    ];
    all.extend(arguments);
    Process::start(&tool("prometheus/usr/bin/prometheus"), all)
}

/// A text as it may stand in a query of a URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a text can be written to");
        }
    }
    encoded
}

/// An address that nobody listens on right now.
///
/// # Panics
/// When the system has no port left.
#[must_use]
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket has an address")
}

/// Prometheus tells nobody when it is ready; it can only be asked again.
#[expect(clippy::disallowed_methods, reason = "a test thread has nothing else to do")]
fn pause() {
    thread::sleep(Duration::from_millis(50));
}
