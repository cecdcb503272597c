//! Logs on disk, written by what writes them when serving, then changed.

mod hostile;
mod named;
mod searched;
mod summed;
mod verified;

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use mcp_core::{principal::Principal, secret::Secret};

use super::*;
use crate::{
    access_log::{
        Call, Record, Rules, Tell as _,
        chain::{AuditKey, ChainId, CheckpointReason, Notice, Sealer, Torn, Trust, head_path},
        identity::{Identities, Identity},
        pseudonym::Pseudonyms,
    },
    config::{self, IdentityForm, SinkFormat},
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";
const ISSUER: &str = "https://idp.example.com";

fn sealer(secret: &str, format: SinkFormat) -> Sealer {
    let key = AuditKey::new(&Secret::new(secret)).unwrap();
    Sealer::begin(key, format, ChainId::random().unwrap())
}

fn keys(folder: &Path, secret: &str) -> Keys {
    let path = folder.join(format!("{secret}.key"));
    fs::write(&path, format!("{secret}\n")).unwrap();
    Keys::of_files(&[path]).unwrap()
}

/// What is told of a call.
static CALL: LazyLock<Call<'static>> =
    LazyLock::new(|| Call { backend: Some("main"), rows: Some(3), ..Call::default() });

/// What a record of a caller says.
fn record<'r>(id: &'r str, identity: Option<&'r Identity>) -> Record<'r> {
    Record {
        request_id: id.as_bytes(),
        method: "POST",
        path: b"/mcp",
        status: Some(200),
        duration: Duration::from_millis(5),
        bytes_in: 100,
        bytes_out: 1000,
        rpc_method: Some("tools/call"),
        tool: Some("prometheus_query"),
        call: Some(&CALL),
        identity,
        ..Record::default()
    }
}

/// A log that is being written, a record a second.
struct Written {
    folder: tempfile::TempDir,
    sealer: Sealer,
    format: SinkFormat,
    rules: Rules,
    time: SystemTime,
    records: u64,
}

impl Written {
    fn new() -> Self {
        Self::by(SECRET, SinkFormat::Json)
    }

    fn by(secret: &str, format: SinkFormat) -> Self {
        let written = Self {
            folder: tempfile::tempdir().unwrap(),
            sealer: sealer(secret, format),
            format,
            rules: Rules::new(&config::AccessLog::off(), None),
            // 2026-11-30T00:00:00Z
            time: SystemTime::UNIX_EPOCH + Duration::from_hours(498_888),
            records: 0,
        };
        written.start(None, None)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    /// Without a checkpoint it has no head file, which is no fault here.
    fn log(&self) -> Log {
        logs(&[self.path()]).unwrap().remove(0).as_copy()
    }

    fn keys(&self) -> Keys {
        keys(self.folder.path(), SECRET)
    }

    fn append(&self, bytes: &[u8]) {
        let mut file = File::options().append(true).create(true).open(self.path()).unwrap();
        file.write_all(bytes).unwrap();
    }

    fn start(mut self, torn: Option<Torn>, notice: Option<Notice>) -> Self {
        let mut out = Vec::new();
        self.sealer.start((torn, notice), self.time, &mut out);
        self.append(&out);
        self
    }

    fn record(mut self, record: &Record<'_>) -> Self {
        let mut line = Vec::new();
        self.time += Duration::from_secs(1);
        self.records += 1;
        let format = match self.format {
            SinkFormat::Ecs => crate::access_log::Format::Ecs,
            SinkFormat::Json | SinkFormat::Otlp => crate::access_log::Format::Json,
        };
        Record { time: self.time, ..*record }.write(format, &self.rules, &mut line);
        let mut out = Vec::new();
        self.sealer.seal(&line, &mut out);
        self.append(&out);
        self
    }

    fn records(self, count: usize) -> Self {
        (0..count).fold(self, |written, _| {
            let id = format!("request-{}", written.records + 1);
            written.record(&record(&id, None))
        })
    }

    fn event(mut self, event: &crate::access_log::chain::Event) -> Self {
        let mut out = Vec::new();
        self.sealer.event(event, self.time, &mut out);
        self.append(&out);
        self
    }

    fn checkpoint(mut self, reason: CheckpointReason) -> Self {
        let mut out = Vec::new();
        self.sealer.checkpoint(reason, self.time, &mut out);
        self.append(&out);
        fs::write(head_path(&self.path()), out).unwrap();
        self
    }

    fn full(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("audit.log.2026110{number}T000000.000Z"))
    }

    fn rotate(self, number: usize) -> Self {
        let written = self.checkpoint(CheckpointReason::Rotation);
        fs::rename(written.path(), written.full(number)).unwrap();
        written.start(None, None)
    }

    fn verdict(&self) -> Verdict {
        verify(&self.log(), &self.keys().trust(), &Kept::default(), 100).unwrap()
    }
}

fn pack(path: &Path) {
    let to = File::create(format!("{}.gz", path.display())).unwrap();
    let mut packer = GzEncoder::new(to, Compression::fast());
    packer.write_all(&fs::read(path).unwrap()).unwrap();
    packer.finish().unwrap();
    fs::remove_file(path).unwrap();
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let mut lines: Vec<String> =
        fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

/// What was found: name of the file, line, number, word.
fn found(verdict: &Verdict) -> Vec<(String, Option<u64>, Option<u64>, &'static str)> {
    let file = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    verdict
        .findings()
        .iter()
        .map(|finding| (file(&finding.file), finding.line, finding.seq, finding.what.word()))
        .collect()
}

fn identity(form: IdentityForm, subject: &str, secret: &str) -> Identity {
    let forms = config::Identity {
        issuer: IdentityForm::Clear,
        subject: form,
        client_id: form,
        groups: form,
    };
    let pseudonyms = Pseudonyms::new(&[Secret::new(secret)]).unwrap();
    Identities::new(forms, Some(Arc::new(pseudonyms))).of(&Principal {
        issuer: ISSUER.into(),
        subject: subject.into(),
        client_id: Some("assistant".into()),
        groups: vec!["sre".to_owned(), "dev".to_owned()],
        scopes: Vec::new(),
    })
}
