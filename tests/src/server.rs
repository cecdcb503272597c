//! The server under test, as a process of its own.

use std::{
    ffi::OsStr,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{ChildStdout, ExitStatus},
    sync::LazyLock,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    http,
    minter::{self, AUDIENCE, ISSUER},
    paths::{program, temporary_folder},
    process::{PATIENCE, Process},
    prometheus::Prometheus,
    settings::Settings,
};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A running server; dropping it kills it.
#[derive(Debug)]
pub struct Server {
    /// Where MCP is served.
    pub mcp: SocketAddr,
    /// Where metrics and health are served.
    pub admin: SocketAddr,
    process: Process,
    files: TempDir,
}

/// A server that was started and has not said yet where it listens.
#[derive(Debug)]
pub struct Starting {
    process: Process,
    files: TempDir,
}

/// A fixture server with the default settings, for tests that leave it as it was.
static FIXTURE: LazyLock<Server> = LazyLock::new(|| Server::fixture(&Settings::default()));

/// Promgate in front of the shared Prometheus, for tests that leave it as it was.
static PROMGATE: LazyLock<Server> =
    LazyLock::new(|| Server::promgate(&config(&json!({ "prometheus": prometheus() }))));

impl Server {
    /// The fixture server that tests share.
    #[must_use]
    pub fn shared_fixture() -> &'static Self {
        &FIXTURE
    }

    /// The Promgate that tests share; its backend is the shared Prometheus.
    #[must_use]
    pub fn shared_promgate() -> &'static Self {
        &PROMGATE
    }

    /// Starts a fixture server.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn fixture(settings: &Settings) -> Self {
        let settings = json!(settings).to_string();
        let files = temporary_folder();
        Self::start("fixture-server", files, |_file| vec![settings], &[])
    }

    /// Starts Promgate with a configuration.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn promgate(config: &Value) -> Self {
        Self::promgate_with(config, &[])
    }

    /// Starts Promgate with a configuration and further environment variables.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn promgate_with(config: &Value, environment: &[(&str, &str)]) -> Self {
        let arguments = |file| vec!["serve".to_owned(), "--config".to_owned(), file];
        Self::start("promgate", write_config(config), arguments, environment)
    }

    /// Starts Promgate by way of another program, which is given the command as its last arguments, and leaves it to
    /// the caller to read its standard output.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn promgate_by(launcher: &[&str], config: &Value) -> (Self, ChildStdout) {
        let files = write_config(config);
        let (promgate, file) = (program("promgate"), files.path().join("config.yaml"));
        let command =
            [promgate.as_os_str(), "serve".as_ref(), "--config".as_ref(), file.as_os_str()];
        let all: Vec<&OsStr> = launcher.iter().map(AsRef::as_ref).chain(command).collect();
        let (first, rest) = all.split_first().expect("a command");
        let level = [("PROMGATE_LOG", OsStr::new("info"))];
        let (process, stdout) = Process::start_unread(Path::new(first), rest, &level);
        (Starting { process, files }.listening(), stdout)
    }

    /// Starts Promgate in front of one backend.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn in_front_of(url: &str) -> Self {
        Self::promgate(&config(&json!({ "main": { "url": url } })))
    }

    /// Starts a Promgate that is to take over the sockets of one that runs.
    #[must_use]
    pub fn begin_upgrade(config: &Value) -> Starting {
        let arguments =
            |file: String| ["serve", "--upgrade", "--config", &file].map(str::to_owned).to_vec();
        Self::begin("promgate", write_config(config), arguments, &[])
    }

    fn start(
        name: &str,
        files: TempDir,
        arguments: impl FnOnce(String) -> Vec<String>,
        environment: &[(&str, &str)],
    ) -> Self {
        Self::begin(name, files, arguments, environment).listening()
    }

    fn begin(
        name: &str,
        files: TempDir,
        arguments: impl FnOnce(String) -> Vec<String>,
        environment: &[(&str, &str)],
    ) -> Starting {
        let file = files.path().join("config.yaml").display().to_string();
        // What a developer has set for other purposes must not change what is tested.
        let mut variables = vec![("PROMGATE_LOG", OsStr::new("info"))];
        variables.extend(environment.iter().map(|(name, value)| (*name, OsStr::new(*value))));
        let process = Process::start_with(&program(name), arguments(file), &variables);
        Starting { process, files }
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Writes another configuration into its file. It is read at SIGHUP, or when it is watched.
    ///
    /// # Panics
    /// When the temporary folder is not writable.
    pub fn rewrite_config(&self, config: &Value) {
        write_whole(&self.config_file(), &config.to_string());
    }

    /// Has it read another configuration, and waits until it has taken effect; gives what was logged meanwhile.
    ///
    /// # Panics
    /// When it does not take effect.
    #[expect(clippy::must_use_candidate, reason = "most look at what has changed")]
    pub fn reload(&self, config: &Value) -> Vec<String> {
        let stderr = self.process.stderr();
        let from = stderr.lines().len();
        self.rewrite_config(config);
        self.process.signal(Signal::HUP);
        let done = |line: &str| line.contains("configuration reloaded");
        let _line = stderr.wait_from(from, "the end of the reload", done);
        stderr.lines().split_off(from)
    }

    /// Where its configuration is.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.files.path().join("config.yaml")
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Its exit status once it has ended.
    ///
    /// # Panics
    /// When it runs on for longer than `bound`.
    #[must_use]
    pub fn exit(&self, bound: Duration) -> ExitStatus {
        self.process.wait(bound).unwrap_or_else(|| panic!("it still runs after {bound:?}"))
    }

    /// The text of `/metrics`.
    ///
    /// # Panics
    /// When it is not served.
    #[must_use]
    pub fn metrics(&self) -> String {
        let answer = http::get(self.admin, "/metrics");
        assert_eq!(answer.head.status, 200);
        answer.text()
    }

    /// The value of one series, named with its labels as `/metrics` writes them.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn metric(&self, series: &str) -> f64 {
        let metrics = self.metrics();
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = line.unwrap_or_else(|| panic!("no {series} in\n{metrics}"));
        value.trim().parse().expect("a number")
    }

    /// The sum of every series of a metric.
    #[must_use]
    pub fn metric_sum(&self, name: &str) -> f64 {
        let metrics = self.metrics();
        let series = metrics.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until `metric` of `series` is `wanted`.
    ///
    /// # Panics
    /// When it does not get there.
    #[expect(clippy::disallowed_methods, reason = "metrics tell nobody when they change")]
    pub fn wait_for_metric(&self, series: &str, wanted: f64) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let value = self.metric(series);
            if (value - wanted).abs() < f64::EPSILON {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "{series} is {value}, not {wanted}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The access record that `wanted` accepts, waiting for it.
    ///
    /// # Panics
    /// When none comes.
    #[must_use]
    pub fn access_record(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_default();
        let line = self
            .process
            .stdout()
            .wait_for("the access record", |line| line.starts_with('{') && wanted(&parse(line)));
        parse(&line)
    }

    /// Resident memory, in bytes.
    ///
    /// # Panics
    /// When the system does not tell.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("a peak in kB") << 10
    }
}

