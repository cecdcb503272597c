//! What a log says of itself: the lines that are no records of requests.

use std::time::SystemTime;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Map, Value};

use super::{ChainId, KeyId, Mac, digits};
use crate::{
    access_log::{json, plain},
    config::SinkFormat,
};

/// Begins every line of this kind, and the lines of streams too.
const JSON_START: &str = r#"{"v":1,"event":""#;
const ECS_START: &str = r#"{"promgate.schema":1,"event.action":""#;

/// Begins the name of every fact but the first three in the Elastic Common Schema.
const ECS_PREFIX: &str = "promgate.audit.";

/// A line by which a log speaks of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A file, or a run, begins here.
    ChainStart(ChainStart),
    /// All before is as it should be.
    Checkpoint(Checkpoint),
    /// So many records were lost.
    RecordsDropped(u64),
    /// So many requests were refused, because their records could not have been written.
    RequestsRefused(u64),
}

/// The first line of a file and of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainStart {
    /// The chain.
    pub chain: ChainId,
    /// The key that seals from here on.
    pub key: KeyId,
    /// Number and seal of the line before; none where a chain begins.
    pub resumes: Option<(u64, Mac)>,
    /// The piece of a line that stands before it, which nobody could finish.
    pub torn: Option<Torn>,
    /// What was found amiss when the log was opened.
    pub notice: Option<Notice>,
}

/// A piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// How many bytes.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// What was found amiss when a log was opened, for whoever reads it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// There was a log, and no head file beside it.
    HeadMissing,
    /// The head file was not ours.
    HeadForged,
    /// The head file knew of records that the log did not hold any more.
    CutShort,
    /// The last lines of the log were not ours.
    EndForged,
    /// The log held nothing from which it could have gone on.
    Unreadable,
}

impl Notice {
    const ALL: [Self; 5] =
        [Self::HeadMissing, Self::HeadForged, Self::CutShort, Self::EndForged, Self::Unreadable];

    /// It in one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::HeadMissing => "head_missing",
            Self::HeadForged => "head_forged",
            Self::CutShort => "cut_short",
            Self::EndForged => "end_forged",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A signed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The chain.
    pub chain: ChainId,
    /// Records of requests since the checkpoint before.
    pub records: u64,
    /// Why it stands here.
    pub reason: CheckpointReason,
    /// Seal of the line before.
    pub previous: Mac,
    /// Signature over the chain's name, this line's number and the seal of the line before.
    pub signature: [u8; 64],
}

/// Why a checkpoint stands where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointReason {
    /// So many records, or so much time, had passed.
    Interval,
    /// The file was full.
    Rotation,
    /// The process ended.
    Shutdown,
}

impl CheckpointReason {
    const ALL: [Self; 3] = [Self::Interval, Self::Rotation, Self::Shutdown];

    /// It in one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Rotation => "rotation",
            Self::Shutdown => "shutdown",
        }
    }
}

impl Event {
    /// Reads a line; none where it is a record of a request, or cannot be read.
    #[must_use]
    pub fn of(line: &[u8]) -> Option<Self> {
        let ecs = if line.starts_with(JSON_START.as_bytes()) {
            false
        } else if line.starts_with(ECS_START.as_bytes()) {
            true
        } else {
            return None;
        };
        let facts: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let facts = Facts { facts, ecs };
        match facts.name()? {
            "chain_start" => facts.chain_start().map(Self::ChainStart),
            "checkpoint" => facts.checkpoint().map(Self::Checkpoint),
            "records_dropped" => facts.number("records").map(Self::RecordsDropped),
            "requests_refused" => facts.number("requests").map(Self::RequestsRefused),
            _ => None,
        }
    }

    /// The seal of the line before it, where it repeats that.
    #[must_use]
    pub fn previous(&self) -> Option<Mac> {
        match self {
            Self::ChainStart(start) => Some(start.resumes.map_or(Mac::NONE, |(_, mac)| mac)),
            Self::Checkpoint(checkpoint) => Some(checkpoint.previous),
            Self::RecordsDropped(_) | Self::RequestsRefused(_) => None,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ChainStart(_) => "chain_start",
            Self::Checkpoint(_) => "checkpoint",
            Self::RecordsDropped(_) => "records_dropped",
            Self::RequestsRefused(_) => "requests_refused",
        }
    }

