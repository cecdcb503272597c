//! Certificates of the connections between replicas.

use mcp_core::secret::Secret;
use rustls::{
    Error,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    sign::CertifiedKey,
};

use super::{Check, backend::CA_FILE_BYTES_MAX, filled};
use crate::config::{ClusterTls, place::At, raw};

impl Check<'_> {
    pub(super) fn cluster_tls(&mut self, at: &At, raw: &raw::ClusterTls) -> Option<ClusterTls> {
        let [cert_at, key_at, ca_at] = ["cert_file", "key_file", "ca_file"].map(|key| at.key(key));
        let cert = self.named(&cert_at, raw.cert_file.as_deref());
        let key = self.named(&key_at, raw.key_file.as_deref());
        let ca = self.named(&ca_at, raw.ca_file.as_deref());
        let cert_pem = cert.and_then(|file| self.file(&cert_at, file, CA_FILE_BYTES_MAX));
        let key_pem = key.and_then(|file| self.secret_file(&key_at, file));
        let ca_pem = self.ca_pem(&ca_at, ca);
        self.certificate((&cert_at, cert_pem.as_deref()), (&key_at, key_pem.as_ref()));
        let server_name = filled(raw.server_name.as_deref()).map(str::to_ascii_lowercase);
        if server_name.as_deref().is_some_and(|name| ServerName::try_from(name).is_err()) {
            self.faults.push(
                &at.key("server_name"),
                "not a name that a certificate can have",
                "write a host's name or address, such as `promgate.internal`",
            );
        }
        Some(ClusterTls {
            cert_pem: cert_pem?.into(),
            key_pem: key_pem?,
            ca_pem: ca_pem?,
            server_name,
        })
    }

    /// Checks certificates and the key of the first of them, as far as they are at hand.
    pub(super) fn certificate(
        &mut self,
        (cert_at, cert_pem): (&At, Option<&[u8]>),
        (key_at, key_pem): (&At, Option<&Secret>),
    ) {
        let chain = cert_pem.and_then(|pem| self.chain(cert_at, pem));
        let key = key_pem.and_then(|pem| self.private_key(key_at, pem.expose()));
        if let (Some(chain), Some(key)) = (chain, key) {
            self.fit_together((cert_at, chain), (key_at, key));
        }
    }

    fn named<'f>(&mut self, at: &At, file: Option<&'f str>) -> Option<&'f str> {
        let file = filled(file);
        if file.is_none() {
            self.faults.push_unless_known(
                at,
                "is missing",
                "name a PEM file; replicas prove themselves to each other, so each has certificate, key and authority",
            );
        }
        file
    }

    fn chain(&mut self, at: &At, pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        if chain.is_none() {
            self.faults.push(
                at,
                "the file does not hold certificates in PEM form",
                "name a file with a `BEGIN CERTIFICATE` block, this replica's own first",
            );
        }
        chain
    }

    fn private_key(&mut self, at: &At, pem: &str) -> Option<PrivateKeyDer<'static>> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok();
        if key.is_none() {
            self.faults.push(
                at,
                "the file does not hold a private key in PEM form",
                "name a file with a `BEGIN PRIVATE KEY` block and without a pass phrase",
            );
        }
        key
    }

    /// Tries them as a listener would use them.
    fn fit_together(
        &mut self,
        (cert_at, chain): (&At, Vec<CertificateDer<'static>>),
        (key_at, key): (&At, PrivateKeyDer<'static>),
    ) {
        let provider = aws_lc_rs::default_provider();
        if provider.key_provider.load_private_key(key.clone_key()).is_err() {
            self.faults.push(
                key_at,
                "the private key cannot be used",
                "take a key of RSA from 2048 bits, P-256, P-384 or Ed25519",
            );
            return;
        }
        match CertifiedKey::from_der(chain, key, &provider) {
            Ok(_) => {}
            Err(Error::InconsistentKeys(_)) => self.faults.push(
                key_at,
                "the private key is not that of the certificate",
                "name the key with which the certificate in `cert_file` was made",
            ),
            Err(_bad) => self.faults.push(
                cert_at,
                "the first certificate in the file cannot be read",
                "name the file of this replica's own certificate",
            ),
        }
    }
}