impl Starting {
    /// Waits until it listens.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn listening(self) -> Server {
        let Self { process, files } = self;
        let line = process.stderr().wait_for("`listening`", is_start);
        let (mcp, admin) = (address(&line, "mcp"), address(&line, "admin"));
        Server { mcp, admin, process, files }
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// A configuration on free ports with these backends, without tokens, and with the access log on standard output.
#[must_use]
pub fn config(backends: &Value) -> Value {
    json!({
        "server": {
            "transport": { "type": "http", "http": { "host": "127.0.0.1:0" } },
            "admin": { "host": "127.0.0.1:0" },
            "workers": 2,
            "drain_timeout": "10s",
        },
        "middleware": { "access_logs": { "output": "stdout" }, "jwt": { "enabled": false } },
        "backends": backends,
    })
}

/// The same, and it asks for tokens of [`ISSUER`] for [`AUDIENCE`].
#[must_use]
pub fn guarded(backends: &Value) -> Value {
    let keys = minter::jwks(&minter::keys().all()).to_string();
    let local = json!({ "jwks": keys, "issuer": ISSUER, "audiences": [AUDIENCE] });
    guarded_by(backends, local)
}

/// The same, with these settings of the verification.
#[must_use]
pub fn guarded_by(backends: &Value, local: Value) -> Value {
    let mut config = config(backends);
    config["middleware"]["jwt"] =
        json!({ "enabled": true, "validation": { "strategy": "local", "local": local } });
    // Tests fail more often, and ask faster, than anybody else.
    config["middleware"]["rate_limits"] = json!({
        "address": { "failed_authentications": "off" },
        "principal": { "requests": "off" },
    });
    config["oauth_protected_resource"] = json!({
        "enabled": true,
        "resource": AUDIENCE,
        "auth_servers": [ISSUER],
        "scopes_supported": ["metrics:read"],
    });
    config
}

/// The settings of the verification in a configuration.
pub fn verification(config: &mut Value) -> &mut Value {
    &mut config["middleware"]["jwt"]["validation"]["local"]
}

/// The shared Prometheus as a backend.
#[must_use]
pub fn prometheus() -> Value {
    json!({ "url": Prometheus::shared().url() })
}

/// Writes a configuration to a file called `config.yaml`. JSON is YAML.
///
/// # Panics
/// When the temporary folder is not writable.
#[must_use]
pub fn write_config(config: &Value) -> TempDir {
    let files = temporary_folder();
    std::fs::write(files.path().join("config.yaml"), config.to_string()).expect("it is writable");
    files
}

/// Puts a file in the place of another at once, so that nobody reads half of it.
///
/// # Panics
/// When the folder is not writable.
pub fn write_whole(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).expect("the folder is writable");
    std::fs::rename(&beside, path).expect("the folder is writable");
}

/// Whether a line says where it listens. Pingora's lines of trouble with a handshake name a module called `listening`.
fn is_start(line: &str) -> bool {
    line.contains("listening") && line.contains("http://")
}

/// Reads `key=http://IP:PORT/…` from a log line, coloured or not. Whoever listens on every address is reached on
/// the loopback.
fn address(line: &str, key: &str) -> SocketAddr {
    let after = line.split_once(key).map(|(_, after)| after);
    let found = after.and_then(|after| {
        let (_, text) = after.split_once("http://")?;
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
        let address: SocketAddr = text.get(..end.unwrap_or(text.len()))?.parse().ok()?;
        let reached = if address.ip().is_unspecified() { LOOPBACK } else { address.ip() };
        Some(SocketAddr::new(reached, address.port()))
    });
    found.unwrap_or_else(|| panic!("no address of {key} in: {line}"))
}
