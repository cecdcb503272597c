//! The places of sinks: files that can be written, syslog servers, OTLP receivers; and what happens when they are full.

use std::{collections::BTreeMap, fs::OpenOptions, io, path::Path, time::Duration};

use rustix::fs::Access;
use rustls::pki_types::ServerName;

use super::{Check, backend::CA_FILE_BYTES_MAX, filled, host, otlp::WrittenOtlp};
use crate::config::{
    LogFile, Otlp, SinkTls, Syslog, SyslogAddress, WhenFull, file::reason, place::At, raw,
};

const SECOND: Duration = Duration::from_secs(1);

/// How long a sink may take to connect, or to take something.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request waits for room for its record: longer than a disk or a server that restarts is away, and not longer
/// than most clients wait.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// The ports of syslog over TCP and over TLS. Spec: RFC 6587 §3.2 (in use, not assigned), RFC 5425 §4.1.
const SYSLOG_PORT: u16 = 514;
const SYSLOG_TLS_PORT: u16 = 6514;

/// Longest `APP-NAME`, in bytes. Spec: RFC 5424 §6.
const APP_NAME_BYTES_MAX: usize = 48;

/// Longest path of a socket, in bytes: the kernel's limit without its end.
const SOCKET_BYTES_MAX: usize = 107;

impl Check<'_> {
    /// Finds what would keep the file from being opened or made, and makes nothing.
    pub(super) fn writable(&mut self, at: &At, path: &Path, other: &str) {
        let Err(error) = appendable(path) else { return };
        let (what, mend) = match error {
            Unwritable::NotAFile => {
                ("the access log is a pipe, a socket or a disk".to_owned(), other.to_owned())
            }
            Unwritable::Folder(error) => (
                format!("the access log cannot be made in its folder: {}", reason(&error)),
                format!("make the folder and let this user write to it; or {other}"),
            ),
            Unwritable::File(error) => (
                format!("the access log cannot be written: {}", reason(&error)),
                format!("let this user write to the file; or {other}"),
            ),
        };
        self.faults.push_unless_known(at, what, mend);
    }

    pub(super) fn syslog(&mut self, at: &At, raw: &raw::Sink) -> Option<Syslog> {
        let place = at.key("address");
        let address = filled(raw.address.as_deref());
        if address.is_none() {
            self.faults.push_unless_known(&place, "is missing", SYSLOG_EXAMPLE);
        }
        let app_name = raw.app_name.as_deref().unwrap_or("promgate");
        if app_name.is_empty()
            || app_name.len() > APP_NAME_BYTES_MAX
            || !app_name.bytes().all(|b| b.is_ascii_graphic())
        {
            let what = format!("not 1 to {APP_NAME_BYTES_MAX} visible ASCII characters");
            self.faults.push(&at.key("app_name"), what, "write a short name, such as `promgate`");
        }
        let timeout = self.sink_timeout(at, raw);
        let tls = raw.tls.as_ref().map(|tls| self.sink_tls(&at.key("tls"), tls));
        let given = tls.is_some();
        let address = self.syslog_address(&place, address?, tls.unwrap_or_default())?;
        if given && !matches!(address, SyslogAddress::Tls { .. }) {
            self.faults.push_unless_known(
                &at.key("tls"),
                "has no meaning without TLS",
                "write `tls://` in `address`, or remove it",
            );
        }
        Some(Syslog {
            address,
            facility: facility(raw.facility.unwrap_or(raw::Facility::Local0)),
            app_name: app_name.to_owned(),
            timeout,
        })
    }

    fn syslog_address(&mut self, at: &At, text: &str, tls: SinkTls) -> Option<SyslogAddress> {
        if let Some(path) = text.strip_prefix("unix://") {
            let named = !path.is_empty() && !path.ends_with('/');
            let path = self.folder.join(path);
            if path.as_os_str().len() > SOCKET_BYTES_MAX || !named {
                let what = format!("not the path of a socket of at most {SOCKET_BYTES_MAX} bytes");
                self.faults.push(at, what, "write `unix:///run/log.sock`");
                return None;
            }
            return Some(SyslogAddress::Unix(path));
        }
        let parts = text.split_once("://");
        let Some((scheme, host)) = parts.filter(|(scheme, _)| matches!(*scheme, "tcp" | "tls"))
        else {
            self.faults.push(at, "not the address of a syslog server", SYSLOG_EXAMPLE);
            return None;
        };
        let found = host::authority(host).filter(|(host, port)| {
            *port != Some(0) && (host.parse::<std::net::IpAddr>().is_ok() || host::is_name(host))
        });
        let Some((host, port)) = found else {
            self.faults.push(at, "not the address of a syslog server", SYSLOG_EXAMPLE);
            return None;
        };
        Some(if scheme == "tcp" {
            SyslogAddress::Tcp { host, port: port.unwrap_or(SYSLOG_PORT) }
        } else {
            SyslogAddress::Tls { host, port: port.unwrap_or(SYSLOG_TLS_PORT), tls }
        })
    }

    pub(super) fn otlp_sink(
        &mut self,
        at: &At,
        raw: &raw::Sink,
        headers: BTreeMap<String, raw::SecretText>,
    ) -> Option<Otlp> {
        let timeout = self.sink_timeout(at, raw);
        let written = WrittenOtlp {
            endpoint: raw.endpoint.as_deref(),
            path: "/v1/logs",
            protocol: raw.protocol,
            headers,
            header_files: &raw.header_files,
            tls: raw.tls.as_ref(),
            timeout,
        };
        self.otlp(at, written)
    }

    /// What happens when it cannot take more, and how long requests wait.
    pub(super) fn when_full(&mut self, at: &At, raw: &raw::Sink) -> WhenFull {
        let place = at.key("block_timeout");
        let timeout = raw.block_timeout.as_ref();
        let when_full = match raw.when_full {
            raw::WhenFull::Drop => WhenFull::Drop,
            raw::WhenFull::Refuse => WhenFull::Refuse,
            raw::WhenFull::Block => {
                let range = Duration::from_millis(100)..=SECOND * 3600;
                let given = timeout.map(|span| self.span(&place, span, range));
                return WhenFull::Block(given.unwrap_or(BLOCK_TIMEOUT));
            }
        };
        if timeout.is_some() {
            self.faults.push_unless_known(
                &place,
                "has no meaning where requests do not wait",
                "remove it, or write `when_full: block`",
            );
        }
        when_full
    }

    fn sink_timeout(&mut self, at: &At, raw: &raw::Sink) -> Duration {
        let range = Duration::from_millis(100)..=SECOND * 60;
        raw.timeout.as_ref().map_or(TIMEOUT, |span| self.span(&at.key("timeout"), span, range))
    }

    pub(super) fn sink_tls(&mut self, at: &At, raw: &raw::SinkTls) -> SinkTls {
        let ca_pem = self.ca_pem(&at.key("ca_file"), raw.ca_file.as_deref());
        let (cert_at, key_at) = (at.key("cert_file"), at.key("key_file"));
        let files = (filled(raw.cert_file.as_deref()), filled(raw.key_file.as_deref()));
        let identity = match files {
            (None, None) => None,
            (Some(_), None) => {
                let mend = "name the file of the certificate's private key";
                self.faults.push_unless_known(&key_at, "is missing beside `cert_file`", mend);
                None
            }
            (None, Some(_)) => {
                let mend = "name the file of the key's certificate";
                self.faults.push_unless_known(&cert_at, "is missing beside `key_file`", mend);
                None
            }
            (Some(cert), Some(key)) => {
                let cert_pem = self.file(&cert_at, cert, CA_FILE_BYTES_MAX);
                let key_pem = self.secret_file(&key_at, key);
                self.certificate((&cert_at, cert_pem.as_deref()), (&key_at, key_pem.as_ref()));
                cert_pem.map(Into::into).zip(key_pem)
            }
        };
        let server_name = filled(raw.server_name.as_deref()).map(str::to_ascii_lowercase);
        if server_name.as_deref().is_some_and(|name| ServerName::try_from(name).is_err()) {
            self.faults.push(
                &at.key("server_name"),
                "not a name that a certificate can have",
                "write a host's name or address, such as `logs.example.com`",
            );
        }
        SinkTls { ca_pem, identity, server_name }
    }
}

