//! Where access records go: the settings, in checked form.

use std::{
    fmt, fs::FileType, os::unix::fs::FileTypeExt as _, path::PathBuf, sync::Arc, time::Duration,
};

use http::HeaderMap;
use mcp_core::secret::Secret;
use url::Url;

use crate::expression::Filter;

/// What makes the access log fit for an audit.
#[derive(Debug, Clone)]
pub struct Audit {
    /// What seals records and names people: the first seals, all are known. Empty: nothing is sealed.
    pub keys: Vec<Secret>,
    /// Longest time between two checkpoints while there is something for it.
    pub checkpoint_interval: Duration,
    /// Most records between two checkpoints.
    pub checkpoint_records: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            checkpoint_interval: Duration::from_mins(1),
            checkpoint_records: 10_000,
        }
    }
}

/// One place to which access records go.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Its name, which labels its metrics.
    pub name: SinkName,
    /// The place.
    pub target: Target,
    /// The form of a record.
    pub format: SinkFormat,
    /// Whether records are sealed into a chain.
    pub chain: bool,
    /// Which records it takes; all when none.
    pub filter: Option<Filter>,
    /// How many of the records that may be left out are taken.
    pub sample: Share,
    /// What happens when it cannot take more.
    pub when_full: WhenFull,
    /// Bytes of records that may wait.
    pub queue_bytes_max: usize,
}

impl Sink {
    /// A sink of JSON lines with nothing else asked of it.
    #[must_use]
    pub fn plain(name: SinkName, target: Target, queue_bytes_max: usize) -> Self {
        Self {
            name,
            target,
            format: SinkFormat::Json,
            chain: false,
            filter: None,
            sample: Share::ALL,
            when_full: WhenFull::Drop,
            queue_bytes_max,
        }
    }
}

/// The name of a sink: 1 to 64 of letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkName(Arc<str>);

impl SinkName {
    /// Longest name, in bytes: as for backends, whose names are labels too.
    pub const BYTES_MAX: usize = 64;

    /// The name of the only sink where none is named: what `output` stands for.
    #[must_use]
    pub fn of_output() -> Self {
        Self("access".into())
    }

    /// Reads a name; none where it has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let good = !text.is_empty() && text.len() <= Self::BYTES_MAX && text.bytes().all(plain);
        good.then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The form of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkFormat {
    /// One JSON object a line.
    Json,
    /// One JSON object a line, with the names of the Elastic Common Schema.
    Ecs,
    /// OTLP log records, as protobuf.
    Otlp,
}

/// What happens to a request when a sink cannot take its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is served. Its record is dropped, counted, and told of.
    Drop,
    /// It waits so long, before anything of it is served, and is refused then.
    Block(Duration),
    /// It is refused with 503.
    Refuse,
}

/// A share of records, from none to all, in parts of 2³².
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u64);

impl Share {
    /// All of them.
    pub const ALL: Self = Self(1 << 32);

    /// Reads a decimal fraction from `0` to `1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 9 {
            return None;
        }
        let scale = 10_u64.checked_pow(u32::try_from(decimals.len()).ok()?)?;
        let number = whole.parse::<u64>().ok()?.checked_mul(scale)?;
        let number = number.checked_add(decimals.parse().ok()?)?;
        // At most 10⁹ times 2³², which fits.
        (number <= scale).then(|| Self((number << 32) / scale))
    }

    /// Whether it is all of them.
    #[must_use]
    pub const fn is_all(self) -> bool {
        self.0 >= Self::ALL.0
    }

    /// Whether it holds what falls on this number, where each number is as likely as any other.
    #[must_use]
    pub fn holds(self, number: u32) -> bool {
        u64::from(number) < self.0
    }
}

/// The place to which a sink writes.
#[derive(Debug, Clone)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file.
    File(LogFile),
    /// A syslog server.
    Syslog(Syslog),
    /// An OTLP receiver.
    Otlp(Otlp),
}

