//! Receivers of OpenTelemetry data.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, HeaderName, header};
use url::Url;

use super::{Check, filled};
use crate::config::{Otlp, OtlpProtocol, place::At, raw};

/// Most further headers of a receiver.
const HEADERS_MAX: usize = 32;

/// Headers that sending sets itself.
const RESERVED: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::TE,
    HeaderName::from_static("grpc-timeout"),
];

/// A receiver as written. Its keys stand beside others in a section.
pub(super) struct WrittenOtlp<'a> {
    pub(super) endpoint: &'a str,
    pub(super) protocol: raw::OtlpProtocol,
    pub(super) headers: BTreeMap<String, raw::SecretText>,
    pub(super) header_files: &'a BTreeMap<String, String>,
    pub(super) ca_file: Option<&'a str>,
    pub(super) timeout: &'a raw::Span,
}

impl Check<'_> {
    /// The receiver that the keys of the section `at` describe.
    pub(super) fn otlp(&mut self, at: &At, written: WrittenOtlp<'_>) -> Option<Otlp> {
        let protocol = match written.protocol {
            raw::OtlpProtocol::Grpc => OtlpProtocol::Grpc,
            raw::OtlpProtocol::HttpProtobuf => OtlpProtocol::HttpProtobuf,
        };
        let endpoint = self.otlp_endpoint(&at.key("endpoint"), written.endpoint, protocol);
        let headers = self.otlp_headers(at, written.headers, written.header_files);
        let ca_pem = self.ca_pem(&at.key("tls").key("ca_file"), filled(written.ca_file));
        let range = Duration::from_millis(1)..=Duration::from_mins(5);
        let timeout = self.span(&at.key("timeout"), written.timeout, range);
        Some(Otlp { endpoint: endpoint?, protocol, headers, ca_pem, timeout })
    }

    fn otlp_endpoint(&mut self, at: &At, text: &str, protocol: OtlpProtocol) -> Option<Url> {
        let url = self.web_address(at, text)?;
        if url.query().is_some() || url.fragment().is_some() {
            let mend = "remove what follows `?` or `#`; keys of the receiver go to `headers`";
            self.faults.push(at, "the address holds a query or fragment", mend);
        } else if protocol == OtlpProtocol::Grpc && url.path() != "/" {
            let mend = "remove what follows the port, or write `protocol: http/protobuf`";
            self.faults.push(at, "gRPC knows no path behind an address", mend);
        }
        Some(url)
    }

    fn otlp_headers(
        &mut self,
        at: &At,
        values: BTreeMap<String, raw::SecretText>,
        files: &BTreeMap<String, String>,
    ) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if values.len() + files.len() > HEADERS_MAX {
            let what = format!("there are more than {HEADERS_MAX} headers");
            self.faults.push(&at.key("headers"), what, "remove some");
        }
        for (name, raw::SecretText(value)) in values {
            let place = at.key("headers").key(&name);
            if let Some(name) = self.otlp_header(&place, &name) {
                self.put_header(&place, name, &value, &mut headers);
            }
        }
        for (name, file) in files {
            let place = at.key("header_files").key(name);
            let name = self.otlp_header(&place, name);
            if let (Some(name), Some(value)) = (name, self.secret_file(&place, file)) {
                self.put_header(&place, name, &value, &mut headers);
            }
        }
        headers
    }

    fn otlp_header(&mut self, at: &At, name: &str) -> Option<HeaderName> {
        let name = self.header_name(at, name)?;
        if RESERVED.contains(&name) {
            self.faults.push(at, "Promgate sets this header itself", "remove it");
            return None;
        }
        Some(name)
    }
}
