//! The access log.

use http::{HeaderName, header};

use super::{
    Check,
    sinks::{QUEUE_BYTES, Terms},
};
use crate::config::{AccessLog, place::At, raw};

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
    /// `used` says that records will be written, so that files must be fit for them; `forwarded` is a header of
    /// tokens beside the usual ones.
    pub(super) fn access_log(
        &mut self,
        raw: raw::AccessLogs,
        used: bool,
        forwarded: Option<&HeaderName>,
    ) -> AccessLog {
        let at = At::from(["middleware", "access_logs"]);
        let mut taken = Vec::new();
        let excluded = self.headers(&at, "excluded_headers", &raw.excluded_headers, &mut taken);
        let redacted = self.headers(&at, "redacted_headers", &raw.redacted_headers, &mut taken);
        self.secret_headers(&at.key("included_headers"), &raw.included_headers, forwarded);
        let included = self.headers(&at, "included_headers", &raw.included_headers, &mut taken);
        let has_keys = !raw.audit.keys.is_empty() || !raw.audit.key_files.is_empty();
        let records = self.records(&at, &raw, has_keys);
        let audit = self.audit(&at.key("audit"), raw.audit);
        let place = at.key("queue_bytes_max");
        let queue_bytes_max = self.size(&place, &raw.queue_bytes_max, QUEUE_BYTES);
        let terms = Terms { used, sealed: !audit.keys.is_empty(), queue_bytes_max };
        AccessLog {
            sinks: self.sinks(&at, raw.output.as_deref(), raw.sinks, &terms),
            audit,
            included_headers: included,
            excluded_headers: excluded,
            redacted_headers: redacted,
            records,
        }
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
