//! A real Prometheus with the shop's past in it and its present before it.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
};

use url::Url;

use super::{
    error::DemoError,
    exporter::{Exporter, unix_now},
    programs::Programs,
    ready,
    shop::{INSTANCES, Instance, JOB, STEP_S, Shop},
    supervisor::{Launch, Supervisor},
};

/// A free port may be taken by another before Prometheus has it; then another is tried.
const ATTEMPTS: u32 = 3;

/// The name of Prometheus' config in the folder.
const SCRAPES: &str = "prometheus.yml";

/// The name of the file with what Prometheus says.
const LOG: &str = "prometheus.log";

/// The demo's Prometheus; it ends when dropped.
#[derive(Debug)]
pub(super) struct Prometheus {
    // Dropped in this order: what is scraped outlives who scrapes.
    process: Supervisor,
    _exporter: Exporter,
    url: Url,
}

impl Prometheus {
    /// Writes the shop's past, starts Prometheus over it and the shop's present, and waits until
    /// questions are answered, which takes a second or two. Blocks.
    ///
    /// It keeps its files in `folder`, and scrapes the metrics of the Promgates whose admin
    /// listeners are at `promgates`.
    pub(super) fn start(
        programs: &Programs,
        folder: &Path,
        promgates: &[SocketAddr],
    ) -> Result<Self, DemoError> {
        let shop = Shop::with_past_until(unix_now());
        write_past(&shop, &programs.promtool, folder)?;
        let exporter = Exporter::start(shop)?;
        let scrapes = |itself| scrape_config(itself, promgates, exporter.address());
        let (process, address) = start_ready(&programs.prometheus, folder, scrapes)?;
        Ok(Self { process, _exporter: exporter, url: base_url(address) })
    }

    /// Where it answers.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The process.
    pub(super) fn process(&self) -> &Supervisor {
        &self.process
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
fn scrape_config(itself: SocketAddr, promgates: &[SocketAddr], exporter: SocketAddr) -> String {
    let targets: Vec<String> = promgates.iter().map(|admin| format!("'{admin}'")).collect();
    let targets = targets.join(", ");
    let mut text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n\
         - job_name: prometheus\n  \
           static_configs: [{{targets: ['{itself}']}}]\n\
         - job_name: promgate\n  \
           static_configs: [{{targets: [{targets}]}}]\n\
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
            args: arguments(folder, address),
            ..Launch::of("Prometheus", program, folder.join(LOG))
        })?;
        if ready::wait(&supervisor, || ready::says_ok(address, "/-/ready")) {
            return Ok((supervisor, address));
        }
        output = supervisor.last_words();
    }
    Err(DemoError::NotReady { name: "Prometheus".to_owned(), output })
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
pub(super) fn free_address() -> Result<SocketAddr, DemoError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(DemoError::Port)
}

#[expect(clippy::expect_used, reason = "an address and a port always make a URL")]
fn base_url(address: SocketAddr) -> Url {
    Url::parse(&format!("http://{address}")).expect("a socket address is a URL's authority")
}
