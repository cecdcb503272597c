//! The unit of measure: what Pingora costs before anything of ours runs.

use std::{net::SocketAddr, os::fd::IntoRawFd as _, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use pingora::{
    Error, ErrorType, Result,
    apps::HttpServerOptions,
    http::ResponseHeader,
    listeners::ListenerConfig,
    modules::http::HttpModules,
    prelude::HttpPeer,
    protocols::l4::stream::L4BufferSettings,
    proxy::{HttpProxy, ProxyHttp, Session},
    server::{Fds, configuration::ServerConf},
    services::{Service as _, listening},
};
use tokio::{net::TcpListener, sync::watch};

use crate::failure::Failure;

/// Buffers as the edge has them, so that a whole answer leaves in one write on both sides.
const WRITE_BUFFER_BYTES: usize = 16 << 10;
const READ_BUFFER_BYTES: usize = 8 << 10;

/// About as long as the answer to a small tool call.
const ANSWER: &[u8] = br#"{"jsonrpc":"2.0","id":1,"result":{"static":"one hundred bytes of JSON, give or take a few"}}"#;

struct Bare;

/// Starts to serve on a free port.
pub(super) async fn start() -> Result<SocketAddr, Failure> {
    let bind = async {
        let listener = TcpListener::bind("127.0.0.1:0").await?.into_std()?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    let (listener, address) = bind.await.map_err(Failure::system("listen on the loopback"))?;
    // No trusted authorities: it connects to nobody.
    let conf = ServerConf { ca_file: Some("/dev/null".to_owned()), ..ServerConf::default() };
    let mut proxy = HttpProxy::new(Bare, Arc::new(conf));
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    proxy.server_options = Some(options);
    proxy.handle_init_modules();
    let mut endpoint = listening::Service::new("bare".to_owned(), proxy);
    let buffers = L4BufferSettings::new(READ_BUFFER_BYTES, WRITE_BUFFER_BYTES);
    endpoint.add_listener(ListenerConfig::tcp(address.to_string()).l4_buffer(buffers));
    let mut fds = Fds::new();
    fds.add(address.to_string(), listener.into_raw_fd());
    let fds = Arc::new(Mutex::new(fds));
    drop(tokio::spawn(async move {
        // Served until the process ends; the sender lives as long.
        let (_stop, stopping) = watch::channel(false);
        endpoint.start_service(Some(fds), stopping, 1).await;
    }));
    Ok(address)
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> Result<bool> {
        let downstream = session.as_downstream_mut();
        downstream.set_keepalive(Some(60));
        // An answer before the end of the body would cost the connection.
        while downstream.read_request_body().await?.is_some() {}
        let mut answer = ResponseHeader::build_no_case(StatusCode::OK, Some(2))?;
        let json = HeaderValue::from_static("application/json");
        answer.insert_header(header::CONTENT_TYPE, json)?;
        answer.insert_header(header::CONTENT_LENGTH, ANSWER.len())?;
        downstream.write_response_header(Box::new(answer)).await?;
        downstream.write_response_body(Bytes::from_static(ANSWER), true).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        // Not reached: `request_filter` answers every request.
        Err(Error::new(ErrorType::InternalError))
    }
}