    /// Appends it as a line without its end, so that number and seal can follow: `{…` without `}`.
    pub(in crate::access_log) fn write_to(
        &self,
        out: &mut Vec<u8>,
        format: SinkFormat,
        time: SystemTime,
    ) {
        let mut line = Line { out, ecs: format == SinkFormat::Ecs };
        line.begin(self.name(), time);
        match self {
            Self::ChainStart(start) => {
                line.text("chain", start.chain.as_str());
                line.text("key", start.key.as_str());
                match start.resumes {
                    Some((seq, mac)) => {
                        line.number("resumes", seq);
                        line.text("previous", &mac.to_string());
                    }
                    None => line.null("resumes"),
                }
                if let Some(Torn { bytes, sha256 }) = start.torn {
                    line.number("torn_bytes", bytes);
                    line.text("torn_sha256", ascii(&digits::<32, 64>(sha256)));
                }
                if let Some(notice) = start.notice {
                    line.text("notice", notice.word());
                }
            }
            Self::Checkpoint(checkpoint) => {
                line.text("chain", checkpoint.chain.as_str());
                line.number("records", checkpoint.records);
                line.text("reason", checkpoint.reason.word());
                line.text("previous", &checkpoint.previous.to_string());
                line.text("signature", &BASE64_URL_SAFE_NO_PAD.encode(checkpoint.signature));
            }
            Self::RecordsDropped(records) => line.number("records", *records),
            Self::RequestsRefused(requests) => line.number("requests", *requests),
        }
    }
}

fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

/// A line that is being written.
struct Line<'o> {
    out: &'o mut Vec<u8>,
    ecs: bool,
}

impl Line<'_> {
    fn begin(&mut self, name: &str, time: SystemTime) {
        let (start, time_key) = if self.ecs {
            (ECS_START, r#"","@timestamp":""#)
        } else {
            (JSON_START, r#"","time":""#)
        };
        for part in [start, name, time_key] {
            self.out.extend_from_slice(part.as_bytes());
        }
        plain::time(self.out, time);
        self.out.push(b'"');
    }

    fn key(&mut self, key: &str) {
        let prefix = if self.ecs { ECS_PREFIX } else { "" };
        for part in [",\"", prefix, key, "\":"] {
            self.out.extend_from_slice(part.as_bytes());
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        json::text(self.out, text.as_bytes(), usize::MAX);
    }

    fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        json::number(self.out, number);
    }

    fn null(&mut self, key: &str) {
        self.key(key);
        self.out.extend_from_slice(b"null");
    }
}

/// A line that is being read.
struct Facts {
    facts: Map<String, Value>,
    ecs: bool,
}

impl Facts {
    fn name(&self) -> Option<&str> {
        self.facts.get(if self.ecs { "event.action" } else { "event" })?.as_str()
    }

    fn value(&self, key: &str) -> Option<&Value> {
        if self.ecs { self.facts.get(&format!("{ECS_PREFIX}{key}")) } else { self.facts.get(key) }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.value(key)?.as_str()
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.value(key)?.as_u64()
    }

    fn mac(&self, key: &str) -> Option<Mac> {
        Mac::parse(self.text(key)?.as_bytes())
    }

    fn chain_start(&self) -> Option<ChainStart> {
        let torn = |bytes| Some(Torn { bytes, sha256: from_hex(self.text("torn_sha256")?)? });
        let resumes = match self.number("resumes") {
            Some(seq) => Some((seq, self.mac("previous")?)),
            None => None,
        };
        let notice = self.text("notice");
        Some(ChainStart {
            chain: ChainId::parse(self.text("chain")?)?,
            key: KeyId::parse(self.text("key")?)?,
            resumes,
            torn: self.number("torn_bytes").and_then(torn),
            notice: Notice::ALL.into_iter().find(|known| Some(known.word()) == notice),
        })
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        let reason = self.text("reason")?;
        Some(Checkpoint {
            chain: ChainId::parse(self.text("chain")?)?,
            records: self.number("records")?,
            reason: CheckpointReason::ALL.into_iter().find(|known| known.word() == reason)?,
            previous: self.mac("previous")?,
            signature: BASE64_URL_SAFE_NO_PAD
                .decode(self.text("signature")?)
                .ok()?
                .try_into()
                .ok()?,
        })
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