/// A file of records, made with mode 0600, appended to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its path.
    pub path: PathBuf,
    /// A file of so many bytes is full, and the next one begun.
    pub rotate_bytes: Option<u64>,
    /// A file of this age is full.
    pub rotate_age: Option<Duration>,
    /// Whether full files are compressed.
    pub compress: bool,
    /// Most full files that are kept.
    pub keep_files: Option<usize>,
    /// Full files older than this go.
    pub keep_age: Option<Duration>,
    /// When what was written is forced onto the disk.
    pub fsync: Fsync,
}

impl LogFile {
    /// One file that grows for ever.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self {
            path,
            rotate_bytes: None,
            rotate_age: None,
            compress: false,
            keep_files: None,
            keep_age: None,
            fsync: Fsync::Never,
        }
    }

    /// Whether records may be appended to a thing of this kind: opening a pipe would wait for its reader, and writing
    /// to a disk would destroy it.
    #[must_use]
    pub fn may_be(kind: FileType) -> bool {
        !(kind.is_fifo() || kind.is_socket() || kind.is_block_device())
    }
}

/// When what was written is forced onto the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// When the system likes.
    Never,
    /// After every write, before its records count as written.
    Always,
    /// So often while there are records.
    Every(Duration),
}

/// A syslog server. Spec: RFC 5424; RFC 6587 §3.4.1 for its framing.
#[derive(Debug, Clone)]
pub struct Syslog {
    /// Where it listens.
    pub address: SyslogAddress,
    /// Number of the facility under which records are filed.
    pub facility: u8,
    /// The program's name in each message.
    pub app_name: String,
    /// Limit of connecting, and of one write that makes no progress.
    pub timeout: Duration,
}

/// Where a syslog server listens.
#[derive(Debug, Clone)]
pub enum SyslogAddress {
    /// TCP, in the clear.
    Tcp {
        /// Name or address, IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// TLS. Spec: RFC 5425.
    Tls {
        /// Name or address, IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
        /// Whom we believe, and who we are.
        tls: SinkTls,
    },
    /// A socket of this machine.
    Unix(PathBuf),
}

/// TLS towards a sink.
#[derive(Debug, Clone, Default)]
pub struct SinkTls {
    /// Certificate authorities to trust instead of the public ones, PEM.
    pub ca_pem: Option<Arc<[u8]>>,
    /// Our certificate with those between it and its authority, PEM, and its key.
    pub identity: Option<(Arc<[u8]>, Secret)>,
    /// Name in the server's certificate, where it is not the host.
    pub server_name: Option<String>,
}

/// An OTLP receiver.
#[derive(Debug, Clone)]
pub struct Otlp {
    /// Its address: for HTTP that of the service, with its path.
    pub endpoint: Url,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// Further headers of each request; their values are secrets.
    pub headers: HeaderMap,
    /// TLS, where the address is https.
    pub tls: SinkTls,
    /// Limit of one request.
    pub timeout: Duration,
}

/// How an OTLP receiver is spoken to. Spec: OTLP 1.x, OTLP/gRPC and OTLP/HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC.
    Grpc,
    /// HTTP with bodies of protobuf.
    HttpProtobuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_as_a_fraction_and_nothing_else() {
        for (text, parts) in
            [("0", 0), ("1", 1 << 32), ("1.0", 1 << 32), ("0.5", 1 << 31), ("0.25", 1 << 30)]
        {
            assert_eq!(Share::parse(text), Some(Share(parts)), "{text}");
        }
        for text in ["", ".", "1.", ".5", "1.1", "2", "-0.1", "0,5", "50%", "0.0000000001", "1e-1"]
        {
            assert_eq!(Share::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_share_holds_its_part_of_all_numbers() {
        let share = Share::parse("0.1").unwrap();
        let held = (0..1000_u32).filter(|part| share.holds(part * (u32::MAX / 1000))).count();
        assert!((99..=101).contains(&held), "{held}");
        assert!(Share::ALL.holds(u32::MAX) && Share::ALL.is_all());
        assert!(!Share::parse("0").unwrap().holds(0));
    }
}
