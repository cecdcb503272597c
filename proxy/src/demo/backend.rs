//! A real Prometheus with the shop's past in it and its present before it.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use url::Url;

use super::{
    error::DemoError,
    exporter::{Exporter, unix_now},
    folder::Folder,
    programs::Programs,
    settings::{ACCESS_LOG, Listeners, config_text},
    shop::{INSTANCES, Instance, JOB, STEP_S, Shop},
    supervisor::{Launch, Supervisor},
};
use crate::config::{self, Config, ProcessEnvironment};

/// How long Prometheus may take to become ready; it takes a tenth of a second.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// How often readiness is asked for.
const READY_LOOK: Duration = Duration::from_millis(20);

/// A free port may be taken by another before Prometheus has it; then another is tried.
const ATTEMPTS: u32 = 3;

/// Promgate itself, as the kernel holds it: right even after the file was replaced.
const LAUNCHER: &str = "/proc/self/exe";

/// The name of Prometheus' config in the folder.
const SCRAPES: &str = "prometheus.yml";

/// The name of Promgate's config in the folder.
const CONFIG: &str = "promgate.yaml";

/// What [`Backend::start`] needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `prometheus` to run, where the user named one.
    pub prometheus: Option<PathBuf>,
    /// The edge's listeners; Prometheus scrapes the second.
    pub listeners: Listeners,
}

/// The demo's Prometheus. Dropping it ends the process and removes all that was written.
#[derive(Debug)]
pub struct Backend {
    // Dropped in this order: nothing may be written to the folder any more when it goes.
    _prometheus: Supervisor,
    _exporter: Exporter,
    folder: Folder,
    url: Url,
    listeners: Listeners,
}

impl Backend {
    /// Finds Prometheus, writes the shop's past, starts both and waits until questions are
    /// answered, which takes a second or two. Blocks.
    ///
    /// # Errors
    /// [`DemoError`] when a program is missing or fails, or the temporary folder cannot be written.
    pub fn start(options: &Options) -> Result<Self, DemoError> {
        let programs = Programs::find(options.prometheus.as_deref())?;
        let folder = Folder::create(&std::env::temp_dir()).map_err(DemoError::Folder)?;
        let shop = Shop::with_past_until(unix_now());
        write_past(&shop, &programs.promtool, folder.path())?;
        let exporter = Exporter::start(shop)?;
        let scrapes = |itself| scrape_config(itself, options.listeners.admin, exporter.address());
        let (prometheus, address) = start_ready(&programs.prometheus, folder.path(), scrapes)?;
        let url = base_url(address);
        let config = config_text(&url, options.listeners);
        fs::write(folder.path().join(CONFIG), config).map_err(DemoError::Folder)?;
        let listeners = options.listeners;
        Ok(Self { _prometheus: prometheus, _exporter: exporter, folder, url, listeners })
    }

    /// Where Prometheus answers.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// What to start the edge on, with this Prometheus as its backend.
    ///
    /// # Errors
    /// [`DemoError::Config`] when the demo's own file is refused, which no input brings about.
    pub fn config(&self) -> Result<Config, DemoError> {
        Ok(config::load(&self.config_file(), &ProcessEnvironment)?)
    }

    /// The file with that configuration; `promgate stdio` can be started on it too. It exists as
    /// long as this does.
    pub(super) fn config_file(&self) -> PathBuf {
        self.folder.path().join(CONFIG)
    }

    /// The file in which each request leaves its line.
    pub(super) fn access_log(&self) -> PathBuf {
        self.folder.path().join(ACCESS_LOG)
    }

    /// The edge's listeners, as given to [`Backend::start`].
    pub(super) fn listeners(&self) -> Listeners {
        self.listeners
    }
}

fn write_past(shop: &Shop, promtool: &Path, folder: &Path) -> Result<(), DemoError> {
    let text = folder.join("past.txt");
    let write = || -> io::Result<()> {
        let mut out = BufWriter::new(File::create(&text)?);
        shop.write_past(&mut out)?;
        out.flush()
    };
    write().map_err(DemoError::Folder)?;
    let run = Command::new(promtool)
        .args(["tsdb", "create-blocks-from", "--quiet", "openmetrics"])
        .args([&text, &folder.join("data")])
        .stdin(Stdio::null())
        .output()
        .map_err(|source| DemoError::Start { program: promtool.to_owned(), source })?;
    if !run.status.success() {
        let output = String::from_utf8_lossy(&run.stderr).trim().to_owned();
        return Err(DemoError::Import { output });
    }
    fs::remove_file(&text).map_err(DemoError::Folder)
}

/// Prometheus' own config. The shop's instances are one exporter under three paths; setting
/// `instance` here makes their live series the same as those of the past.
fn scrape_config(itself: SocketAddr, admin: SocketAddr, exporter: SocketAddr) -> String {
    let mut text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n\
         - job_name: prometheus\n  \
           static_configs: [{{targets: ['{itself}']}}]\n\
         - job_name: promgate\n  \
           static_configs: [{{targets: ['{admin}']}}]\n\
         - job_name: {JOB}\n  \
           scrape_interval: {STEP_S}s\n  \
           static_configs:\n"
    );
    for instance in &INSTANCES {
        text.push_str(&target(exporter, instance));
    }
    text
}

fn target(exporter: SocketAddr, instance: &Instance) -> String {
    let (name, path) = (instance.name, instance.path);
    let labels = format!("{{instance: '{name}', __metrics_path__: '{path}'}}");
    format!("  - {{targets: ['{exporter}'], labels: {labels}}}\n")
}

/// Starts Prometheus on a free port and waits until it is ready.
fn start_ready(
    program: &Path,
    folder: &Path,
    scrapes: impl Fn(SocketAddr) -> String,
) -> Result<(Supervisor, SocketAddr), DemoError> {
    let mut output = String::new();
    for _ in 0..ATTEMPTS {
        let address = free_address()?;
        fs::write(folder.join(SCRAPES), scrapes(address)).map_err(DemoError::Folder)?;
        let supervisor = Supervisor::start(Launch {
            launcher: LAUNCHER.into(),
            program: program.to_owned(),
            args: arguments(folder, address),
        })?;
        if is_ready(&supervisor, address) {
            return Ok((supervisor, address));
        }
        output = supervisor.last_words();
    }
    Err(DemoError::NotReady { output })
}

fn arguments(folder: &Path, address: SocketAddr) -> Vec<String> {
    vec![
        format!("--config.file={}", folder.join(SCRAPES).display()),
        format!("--storage.tsdb.path={}", folder.join("data").display()),
        "--storage.tsdb.retention.time=7d".to_owned(),
        "--storage.tsdb.retention.size=512MB".to_owned(),
        format!("--web.listen-address={address}"),
        "--log.level=warn".to_owned(),
    ]
}

/// A loopback port that was free a moment ago.
fn free_address() -> Result<SocketAddr, DemoError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(DemoError::Port)
}

fn is_ready(supervisor: &Supervisor, address: SocketAddr) -> bool {
    let deadline = Instant::now() + READY_TIMEOUT;
    // Another process on that port could say ready too, so ours must not have died.
    while Instant::now() < deadline && supervisor.deaths() == 0 {
        if says_ready(address).is_ok_and(|ready| ready) && supervisor.deaths() == 0 {
            return true;
        }
        thread::park_timeout(READY_LOOK);
    }
    false
}

fn says_ready(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status.ends_with(b" 200"))
}

#[expect(clippy::expect_used, reason = "an address and a port always make a URL")]
fn base_url(address: SocketAddr) -> Url {
    Url::parse(&format!("http://{address}")).expect("a socket address is a URL's authority")
}
