//! Serves the shop's present to the demo's Prometheus, on loopback.
//!
//! One thread, one request a connection: its only client asks for three pages in fifteen seconds.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use super::{
    error::DemoError,
    shop::{INSTANCES, Shop},
};

/// Longest request header read, in bytes; a longer one is not answered.
const HEADER_BYTES_MAX: usize = 8 << 10;

/// How long one client may take, since it keeps the others waiting.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);

/// A running exporter; it ends when dropped.
#[derive(Debug)]
pub(super) struct Exporter {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    pub(super) fn start(shop: Shop) -> Result<Self, DemoError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(DemoError::Port)?;
        let address = listener.local_addr().map_err(DemoError::Port)?;
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        let thread = thread::Builder::new()
            .name("demo-exporter".to_owned())
            .spawn(move || serve(&listener, &shop, &seen))
            .map_err(DemoError::Thread)?;
        Ok(Self { address, ended, thread: Some(thread) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // The thread waits for a client, so it is sent one.
        let woken = TcpStream::connect_timeout(&self.address, CLIENT_TIMEOUT).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            drop(thread.join());
        }
    }
}

fn serve(listener: &TcpListener, shop: &Shop, ended: &AtomicBool) {
    for client in listener.incoming() {
        if ended.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = client.and_then(|client| answer(client, shop)) {
            tracing::debug!(%error, "a scrape of the demo's shop failed");
        }
    }
}

fn answer(mut client: TcpStream, shop: &Shop) -> io::Result<()> {
    let header = read_header(&mut client)?;
    let target = header.strip_prefix("GET ").and_then(|rest| rest.split(' ').next());
    let instance = INSTANCES.iter().find(|instance| Some(instance.path) == target);
    let (status, body) = match instance {
        Some(instance) => {
            let mut body = Vec::new();
            shop.write_present(&mut body, instance, unix_now())?;
            ("200 OK", body)
        }
        None => ("404 Not Found", b"no such instance\n".to_vec()),
    };
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: application/openmetrics-text; version=1.0.0; \
         charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    client.write_all(&body)
}

fn read_header(client: &mut TcpStream) -> io::Result<String> {
    let deadline = Instant::now() + CLIENT_TIMEOUT;
    client.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let (mut header, mut chunk) = (Vec::new(), [0; 1024]);
    while !header.ends_with(b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || header.len() > HEADER_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        client.set_read_timeout(Some(left))?;
        match client.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => header.extend(chunk.iter().take(read)),
        }
    }
    Ok(String::from_utf8_lossy(&header).into_owned())
}

/// Unix seconds of this moment.
pub(super) fn unix_now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(exporter: &Exporter, path: &str) -> String {
        let mut client = TcpStream::connect(exporter.address()).unwrap();
        write!(client, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn each_instance_has_its_own_page_and_there_is_no_other() {
        let exporter = Exporter::start(Shop::with_past_until(unix_now())).unwrap();
        let first = get(&exporter, "/shop-1");
        assert!(first.starts_with("HTTP/1.1 200 OK\r\n") && first.ends_with("# EOF\n"), "{first}");
        let second = get(&exporter, "/shop-2");
        assert_ne!(first.lines().last(), None);
        assert_ne!(first, second);
        assert!(get(&exporter, "/metrics").starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn a_client_that_says_nothing_does_not_hold_up_the_end() {
        let exporter = Exporter::start(Shop::with_past_until(unix_now())).unwrap();
        let silent = TcpStream::connect(exporter.address()).unwrap();
        let begun = Instant::now();
        drop(exporter);
        assert!(begun.elapsed() < CLIENT_TIMEOUT * 2);
        drop(silent);
    }
}
