//! Receivers of OpenTelemetry data.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use http::{HeaderName, header};
use url::Url;

use super::{Check, filled};
use crate::config::{Otlp, OtlpProtocol, place::At, raw};

/// Headers that are the transport's.
const RESERVED: [HeaderName; 8] = [
    header::HOST,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::TE,
    HeaderName::from_static("grpc-timeout"),
];

/// A receiver as written. Its keys stand beside others in a section.
pub(super) struct WrittenOtlp<'a> {
    pub(super) endpoint: Option<&'a str>,
    /// Path of an address of HTTP that has none.
    pub(super) path: &'static str,
    pub(super) protocol: Option<raw::OtlpProtocol>,
    pub(super) headers: BTreeMap<String, raw::SecretText>,
    pub(super) header_files: &'a BTreeMap<String, String>,
    pub(super) tls: Option<&'a raw::SinkTls>,
    pub(super) timeout: Duration,
}

impl Check<'_> {
    /// The receiver that the keys of the section `at` describe.
    pub(super) fn otlp(&mut self, at: &At, written: WrittenOtlp<'_>) -> Option<Otlp> {
        let WrittenOtlp { endpoint, path, protocol, headers, header_files, tls, timeout } = written;
        let place = at.key("endpoint");
        let endpoint = filled(endpoint);
        if endpoint.is_none() {
            self.faults.push_unless_known(
                &place,
                "is missing",
                "write the receiver's address, such as `http://127.0.0.1:4318`",
            );
        }
        let endpoint = endpoint.and_then(|text| self.web_address(&place, text));
        let headers = self.further_headers(at, headers, header_files, &RESERVED);
        let tls = tls.map(|tls| self.sink_tls(&at.key("tls"), tls));
        let name = tls.as_ref().and_then(|tls| tls.server_name.as_deref());
        if name.is_some_and(|name| name.parse::<IpAddr>().is_ok()) {
            self.faults.push(
                &at.key("tls").key("server_name"),
                "an address, and receivers are known by a name",
                "write the name in the receiver's certificate, such as `otel.example.com`",
            );
        }
        let mut endpoint = endpoint?;
        if tls.is_some() && endpoint.scheme() != "https" {
            self.faults.push_unless_known(
                &at.key("tls"),
                "has no meaning without TLS",
                "write `https://` in `endpoint`, or remove it",
            );
        }
        let protocol = match protocol {
            Some(raw::OtlpProtocol::Grpc) => OtlpProtocol::Grpc,
            Some(raw::OtlpProtocol::HttpProtobuf) | None => OtlpProtocol::HttpProtobuf,
        };
        self.endpoint_path(&place, &mut endpoint, (protocol, path));
        Some(Otlp { endpoint, protocol, headers, tls: tls.unwrap_or_default(), timeout })
    }

    /// Completes the address: HTTP has a path for each kind of data, gRPC has the service's.
    fn endpoint_path(
        &mut self,
        at: &At,
        endpoint: &mut Url,
        (protocol, path): (OtlpProtocol, &'static str),
    ) {
        let has_path = endpoint.path() != "/";
        if endpoint.query().is_some() || endpoint.fragment().is_some() {
            self.faults.push(
                at,
                "the address holds a query or fragment",
                "remove what follows `?` or `#`",
            );
        }
        match protocol {
            OtlpProtocol::HttpProtobuf if !has_path => endpoint.set_path(path),
            OtlpProtocol::Grpc if has_path => self.faults.push(
                at,
                "the address holds a path, and gRPC has its own",
                "write scheme, host and port alone, or `protocol: http/protobuf`",
            ),
            OtlpProtocol::HttpProtobuf | OtlpProtocol::Grpc => {}
        }
    }
}
