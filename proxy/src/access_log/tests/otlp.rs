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

const BLOCK: WhenFull = WhenFull::Block(Duration::from_secs(30));

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
fn a_receiver_that_lets_nobody_in_costs_no_record_that_must_not_be_lost() {
    for when_full in [BLOCK, WhenFull::Refuse] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/v1/logs", listener.local_addr().unwrap());
        let (log, counters) = start(&endpoint, when_full);
        write(&log, "kept");
        let taken = receive(&listener, &[401, 403, 404, 415, 500, 200]);
        log.flush_and_stop(PATIENCE).unwrap();
        assert_eq!(taken.iter().map(|body| entries(body)).sum::<usize>(), 1);
        assert_eq!((counters.written.get(), counters.dropped.get()), (1, 0));
        assert_eq!(counters.write_errors.get(), 5);
    }
}

#[test]
fn a_receiver_that_lets_nobody_in_holds_up_nothing_where_records_may_be_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/logs", listener.local_addr().unwrap());
    let (log, counters) = start(&endpoint, WhenFull::Drop);
    write(&log, "lost");
    let server = std::thread::spawn(move || receive(&listener, &[401, 200]));
    until("it is refused", || counters.dropped.get() == 1);
    let taken = server.join().unwrap();
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(taken.iter().map(|body| entries(body)).sum::<usize>(), 1, "that it was lost");
}

/// Refuses every request that holds `bad`, and gives the bodies of the others until there are so many records in them.
fn receive_but(bad: &str, listener: &TcpListener, records: usize) -> Vec<Vec<u8>> {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        while let Some(body) = request(&mut stream) {
            let is_bad = body.windows(bad.len()).any(|text| text == bad.as_bytes());
            let status = if is_bad { 400 } else { 200 };
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            taken.extend((!is_bad).then_some(body));
            if taken.iter().map(|body| entries(body)).sum::<usize>() >= records {
                return taken;
            }
        }
    }
}

#[test]
fn one_record_that_is_refused_does_not_take_the_others_with_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/logs", listener.local_addr().unwrap());
    let (log, counters) = start(&endpoint, BLOCK);
    for number in 0..20 {
        write(&log, if number == 13 { "the-bad-one" } else { "good" });
    }
    // And one that tells of the one that was lost.
    let taken = receive_but("the-bad-one", &listener, 20);
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(taken.iter().map(|body| entries(body)).sum::<usize>(), 20);
    assert_eq!((counters.written.get(), counters.dropped.get()), (19, 1));
}

#[test]
fn a_receiver_that_counts_wrongly_does_not_make_our_counts_wrong() {
    use crate::otlp::protobuf::Message;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/logs", listener.local_addr().unwrap());
    let (log, counters) = start(&endpoint, WhenFull::Drop);
    write(&log, "one");
    let server = std::thread::spawn(move || {
        for rejected in [u64::MAX, 1_000_000, 0] {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            request(&mut stream).unwrap();
            let mut body = Vec::new();
            Message(&mut body).nested(1, |partial| partial.uint(1, rejected));
            let head = format!(
                "HTTP/1.1 200 x\r\ncontent-type: application/x-protobuf\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n",
                body.len()
            );
            stream.get_mut().write_all(&[head.as_bytes(), &body].concat()).unwrap();
        }
    });
    until("less than none is none", || counters.written.get() == 1);
    write(&log, "two");
    until("no more than were sent", || counters.dropped.get() == 1);
    server.join().unwrap();
    log.flush_and_stop(PATIENCE).unwrap();
    assert_eq!((counters.written.get(), counters.dropped.get()), (1, 1));
}

#[test]
fn what_is_left_at_the_end_is_counted_by_records() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/logs", listener.local_addr().unwrap());
    drop(listener);
    let (log, counters) = start(&endpoint, BLOCK);
    (0..10).for_each(|number| write(&log, &format!("id-{number}")));
    until("nobody listens", || counters.write_errors.get() > 1);
    log.flush_and_stop(Duration::from_millis(10)).unwrap_or_default();
    until("they are given up", || counters.dropped.get() == 10);
    assert_eq!(counters.written.get(), 0);
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
