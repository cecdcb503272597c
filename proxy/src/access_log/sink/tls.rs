//! TLS towards a sink.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::{access_log::AccessLogError, config::SinkTls};

/// Trust in the given authorities alone, or in those that the system trusts, and our certificate where there is one.
pub(super) fn client_config(tls: &SinkTls) -> Result<ClientConfig, AccessLogError> {
    // That of the process; `main` chose it.
    let provider = CryptoProvider::get_default();
    let provider = provider.map_or_else(|| Arc::new(aws_lc_rs::default_provider()), Arc::clone);
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().map_err(AccessLogError::Tls)?;
    let config = match &tls.ca_pem {
        None => config.with_platform_verifier().map_err(AccessLogError::Tls)?,
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(AccessLogError::Pem)?;
                roots.add(certificate).map_err(AccessLogError::Tls)?;
            }
            config.with_root_certificates(roots)
        }
    };
    let Some((certificate, key)) = &tls.identity else { return Ok(config.with_no_client_auth()) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let key =
        PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(AccessLogError::Pem)?;
    config
        .with_client_auth_cert(chain.map_err(AccessLogError::Pem)?, key)
        .map_err(AccessLogError::Tls)
}
