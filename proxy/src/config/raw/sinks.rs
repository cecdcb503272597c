//! Keys of where access records go.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretText, Size, Span, span};

/// What makes the access log fit for an audit.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Audit {
    /// What seals records and makes pseudonyms: secrets of at least 32 bytes. The first seals; keep those that sealed
    /// before as long as what they sealed is to be checked.
    pub(crate) keys: Vec<SecretText>,
    /// Files that hold further keys, which follow those in `keys`.
    pub(crate) key_files: Vec<String>,
    /// Longest time between two signed checkpoints of a chain, while there is something for it.
    pub(crate) checkpoint_interval: Span,
    /// Most records between two signed checkpoints of a chain.
    pub(crate) checkpoint_records: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            key_files: Vec::new(),
            checkpoint_interval: span("1m"),
            checkpoint_records: 10_000,
        }
    }
}

/// One place to which access records go.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "type"]))]
pub(crate) struct Sink {
    /// Its name, 1 to 64 of letters, digits, `-` and `_`; it labels the metrics.
    pub(crate) name: Option<String>,
    /// `file`, `stdout`, `syslog` or `otlp`.
    #[serde(rename = "type")]
    pub(crate) kind: Option<SinkKind>,
    /// The file. A relative path starts at the folder of the configuration file.
    pub(crate) path: Option<String>,
    /// Where a syslog server listens: `tcp://host:514`, `tls://host:6514` or `unix:///run/log.sock`.
    pub(crate) address: Option<String>,
    /// The address of an OTLP receiver, such as `http://127.0.0.1:4318`. For `http/protobuf` an address without a
    /// path gets `/v1/logs`.
    pub(crate) endpoint: Option<String>,
    /// How the OTLP receiver is spoken to; `http/protobuf` when absent.
    pub(crate) protocol: Option<OtlpProtocol>,
    /// Further headers of each request to the OTLP receiver, by name.
    pub(crate) headers: BTreeMap<String, SecretText>,
    /// Files that hold the value of a further header, by the header's name.
    pub(crate) header_files: BTreeMap<String, String>,
    /// TLS towards the sink.
    pub(crate) tls: Option<SinkTls>,
    /// The syslog facility under which records are filed; `local0` when absent.
    pub(crate) facility: Option<Facility>,
    /// The program's name in syslog messages; `promgate` when absent.
    pub(crate) app_name: Option<String>,
    /// The form of a record: `json` when absent, or `ecs`, the names of the Elastic Common Schema. OTLP has its own.
    pub(crate) format: Option<SinkFormat>,
    /// Seal every record into a chain, so that what is changed, removed or added later is found. Needs `audit.keys`.
    pub(crate) chain: bool,
    /// Which records are taken: a CEL expression over the facts in `record`, such as `record.status >= 400`. A fact that
    /// is not known is `null`. All when absent.
    pub(crate) filter: Option<String>,
    /// Share of the records that are taken, from `0` to `1`. Refusals, errors and records of streams are always taken.
    pub(crate) sample: Option<Fraction>,
    /// What happens when the sink cannot take more: `drop` loses records, counts them and says so in the log; `block`
    /// lets requests wait; `refuse` answers them with 503.
    pub(crate) when_full: WhenFull,
    /// Longest time that a request waits under `when_full: block`, after which it is answered with 503; `30s` when absent.
    pub(crate) block_timeout: Option<Span>,
    /// Bytes of records that may wait; `queue_bytes_max` of `access_logs` when absent.
    pub(crate) queue_bytes_max: Option<Size>,
    /// When a file is full.
    pub(crate) rotation: Rotation,
    /// Compress full files with gzip.
    pub(crate) compress: bool,
    /// Which full files are kept; all when empty.
    pub(crate) keep: Keep,
    /// When what was written is forced onto the disk: `never`, `always` or an interval; `never` when absent.
    pub(crate) fsync: Option<Fsync>,
    /// Longest time of connecting, and of a write or a request; `10s` when absent.
    pub(crate) timeout: Option<Span>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SinkKind {
    File,
    Stdout,
    Syslog,
    Otlp,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SinkFormat {
    Json,
    Ecs,
}

#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
pub(crate) enum OtlpProtocol {
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    #[serde(rename = "grpc")]
    Grpc,
}

#[derive(Default, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WhenFull {
    #[default]
    Drop,
    Block,
    Refuse,
}

/// The facilities of RFC 5424 that a program like this may use; each stands for its number there.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Facility {
    User,
    Daemon,
    Auth,
    Authpriv,
    Local0,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}

/// A share, from `0` to `1`.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    title = "a number from 0 to 1",
    extend(
        "type" = ["number", "string"],
        "minimum" = 0,
        "maximum" = 1,
        "pattern" = r"^[01](\.[0-9]+)?$"
    )
)]
pub(crate) struct Fraction(pub(crate) String);

/// `never`, `always`, or how often.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    title = "`never`, `always` or a duration",
    extend(
        "pattern" = r"^(never|always|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h|d|w))+)$"
    )
)]
pub(crate) struct Fsync(pub(crate) String);

/// When a file is full and the next one begun.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rotation {
    /// At this size, 64KiB or more.
    pub(crate) size: Option<Size>,
    /// At this age, a minute or more.
    pub(crate) age: Option<Span>,
}

/// Which full files are kept.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Keep {
    /// At most so many.
    pub(crate) files: Option<u64>,
    /// None that is older.
    pub(crate) age: Option<Span>,
}

/// TLS towards a sink.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SinkTls {
    /// Certificate authorities to trust instead of the public ones: a PEM file.
    pub(crate) ca_file: Option<String>,
    /// Our certificate, where the sink asks for one: a PEM file.
    pub(crate) cert_file: Option<String>,
    /// The certificate's private key: a PEM file.
    pub(crate) key_file: Option<String>,
    /// Name in the sink's certificate, where it is not the host in its address.
    pub(crate) server_name: Option<String>,
}
