//! Where access records go, and what seals them.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{Check, filled, secret::MAKE_KEY};
use crate::{
    config::{
        Audit, Fsync, LogFile, Share, Sink, SinkFormat, SinkName, Target, WhenFull, place::At, raw,
        units,
    },
    expression::Filter,
};

/// Bytes that may wait for a sink: enough for some records, and not a machine's memory.
pub(super) const QUEUE_BYTES: RangeInclusive<u64> = 64 << 10..=1 << 30;

/// The same where requests are let in only if their records will have room: some ten kilobytes each.
const GATED_BYTES_MIN: u64 = 256 << 10;

/// Most sinks: each has a thread and a queue, and costs every request a copy of its record.
const SINKS_MAX: usize = 16;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
/// The longest that any duration may be.
const YEAR: Duration = Duration::from_hours(24 * 365);

/// What all sinks share.
pub(super) struct Terms {
    /// Records will be written, so that files must be fit for them.
    pub(super) used: bool,
    /// There are keys to seal with.
    pub(super) sealed: bool,
    /// Bytes that may wait where a sink does not say.
    pub(super) queue_bytes_max: usize,
}

/// What other sinks have already.
#[derive(Default)]
struct Taken {
    names: Vec<SinkName>,
    paths: Vec<PathBuf>,
    stdout: bool,
}