const SYSLOG_EXAMPLE: &str = "write `tcp://host:514`, `tls://host:6514` or `unix:///run/log.sock`";

/// Its number. Spec: RFC 5424 §6.2.1, table 1.
const fn facility(raw: raw::Facility) -> u8 {
    match raw {
        raw::Facility::User => 1,
        raw::Facility::Daemon => 3,
        raw::Facility::Auth => 4,
        raw::Facility::Authpriv => 10,
        raw::Facility::Local0 => 16,
        raw::Facility::Local1 => 17,
        raw::Facility::Local2 => 18,
        raw::Facility::Local3 => 19,
        raw::Facility::Local4 => 20,
        raw::Facility::Local5 => 21,
        raw::Facility::Local6 => 22,
        raw::Facility::Local7 => 23,
    }
}

/// Why a file cannot take records.
enum Unwritable {
    NotAFile,
    Folder(io::Error),
    File(io::Error),
}

fn appendable(path: &Path) -> Result<(), Unwritable> {
    match path.metadata() {
        Ok(found) if !LogFile::may_be(found.file_type()) => Err(Unwritable::NotAFile),
        Ok(_) => OpenOptions::new().append(true).open(path).map(drop).map_err(Unwritable::File),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let wanted = Access::WRITE_OK | Access::EXEC_OK;
            rustix::fs::access(folder.unwrap_or(Path::new(".")), wanted)
                .map_err(|error| Unwritable::Folder(error.into()))
        }
        Err(error) => Err(Unwritable::File(error)),
    }
}
