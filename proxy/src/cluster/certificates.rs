//! Mutual TLS between replicas.
//!
//! Pingora reads certificates where it needs them and panics over what it cannot read. So all is tried here
//! first, at the start and whenever others take their place.

use std::{fmt, net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use pingora::{
    listeners::{ALPN, TlsAccept, tls::TlsSettings},
    protocols::tls::CaType,
    upstreams::peer::HttpPeer,
    utils::tls::{CertKey, WrappedX509, parse_x509},
};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::{
        danger::HandshakeSignatureValid, verify_server_cert_signed_by_trust_anchor,
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem, pem::PemObject},
    server::{
        ClientHello, ParsedCertificate, ResolvesServerCert, VerifierBuilderError,
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::config::ClusterTls;

/// Certificates that replicas cannot use.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A PEM text cannot be read.
    #[error("`cluster.tls.{key}` is no PEM text that can be read")]
    Pem {
        /// The key that names its file.
        key: &'static str,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// A PEM text without a certificate.
    #[error("`cluster.tls.{0}` holds no certificate")]
    Empty(&'static str),
    /// A certificate is none.
    #[error("`cluster.tls.{0}` holds a certificate that cannot be read")]
    Certificate(&'static str),
    /// The key does not fit the certificate, or is of a kind that is not supported.
    #[error("`cluster.tls.key_file` does not fit the certificate in `cluster.tls.cert_file`")]
    Key(#[source] rustls::Error),
    /// An authority cannot be trusted as one.
    #[error("`cluster.tls.ca_file` holds a certificate that cannot be an authority's")]
    Authority(#[source] rustls::Error),
    /// Clients cannot be checked with these authorities.
    #[error("`cluster.tls.ca_file` cannot be used to check who connects")]
    Verifier(#[from] VerifierBuilderError),
    /// Other replicas would not take our own certificate.
    #[error(
        "other replicas would not take the certificate in `cluster.tls.cert_file` from a {role}: have it issued by an \
         authority in `cluster.tls.ca_file`, for servers and clients, and to be good now"
    )]
    Untrusted {
        /// As what we would show it: `server` or `client`.
        role: &'static str,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// Our certificate is not for the name that all replicas have.
    #[error(
        "the certificate in `cluster.tls.cert_file` is not for the name in `cluster.tls.server_name`, by which other \
         replicas check it"
    )]
    Name(#[source] rustls::Error),
    /// Pingora takes no settings.
    #[error("the settings of the listener between replicas cannot be made")]
    Settings(#[source] Box<pingora::Error>),
}

/// What this replica shows to others, and whom it believes: both as the last reload left them.
pub(super) struct Certificates(Arc<InUse>);

/// What the listener asks at each handshake.
struct InUse(ArcSwap<Material>);

/// Certificates that were tried.
struct Material {
    own: Arc<CertKey>,
    authorities: Arc<CaType>,
    server_name: Option<String>,
    certified: Arc<CertifiedKey>,
    verifier: Arc<dyn ClientCertVerifier>,
    /// Counts the reloads, so that no connection is used again that was made by what came before.
    generation: u64,
}

/// Says nothing in a handshake: settings with a certificate of our own are made with somebody who may.
struct Silent;

impl TlsAccept for Silent {}

impl Material {
    fn read(config: &ClusterTls, generation: u64) -> Result<Self, CertificateError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = certificates("cert_file", &config.cert_pem)?;
        let authorities = certificates("ca_file", &config.ca_pem)?;
        let key = PrivateKeyDer::from_pem_slice(config.key_pem.expose().as_bytes())
            .map_err(|source| CertificateError::Pem { key: "key_file", source })?;
        let own = CertKey::new(
            chain.iter().map(|certificate| certificate.to_vec()).collect(),
            key.secret_der().to_vec(),
        );
        let certified =
            CertifiedKey::from_der(chain.clone(), key, &provider).map_err(CertificateError::Key)?;
        let wrapped = authorities.iter().map(|der| WrappedX509::new(der.to_vec(), parse_x509));
        let wrapped = wrapped.collect();
        let roots = Arc::new(roots(authorities)?);
        let checker =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let verifier = checker.build()?;
        check_own(&chain, config.server_name.as_deref(), &roots, (&*verifier, &provider))?;
        Ok(Self {
            own: Arc::new(own),
            authorities: wrapped,
            server_name: config.server_name.clone(),
            certified: Arc::new(certified),
            verifier,
            generation,
        })
    }
}

impl Certificates {
    pub(super) fn read(config: &ClusterTls) -> Result<Self, CertificateError> {
        let material = Material::read(config, 0)?;
        Ok(Self(Arc::new(InUse(ArcSwap::from_pointee(material)))))
    }

    /// Uses others for every handshake from now on. What is wrong with them is found before.
    pub(super) fn replace(&self, config: &ClusterTls) -> Result<(), CertificateError> {
        let generation = self.0.0.load().generation + 1;
        self.0.0.store(Arc::new(Material::read(config, generation)?));
        Ok(())
    }

    /// How a peer at `address` that was found as `host` is connected to.
    pub(super) fn peer(&self, address: SocketAddr, host: &str) -> HttpPeer {
        let material = self.0.0.load();
        let name = material.server_name.as_deref().unwrap_or(host);
        // Pingora checks no certificate for an empty name. The address is one that the certificate can bear.
        let name = if name.is_empty() { address.ip().to_string() } else { name.to_owned() };
        let mut peer = HttpPeer::new(address, true, name);
        peer.client_cert_key = Some(Arc::clone(&material.own));
        peer.options.ca = Some(Arc::clone(&material.authorities));
        peer.group_key = material.generation;
        peer
    }

    /// How the peer listener speaks TLS: only with clients that bring a certificate of the authority, and only
    /// HTTP/2.
    pub(super) fn listener(&self) -> Result<TlsSettings, CertificateError> {
        let settings = TlsSettings::with_callbacks(Box::new(Silent));
        let mut settings = settings.map_err(CertificateError::Settings)?;
        settings.set_cert_resolver(Arc::<InUse>::clone(&self.0));
        settings.set_client_cert_verifier(Arc::<InUse>::clone(&self.0));
        settings.set_alpn(ALPN::H2);
        Ok(settings)
    }
}

impl ResolvesServerCert for InUse {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified))
    }
}

impl ClientCertVerifier for InUse {
    /// No hints: they would have to outlive a reload, and a replica has one certificate to show.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.0.load().verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.load().verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.load().verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().verifier.supported_verify_schemes()
    }
}

impl fmt::Debug for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InUse").finish_non_exhaustive()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

/// All certificates of a PEM text, at least one, each of which Pingora can read.
fn certificates(
    key: &'static str,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let certificates = read.map_err(|source| CertificateError::Pem { key, source })?;
    if certificates.is_empty() {
        return Err(CertificateError::Empty(key));
    }
    if certificates.iter().any(|der| X509Certificate::from_der(der).is_err()) {
        return Err(CertificateError::Certificate(key));
    }
    Ok(certificates)
}

fn roots(authorities: Vec<CertificateDer<'static>>) -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(CertificateError::Authority)?;
    }
    Ok(roots)
}

/// Checks our own certificate as another replica will that has the same authorities, when it connects to us and when we
/// connect to it. One that fails here would cost us every peer.
fn check_own(
    chain: &[CertificateDer<'_>],
    server_name: Option<&str>,
    roots: &RootCertStore,
    (verifier, provider): (&dyn ClientCertVerifier, &CryptoProvider),
) -> Result<(), CertificateError> {
    let Some((leaf, between)) = chain.split_first() else {
        return Err(CertificateError::Empty("cert_file"));
    };
    let untrusted = |role| move |source| CertificateError::Untrusted { role, source };
    let now = UnixTime::now();
    let parsed = ParsedCertificate::try_from(leaf).map_err(untrusted("server"))?;
    let algorithms = provider.signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, between, now, algorithms)
        .map_err(untrusted("server"))?;
    verifier.verify_client_cert(leaf, between, now).map_err(untrusted("client"))?;
    if let Some(name) = server_name {
        let name = ServerName::try_from(name)
            .map_err(|_malformed| rustls::Error::General("the name is none".to_owned()));
        name.and_then(|name| verify_server_name(&parsed, &name)).map_err(CertificateError::Name)?;
    }
    Ok(())
}