impl Check<'_> {
    pub(super) fn audit(&mut self, at: &At, raw: raw::Audit) -> Audit {
        let raw::Audit { keys, key_files, checkpoint_interval, checkpoint_records } = raw;
        let place = at.key("checkpoint_records");
        self.count(&place, checkpoint_records, 1..=100_000_000);
        Audit {
            keys: self.keys(at, keys, &key_files),
            checkpoint_interval: self.span(
                &at.key("checkpoint_interval"),
                &checkpoint_interval,
                SECOND..=DAY,
            ),
            checkpoint_records,
        }
    }

    /// The sinks of the section at `at`, or the one for which `output` stands.
    pub(super) fn sinks(
        &mut self,
        at: &At,
        output: Option<&str>,
        raw: Vec<raw::Sink>,
        terms: &Terms,
    ) -> Vec<Sink> {
        let place = at.key("sinks");
        if raw.is_empty() && !self.faults.any_in(&place) {
            return self.output(&at.key("output"), output.unwrap_or("stdout"), terms);
        }
        if output.is_some() {
            self.faults.push_unless_known(
                &at.key("output"),
                "there are `sinks` too",
                "keep one of the two; a sink says with `type` and `path` what `output` says",
            );
        }
        if raw.len() > SINKS_MAX {
            let what = format!("there are more than {SINKS_MAX} sinks");
            self.faults.push(&place, what, "remove some");
        }
        let mut taken = Taken::default();
        let each = raw.into_iter().enumerate();
        each.filter_map(|(index, raw)| self.sink(&place.item(index), raw, terms, &mut taken))
            .collect()
    }

    fn output(&mut self, at: &At, text: &str, terms: &Terms) -> Vec<Sink> {
        let target = match text {
            "off" => return Vec::new(),
            "stdout" => Target::Stdout,
            path => {
                if !path.contains('/') || path.ends_with('/') {
                    self.faults.push(
                        at,
                        "neither `stdout`, `off` nor the path of a file",
                        "write one of them; a path holds a `/`, as in `./access.log`",
                    );
                    return Vec::new();
                }
                let path = self.folder.join(path);
                if terms.used {
                    self.writable(at, &path, "name a file, or write `stdout` or `off`");
                }
                Target::File(LogFile::at(path))
            }
        };
        vec![Sink::plain(SinkName::of_output(), target, terms.queue_bytes_max)]
    }

    fn sink(
        &mut self,
        at: &At,
        mut raw: raw::Sink,
        terms: &Terms,
        taken: &mut Taken,
    ) -> Option<Sink> {
        let name = self.sink_name(&at.key("name"), raw.name.as_deref(), taken);
        let kind = raw.kind;
        if kind.is_none() {
            self.faults.push_unless_known(
                &at.key("type"),
                "is missing",
                "write `file`, `stdout`, `syslog` or `otlp`",
            );
        }
        let format = self.format(&at.key("format"), raw.format, kind);
        self.chained(&at.key("chain"), raw.chain, kind, terms);
        let filter = filled(raw.filter.as_deref());
        let filter = filter.and_then(|text| self.filter(&at.key("filter"), text));
        let sample = self.share(&at.key("sample"), raw.sample.as_ref());
        let when_full = self.when_full(at, &raw);
        let queue = at.key("queue_bytes_max");
        let least =
            if when_full == WhenFull::Drop { *QUEUE_BYTES.start() } else { GATED_BYTES_MIN };
        let queue_bytes_max = match &raw.queue_bytes_max {
            Some(size) => self.size(&queue, size, least..=*QUEUE_BYTES.end()),
            None => terms.queue_bytes_max,
        };
        if u64::try_from(queue_bytes_max).is_ok_and(|bytes| bytes < least) {
            self.faults.push_unless_known(
                &queue,
                "holds the records of too few requests, of which no more can be in flight",
                "write a size of 256KiB or more; the default is 8MiB",
            );
        }
        let chain = raw.chain;
        let kind = kind?;
        self.meaningless(at, &raw, kind);
        let target = match kind {
            raw::SinkKind::Stdout => self.stdout(&at.key("type"), taken),
            raw::SinkKind::File => self.log_file(at, &raw, terms.used, taken).map(Target::File),
            raw::SinkKind::Syslog => self.syslog(at, &raw).map(Target::Syslog),
            raw::SinkKind::Otlp => {
                let headers = std::mem::take(&mut raw.headers);
                self.otlp_sink(at, &raw, headers).map(Target::Otlp)
            }
        };
        Some(Sink {
            name: name?,
            target: target?,
            format,
            chain,
            filter,
            sample: sample?,
            when_full,
            queue_bytes_max,
        })
    }

    fn sink_name(&mut self, at: &At, text: Option<&str>, taken: &mut Taken) -> Option<SinkName> {
        let Some(text) = filled(text) else {
            self.faults.push_unless_known(at, "is missing", "write a short name, such as `audit`");
            return None;
        };
        let Some(name) = SinkName::parse(text) else {
            let what = format!("not 1 to {} letters, digits, `-` and `_`", SinkName::BYTES_MAX);
            self.faults.push(at, what, "write a short name, such as `audit`");
            return None;
        };
        if taken.names.contains(&name) {
            self.faults.push(at, "another sink has this name", "give each a name of its own");
        }
        taken.names.push(name.clone());
        Some(name)
    }

    fn format(
        &mut self,
        at: &At,
        format: Option<raw::SinkFormat>,
        kind: Option<raw::SinkKind>,
    ) -> SinkFormat {
        match (kind, format) {
            (Some(raw::SinkKind::Otlp), given) => {
                if given.is_some() {
                    let what = "OTLP has a form of its own";
                    self.faults.push(at, what, "remove it");
                }
                SinkFormat::Otlp
            }
            (_, Some(raw::SinkFormat::Ecs)) => SinkFormat::Ecs,
            (_, Some(raw::SinkFormat::Json) | None) => SinkFormat::Json,
        }
    }

    fn chained(&mut self, at: &At, chain: bool, kind: Option<raw::SinkKind>, terms: &Terms) {
        if !chain {
            return;
        }
        if kind == Some(raw::SinkKind::Otlp) {
            self.faults.push(
                at,
                "records sent by OTLP cannot be sealed, since receivers take them apart",
                "remove it, and write a sealed file beside this sink",
            );
        } else if !terms.sealed {
            let keys = At::from(["middleware", "access_logs", "audit"]);
            if !self.faults.any_in(&keys) {
                self.faults.push(
                    at,
                    "needs a key in `audit.keys`, and there is none",
                    format!(
                        "write `audit: {{ keys: [\"${{VARIABLE}}\"] }}` beside `sinks`; {MAKE_KEY}"
                    ),
                );
            }
        }
    }

    fn filter(&mut self, at: &At, text: &str) -> Option<Filter> {
        Filter::read(text)
            .map_err(|error| {
                self.faults.push_unless_known(at, error.to_string(), error.mend_filter());
            })
            .ok()
    }

    pub(super) fn share(&mut self, at: &At, text: Option<&raw::Fraction>) -> Option<Share> {
        let Some(raw::Fraction(text)) = text else { return Some(Share::ALL) };
        let share = Share::parse(text);
        if share.is_none() {
            self.faults.push(
                at,
                "not a number from 0 to 1",
                "write the share that is taken, as in `0.1` for a tenth",
            );
        }
        share
    }

    fn stdout(&mut self, at: &At, taken: &mut Taken) -> Option<Target> {
        if std::mem::replace(&mut taken.stdout, true) {
            self.faults.push(at, "another sink writes to standard output", "keep one of them");
            return None;
        }
        Some(Target::Stdout)
    }

    /// Keys that another kind of sink has.
    fn meaningless(&mut self, at: &At, raw: &raw::Sink, kind: raw::SinkKind) {
        use raw::SinkKind::{File, Otlp, Syslog};
        let keys: [(&str, bool, &[raw::SinkKind]); 13] = [
            ("path", raw.path.is_some(), &[File]),
            ("rotation", raw.rotation.size.is_some() || raw.rotation.age.is_some(), &[File]),
            ("compress", raw.compress, &[File]),
            ("keep", raw.keep.files.is_some() || raw.keep.age.is_some(), &[File]),
            ("fsync", raw.fsync.is_some(), &[File]),
            ("address", raw.address.is_some(), &[Syslog]),
            ("facility", raw.facility.is_some(), &[Syslog]),
            ("app_name", raw.app_name.is_some(), &[Syslog]),
            ("endpoint", raw.endpoint.is_some(), &[Otlp]),
            ("protocol", raw.protocol.is_some(), &[Otlp]),
            ("headers", !raw.headers.is_empty() || !raw.header_files.is_empty(), &[Otlp]),
            ("tls", raw.tls.is_some(), &[Syslog, Otlp]),
            ("timeout", raw.timeout.is_some(), &[Syslog, Otlp]),
        ];
        for (key, given, kinds) in keys {
            if given && !kinds.contains(&kind) {
                self.faults.push_unless_known(
                    &at.key(key),
                    "has no meaning for a sink of this type",
                    "remove it, or write another `type`",
                );
            }
        }
    }

    fn log_file(
        &mut self,
        at: &At,
        raw: &raw::Sink,
        used: bool,
        taken: &mut Taken,
    ) -> Option<LogFile> {
        let place = at.key("path");
        let path = filled(raw.path.as_deref()).filter(|path| !path.ends_with('/'));
        if path.is_none() {
            let what = if raw.path.is_some() { "not the path of a file" } else { "is missing" };
            self.faults.push_unless_known(&place, what, "name a file, such as `./audit.log`");
        }
        let path = path.map(|path| self.folder.join(path));
        if let Some(path) = &path {
            if taken.paths.contains(path) {
                self.faults.push(&place, "another sink writes to this file", "name another file");
            } else if used {
                self.writable(&place, path, "name a file, or another `type`");
            }
            taken.paths.push(path.clone());
        }
        let rotation = at.key("rotation");
        let size = raw.rotation.size.as_ref();
        let rotate_bytes = size
            .map(|size| self.size(&rotation.key("size"), size, 64 << 10..=1 << 40))
            .and_then(|bytes| u64::try_from(bytes).ok());
        let age = raw.rotation.age.as_ref();
        let rotate_age = age.map(|age| self.span(&rotation.key("age"), age, MINUTE..=YEAR));
        let keep = at.key("keep");
        let keep_files =
            raw.keep.files.map(|most| self.count(&keep.key("files"), most, 1..=100_000));
        let age = raw.keep.age.as_ref();
        let keep_age = age.map(|age| self.span(&keep.key("age"), age, MINUTE..=YEAR));
        self.never_full(at, raw);
        Some(LogFile {
            path: path?,
            rotate_bytes,
            rotate_age,
            compress: raw.compress,
            keep_files,
            keep_age,
            fsync: self.fsync(&at.key("fsync"), raw.fsync.as_ref()),
        })
    }

    /// What is said of full files does nothing where none ever is.
    fn never_full(&mut self, at: &At, raw: &raw::Sink) {
        if raw.rotation.size.is_some() || raw.rotation.age.is_some() {
            return;
        }
        let keeps = raw.keep.files.is_some() || raw.keep.age.is_some();
        for (key, given) in [("compress", raw.compress), ("keep", keeps)] {
            if given && !self.faults.any_in(&at.key("rotation")) {
                self.faults.push_unless_known(
                    &at.key(key),
                    "does nothing, since no file is ever full",
                    "write `rotation: { size: 100MiB, age: 24h }`, or remove it",
                );
            }
        }
    }

    fn fsync(&mut self, at: &At, text: Option<&raw::Fsync>) -> Fsync {
        match text.map(|raw::Fsync(text)| text.as_str()) {
            None | Some("never") => Fsync::Never,
            Some("always") => Fsync::Always,
            Some(text) => {
                if units::span(text).is_none() {
                    self.faults.push(
                        at,
                        "neither `never`, `always` nor a duration",
                        "write one of them, such as `1s`",
                    );
                    return Fsync::Never;
                }
                let span = raw::Span(text.to_owned());
                Fsync::Every(self.span(at, &span, Duration::from_millis(10)..=DAY))
            }
        }
    }
}
