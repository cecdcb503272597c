//! Records by OTLP, to receivers that refuse, are slow, or go away.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
};

use http::HeaderMap;

use super::*;
use crate::{
    config::{Otlp, OtlpProtocol, SinkFormat, SinkTls},
    otlp::protobuf::{Field as Part, fields},
};

fn start(endpoint: &str, when_full: WhenFull) -> (AccessLog, SinkCounters) {
    let otlp = Otlp {
        endpoint: endpoint.parse().unwrap(),
        protocol: OtlpProtocol::HttpProtobuf,
        headers: HeaderMap::from_iter([("x-key".parse().unwrap(), "secret".parse().unwrap())]),
        tls: SinkTls::default(),
        timeout: Duration::from_secs(2),
    };
    let sink = config::Sink {
        target: Target::Otlp(otlp),
        format: SinkFormat::Otlp,
        when_full,
        ..plain(1 << 20)
    };
    let metrics = metrics();
    let config = config::AccessLog { sinks: vec![sink], ..config::AccessLog::off() };
    let log = AccessLog::start(&config, RESOURCE, &metrics).unwrap();
    (log, metrics.sink("access").unwrap())
}

/// Answers requests, each as the next of `statuses` says, and gives the bodies of those that it took.
fn receive(listener: &TcpListener, statuses: &[u16]) -> Vec<Vec<u8>> {
    let mut taken = Vec::new();
    let mut statuses = statuses.iter();
    'connections: loop {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        while let Some(body) = request(&mut stream) {
            let Some(status) = statuses.next() else { break 'connections };
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            if *status == 200 {
                taken.push(body);
            }
            if statuses.len() == 0 {
                break 'connections;
            }
        }
    }
    taken
}

fn request(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut length, mut key) = (0, false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        key |= line == "x-key: secret";
        if line.is_empty() {
            break;
        }
    }
    assert!(key, "configured headers are sent");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    Some(body)
}

/// The records in a request.
fn entries(body: &[u8]) -> usize {
    let inner = |bytes: &[u8], number: u32| -> Vec<Vec<u8>> {
        fields(bytes)
            .filter_map(|field| match field {
                (found, Part::Bytes(bytes)) if found == number => Some(bytes.to_vec()),
                _ => None,
            })
            .collect()
    };
    let of_resource = inner(body, 1).remove(0);
    let of_scope = inner(&of_resource, 2).remove(0);
    inner(&of_scope, 2).len()
}

#[test]
fn the_bytes_of_the_queue_are_a_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/logs", listener.local_addr().unwrap());
    let (log, counters) = start(&endpoint, WhenFull::Drop);
    for number in 0..10 {
        write(&log, &number.to_string());
    }
    let taken = receive(&listener, &[200]);
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(taken.iter().map(|body| entries(body)).sum::<usize>(), 10);
    assert_eq!((counters.written.get(), counters.dropped.get()), (10, 0));
}

#[test]
fn a_receiver_that_is_busy_or_gone_gets_what_waited() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (log, counters) = start(&format!("http://{address}/v1/logs"), WhenFull::Block(PATIENCE));
    for number in 0..10 {
        write(&log, &number.to_string());
    }
    until("nobody listens", || counters.write_errors.get() > 1);
    let listener = TcpListener::bind(address).unwrap();
    let taken = receive(&listener, &[503, 429, 200]);
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(taken.iter().map(|body| entries(body)).sum::<usize>(), 10);
    assert_eq!((counters.written.get(), counters.dropped.get()), (10, 0));
}

#[test]
fn what_a_receiver_refuses_for_good_is_counted_and_does_not_stop_the_rest() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/logs", listener.local_addr().unwrap());
    let (log, counters) = start(&endpoint, WhenFull::Block(PATIENCE));
    write(&log, "bad");
    let server = std::thread::spawn(move || receive(&listener, &[400, 200]));
    until("it is refused", || counters.dropped.get() == 1);
    let taken = server.join().unwrap();
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(
        taken.iter().map(|body| entries(body)).sum::<usize>(),
        1,
        "that it was lost is told"
    );
    assert_eq!(counters.written.get(), 0);
}
