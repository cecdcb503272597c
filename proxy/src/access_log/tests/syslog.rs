//! Records by syslog, to servers that go away and come back.

use std::{
    io::{BufRead as _, BufReader},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixDatagram, UnixListener},
    sync::atomic::{AtomicBool, Ordering},
    thread::JoinHandle,
};

use super::*;
use crate::{
    access_log::{output::Done, sink::syslog::SyslogOutput},
    config::{Syslog, SyslogAddress},
};

fn start(address: SyslogAddress, when_full: WhenFull) -> (AccessLog, SinkCounters) {
    let syslog = Syslog {
        address,
        facility: 16,
        app_name: "promgate".to_owned(),
        timeout: Duration::from_secs(2),
    };
    let sink = config::Sink { target: Target::Syslog(syslog), when_full, ..plain(1 << 20) };
    let metrics = metrics();
    let config = config::AccessLog { sinks: vec![sink], ..config::AccessLog::off() };
    let log = AccessLog::start(&config, RESOURCE, &metrics).unwrap();
    (log, metrics.sink("access").unwrap())
}

/// Takes apart messages, each after its length.
fn messages(stream: impl io::Read) -> Vec<String> {
    let mut stream = BufReader::new(stream);
    let mut messages = Vec::new();
    loop {
        let mut length = Vec::new();
        if stream.read_until(b' ', &mut length).is_err() || length.last() != Some(&b' ') {
            return messages;
        }
        let length: usize = std::str::from_utf8(&length).unwrap().trim().parse().unwrap();
        let mut message = vec![0; length];
        if stream.read_exact(&mut message).is_err() {
            return messages;
        }
        messages.push(String::from_utf8(message).unwrap());
    }
}

fn id_of(message: &str) -> String {
    let (_, record) = message.split_once(" access - ").unwrap();
    let record: Json = serde_json::from_str(record).unwrap();
    record["request_id"].as_str().unwrap().to_owned()
}

fn accept(listener: TcpListener) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || messages(listener.accept().unwrap().0))
}

#[test]
fn a_record_is_a_message_of_rfc_5424_after_its_length() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = accept(listener);
    let (log, _) = start(SyslogAddress::Tcp { host: "127.0.0.1".into(), port }, WhenFull::Drop);
    let mut lines = Vec::new();
    record("a").write(Format::Json, log.rules().unwrap(), &mut lines);
    write(&log, "a");
    log.flush_and_stop(PATIENCE).unwrap();
    drop(log);
    let messages = server.join().unwrap();
    let parts: Vec<&str> = messages[0].splitn(8, ' ').collect();
    assert_eq!((parts[0], parts[3]), ("<134>1", "promgate"));
    let time: jiff::Timestamp = parts[1].parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(time).as_secs() < 60);
    assert_eq!(parts[4], std::process::id().to_string());
    assert_eq!((parts[5], parts[6]), ("access", "-"));
    let sent: Json = serde_json::from_str(parts[7]).unwrap();
    assert_eq!((sent["request_id"].as_str(), sent["v"].as_u64()), (Some("a"), Some(1)));
}

#[test]
fn a_server_that_comes_back_gets_what_waited() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tcp = SyslogAddress::Tcp { host: "127.0.0.1".into(), port: address.port() };
    let (log, counters) = start(tcp, WhenFull::Block(PATIENCE));
    let (stream, _) = {
        write(&log, "first");
        listener.accept().unwrap()
    };
    let mut first = BufReader::new(stream);
    let mut byte = [0];
    first.read_exact(&mut byte).unwrap();
    until("it is sent", || counters.written.get() == 1);
    // It goes away in between two records.
    drop((first, listener));
    for number in 0..500 {
        write(&log, &number.to_string());
    }
    until("it is noticed", || counters.write_errors.get() > 1);
    let listener = TcpListener::bind(address).unwrap();
    let server = accept(listener);
    log.flush_and_stop(PATIENCE).unwrap();
    drop(log);
    let got: Vec<String> = server.join().unwrap().iter().map(|message| id_of(message)).collect();
    let wanted: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    assert_eq!(got, wanted, "each once, and in order");
    assert_eq!((counters.written.get(), counters.dropped.get()), (501, 0));
}

