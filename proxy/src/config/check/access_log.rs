//! The access log.

use std::{fs::OpenOptions, io, path::Path};

use http::{HeaderName, header};
use rustix::fs::Access;

use super::Check;
use crate::config::{AccessLog, AccessLogOutput, Records, file::reason, place::At, raw};

/// Request headers that hold secrets and can therefore never be written in the clear.
const SECRET_HEADERS: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-validated-jwt"),
];

impl Check<'_> {
    /// `used` says that records will be written, so that the file must be fit for it; `forwarded` is a header of
    /// tokens beside the usual ones.
    pub(super) fn access_log(
        &mut self,
        raw: &raw::AccessLogs,
        used: bool,
        forwarded: Option<&HeaderName>,
    ) -> AccessLog {
        let at = At::from(["middleware", "access_logs"]);
        let mut taken = Vec::new();
        let excluded = self.headers(&at, "excluded_headers", &raw.excluded_headers, &mut taken);
        let redacted = self.headers(&at, "redacted_headers", &raw.redacted_headers, &mut taken);
        self.secret_headers(&at.key("included_headers"), &raw.included_headers, forwarded);
        let included = self.headers(&at, "included_headers", &raw.included_headers, &mut taken);
        let output = self.output(&at.key("output"), &raw.output);
        if used && let AccessLogOutput::File(path) = &output {
            self.writable(&at.key("output"), path);
        }
        AccessLog {
            output,
            included_headers: included,
            excluded_headers: excluded,
            redacted_headers: redacted,
            records: Records::default(),
            queue_bytes_max: self.size(
                &at.key("queue_bytes_max"),
                &raw.queue_bytes_max,
                64 << 10..=1 << 30,
            ),
        }
    }

    fn output(&mut self, at: &At, text: &str) -> AccessLogOutput {
        match text {
            "stdout" => return AccessLogOutput::Stdout,
            "off" => return AccessLogOutput::Off,
            path if path.contains('/') && !path.ends_with('/') => {}
            _ => self.faults.push(
                at,
                "neither `stdout`, `off` nor the path of a file",
                "write one of them; a path holds a `/`, as in `./access.log`",
            ),
        }
        AccessLogOutput::File(self.folder.join(text))
    }

    /// Finds what would keep the file from being opened or made, and makes nothing.
    fn writable(&mut self, at: &At, path: &Path) {
        let Err(error) = appendable(path) else { return };
        let (what, mend) = match error {
            Unwritable::NotAFile => (
                "the access log is a pipe, a socket or a disk".to_owned(),
                "name a file, or write `stdout` or `off`",
            ),
            Unwritable::Folder(error) => (
                format!("the access log cannot be made in its folder: {}", reason(&error)),
                "make the folder and let this user write to it, name another file, or write \
                 `stdout` or `off`",
            ),
            Unwritable::File(error) => (
                format!("the access log cannot be written: {}", reason(&error)),
                "let this user write to the file, name another one, or write `stdout` or `off`",
            ),
        };
        self.faults.push_unless_known(at, what, mend);
    }

    /// Those of the list that may not be written in the clear.
    fn secret_headers(&mut self, at: &At, list: &[String], forwarded: Option<&HeaderName>) {
        for (place, text) in self.items(at, list) {
            let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else { continue };
            if SECRET_HEADERS.contains(&name) || forwarded == Some(&name) {
                self.faults.push(
                    &place,
                    "this header holds a secret",
                    "move it to `redacted_headers`, which records that it was sent",
                );
            }
        }
    }

    /// The names of one list; `taken` holds those of the lists before it.
    fn headers(
        &mut self,
        section: &At,
        key: &'static str,
        list: &[String],
        taken: &mut Vec<(HeaderName, &'static str)>,
    ) -> Vec<HeaderName> {
        let mut names = Vec::new();
        for (place, text) in self.items(&section.key(key), list) {
            let Some(name) = self.header_name(&place, text) else { continue };
            match taken.iter().find(|(other, _)| *other == name) {
                Some((_, list)) if *list != key => {
                    let what = format!("this header is in `{list}` too");
                    self.faults.push(&place, what, "keep it in one of the two lists");
                }
                Some(_) => {}
                None => {
                    taken.push((name.clone(), key));
                    names.push(name);
                }
            }
        }
        names
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
        Ok(found) if !AccessLogOutput::may_be(found.file_type()) => Err(Unwritable::NotAFile),
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
