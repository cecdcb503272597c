//! When the certificates end that this process shows to others.

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{Config, Otlp, Sink, SinkTls, Syslog, SyslogAddress, Target};

/// When a certificate ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEnd {
    /// Where it is shown: `cluster`, `traces`, or `sink` and the name of one.
    pub place: String,
    /// When it, or one of those between it and its authority, is good no longer, in seconds since 1970.
    pub ends: i64,
}

impl Config {
    /// When each certificate ends that this process shows to others. Of authorities it is not said: a file may hold many, of
    /// which some have long had their day.
    #[must_use]
    pub fn certificate_ends(&self) -> Vec<CertificateEnd> {
        let cluster = self.cluster.iter().filter_map(|cluster| cluster.tls.as_ref());
        let cluster = cluster.map(|tls| ("cluster".to_owned(), &*tls.cert_pem));
        let traces = self.telemetry.traces.iter().map(|traces| &traces.receiver.tls);
        let traces = traces.filter_map(shown).map(|pem| ("traces".to_owned(), pem));
        let sinks = self.access_log.sinks.iter().filter_map(|sink| {
            let pem = tls_of(sink).and_then(shown)?;
            Some((format!("sink {}", sink.name), pem))
        });
        let all = cluster.chain(traces).chain(sinks);
        all.filter_map(|(place, pem)| Some(CertificateEnd { place, ends: first_end(pem)? }))
            .collect()
    }
}

fn tls_of(sink: &Sink) -> Option<&SinkTls> {
    match &sink.target {
        Target::Syslog(Syslog { address: SyslogAddress::Tls { tls, .. }, .. })
        | Target::Otlp(Otlp { tls, .. }) => Some(tls),
        Target::Stdout | Target::File(_) | Target::Syslog(_) => None,
    }
}

fn shown(tls: &SinkTls) -> Option<&[u8]> {
    tls.identity.as_ref().map(|(certificate, _key)| &**certificate)
}

/// When the first of the certificates in a PEM text ends.
fn first_end(pem: &[u8]) -> Option<i64> {
    let ends = CertificateDer::pem_slice_iter(pem).filter_map(|der| {
        let der = der.ok()?;
        let (_rest, certificate) = X509Certificate::from_der(&der).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    ends.min()
}
