//! A connection to Redis: TCP, TLS where it is asked for, and our name and password.

use std::{io, pin::Pin, sync::Arc};

use redis::{AsyncConnectionConfig, RedisConnectionInfo, aio::MultiplexedConnection};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{StoreDown, StoreError};
use crate::config::RedisStore;

/// What carries questions and answers of a connection; it ends when the connection does.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the store is, and who we are there.
pub(super) struct Target {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    introduction: RedisConnectionInfo,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotConnect {
    /// The name does not resolve, or nobody listens there.
    #[error("no connection")]
    Tcp(#[source] io::Error),
    /// The certificate is not to be trusted, or it does not speak TLS.
    #[error("no TLS session")]
    Tls(#[source] io::Error),
    /// It did not take our name, password or database.
    // The library's own error is not kept: a server that does not know a command repeats it, password and all.
    #[error("no answer to our greeting")]
    Greeting(#[source] StoreDown),
    /// One of this took too long.
    #[error("not connected in time")]
    Slow,
}

impl CannotConnect {
    /// What it means for who asks.
    pub(super) fn down(&self) -> StoreDown {
        match self {
            Self::Tcp(_) | Self::Tls(_) => StoreDown::Unreachable,
            Self::Greeting(down) => *down,
            Self::Slow => StoreDown::Timeout,
        }
    }
}

impl Target {
    /// Reads what the settings say. No file is read later on, and nothing is connected yet.
    ///
    /// # Errors
    /// [`StoreError::Host`] and [`StoreError::Trust`], where TLS cannot be used with the host or the authorities.
    pub(super) fn new(config: &RedisStore) -> Result<Self, StoreError> {
        let tls = if config.tls {
            let name = ServerName::try_from(config.host.clone()).map_err(StoreError::Host)?;
            let trust = client_config(config.ca_pem.as_deref())?;
            Some((TlsConnector::from(Arc::new(trust)), name))
        } else {
            None
        };
        // Redis before 7.2 does not know the command that tells it the name of the library.
        let mut introduction =
            RedisConnectionInfo::default().set_db(config.database.into()).set_skip_set_lib_name();
        if let Some(username) = &config.username {
            introduction = introduction.set_username(username);
        }
        if let Some(password) = &config.password {
            introduction = introduction.set_password(password.expose());
        }
        Ok(Self { host: config.host.clone(), port: config.port, tls, introduction })
    }

    /// Connects and introduces us. The caller bounds the time, and polls the driver.
    ///
    /// # Errors
    /// [`CannotConnect`], by the step that failed.
    pub(super) async fn connect(&self) -> Result<(MultiplexedConnection, Driver), CannotConnect> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await;
        let tcp = tcp.map_err(CannotConnect::Tcp)?;
        // One question is one packet; it must not wait for a second.
        tcp.set_nodelay(true).map_err(CannotConnect::Tcp)?;
        match &self.tls {
            None => self.introduce(tcp).await,
            Some((connector, name)) => {
                let tls = connector.connect(name.clone(), tcp).await;
                self.introduce(tls.map_err(CannotConnect::Tls)?).await
            }
        }
    }

    async fn introduce(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<(MultiplexedConnection, Driver), CannotConnect> {
        // Our own clock bounds a question as a whole, waiting for a place included.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(&self.introduction, stream, config);
        let (connection, driver) =
            made.await.map_err(|error| CannotConnect::Greeting(StoreDown::of(&error)))?;
        Ok((connection, Box::pin(driver)))
    }
}

/// Trust in these authorities alone, or in those that the system trusts.
fn client_config(ca_pem: Option<&[u8]>) -> Result<ClientConfig, StoreError> {
    // That of the process; `main` chose it.
    let provider = CryptoProvider::get_default();
    let provider = provider.map_or_else(|| Arc::new(aws_lc_rs::default_provider()), Arc::clone);
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().map_err(StoreError::Trust)?;
    let Some(pem) = ca_pem else {
        let config = config.with_platform_verifier().map_err(StoreError::Trust)?;
        return Ok(config.with_no_client_auth());
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(StoreError::Pem)?;
        roots.add(certificate).map_err(StoreError::Trust)?;
    }
    if roots.is_empty() {
        return Err(StoreError::NoAuthority);
    }
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
