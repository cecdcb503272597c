//! A real Prometheus that scrapes itself and a node exporter.

use std::{
    ffi::OsString,
    net::{SocketAddr, TcpListener},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    http,
    paths::{temporary_folder, tool},
    process::{PATIENCE, Process},
};

/// A running Prometheus with what it scrapes.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    _server: Process,
    _exporter: Process,
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
        format!("http://{}", self.address)
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
        let file = data.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("the temporary folder is writable");
        let mut arguments: Vec<OsString> = vec![
            format!("--web.listen-address={own}").into(),
            "--log.level=warn".into(),
            "--config.file".into(),
        ];
        arguments.push(file.into());
        arguments.push("--storage.tsdb.path".into());
        arguments.push(data.path().join("data").into());
        let server = Process::start(&tool("prometheus/usr/bin/prometheus"), arguments);
        let prometheus = Self { address: own, _server: server, _exporter: node, _data: data };
        prometheus.wait_for_samples();
        prometheus
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