#[test]
fn a_message_sent_in_part_is_sent_again_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tcp = SyslogAddress::Tcp { host: "127.0.0.1".into(), port: address.port() };
    let (log, counters) = start(tcp, WhenFull::Block(PATIENCE));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    // Each connection is read a little, and broken.
    let server = std::thread::spawn(move || {
        let mut whole = Vec::new();
        while !stopped.load(Ordering::SeqCst) {
            let (stream, _): (TcpStream, _) = listener.accept().unwrap();
            whole.extend(messages(stream.take(100_000)));
        }
        whole
    });
    for number in 0..3000 {
        write(&log, &number.to_string());
        if number % 100 == 0 {
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
    until("all is sent", || counters.written.get() + counters.dropped.get() == 3000);
    stop.store(true, Ordering::SeqCst);
    log.flush_and_stop(PATIENCE).unwrap();
    drop(log);
    drop(TcpStream::connect(address));
    let got = server.join().unwrap();
    assert!(got.len() > 1000, "{}", got.len());
    let ids: Vec<u32> = got.iter().map(|message| id_of(message).parse().unwrap()).collect();
    assert!(ids.is_sorted(), "no message is torn, none out of order");
}

#[test]
fn a_socket_of_this_machine_takes_streams_or_datagrams() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || messages(listener.accept().unwrap().0));
    let (log, _) = start(SyslogAddress::Unix(path), WhenFull::Drop);
    for id in ["a", "b"] {
        write(&log, id);
    }
    log.flush_and_stop(PATIENCE).unwrap();
    drop(log);
    let got: Vec<String> = server.join().unwrap().iter().map(|message| id_of(message)).collect();
    assert_eq!(got, ["a", "b"]);

    let path = folder.path().join("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    let (log, counters) = start(SyslogAddress::Unix(path.clone()), WhenFull::Drop);
    for id in ["a", "b"] {
        write(&log, id);
    }
    let mut datagram = vec![0; 1 << 16];
    for id in ["a", "b"] {
        let length = socket.recv(&mut datagram).unwrap();
        let message = std::str::from_utf8(&datagram[..length]).unwrap();
        assert!(message.starts_with("<134>1 "), "{message}");
        assert_eq!(id_of(message), id);
    }
    // It goes, and comes back.
    drop(socket);
    std::fs::remove_file(&path).unwrap();
    write(&log, "c");
    until("it is noticed", || counters.write_errors.get() > 1);
    let socket = UnixDatagram::bind(&path).unwrap();
    let length = socket.recv(&mut datagram).unwrap();
    assert_eq!(id_of(std::str::from_utf8(&datagram[..length]).unwrap()), "c");
    log.flush_and_stop(PATIENCE).unwrap();
}

#[test]
fn a_message_that_no_datagram_can_hold_is_not_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    let config = Syslog {
        address: SyslogAddress::Unix(path),
        facility: 16,
        app_name: "promgate".to_owned(),
        timeout: Duration::from_secs(5),
    };
    let mut output = SyslogOutput::new(&config).unwrap();
    let long = vec![b'x'; 8 << 20];
    let records = [&long[..], b"\n{}\n"].concat();
    let done = output.write(&records).unwrap();
    assert_eq!(done, Done { bytes: long.len() + 1, rejected: 1 });
    assert_eq!(output.write(b"{}\n").unwrap(), Done::bytes(3));
    let mut datagram = vec![0; 1 << 10];
    let length = socket.recv(&mut datagram).unwrap();
    assert!(datagram[..length].ends_with(b" {}"));
}

#[test]
fn a_server_that_takes_nothing_does_not_hold_the_end_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (log, counters) =
        start(SyslogAddress::Tcp { host: "127.0.0.1".into(), port }, WhenFull::Drop);
    drop(listener);
    write(&log, "a");
    let began = Instant::now();
    log.flush_and_stop(Duration::from_secs(1)).unwrap();
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!((counters.written.get(), counters.dropped.get()), (0, 1));
}
