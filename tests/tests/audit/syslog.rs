//! Syslog servers that go away and come back: TLS with certificates on both sides.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread::JoinHandle,
};

use e2e::{
    http::Connection,
    mcp::Client,
    paths::temporary_folder,
    process::{PATIENCE, until},
    server::Server,
    tls::{Authority, Leaf},
};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};

use super::parts::{sealed, verify, with_sinks};

fn server_config(authority: &Authority, leaf: &Leaf) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.certificate()).unwrap()).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let certificate = CertificateDer::from_pem_file(&leaf.certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(&leaf.key).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}

/// Takes one connection and gives the records in its messages, at most so many.
fn serve(listener: TcpListener, config: Arc<ServerConfig>, most: usize) -> JoinHandle<Vec<Value>> {
    std::thread::spawn(move || {
        let (tcp, _): (TcpStream, SocketAddr) = listener.accept().unwrap();
        let tls = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp);
        let mut stream = BufReader::new(tls);
        let mut records = Vec::new();
        while records.len() < most {
            let mut length = Vec::new();
            if stream.read_until(b' ', &mut length).is_err() || length.last() != Some(&b' ') {
                break;
            }
            let length: usize = std::str::from_utf8(&length).unwrap().trim().parse().unwrap();
            let mut message = vec![0; length];
            stream.read_exact(&mut message).unwrap();
            let message = String::from_utf8(message).unwrap();
            assert!(message.starts_with("<134>1 "), "{message}");
            let (_, record) = message.split_once(" access - ").unwrap();
            records.push(serde_json::from_str(record).unwrap());
        }
        records
    })
}

#[test]
fn records_reach_a_server_over_tls_and_what_waited_while_it_was_gone() {
    let authority = Authority::new("logs");
    let (theirs, ours) = (authority.issue(), authority.issue());
    let config = server_config(&authority, &theirs);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder = temporary_folder();
    let audit = folder.path().join("audit.log");
    let siem = json!({
        "name": "siem", "type": "syslog", "address": format!("tls://{address}"), "when_full": "block",
        "tls": {
            "ca_file": authority.certificate(), "cert_file": ours.certificate, "key_file": ours.key,
        },
    });
    let first = serve(listener, Arc::clone(&config), FEW);
    let server = Server::promgate(&with_sinks(&json!([siem, sealed(&audit)])));
    ask(&server);
    assert_eq!(first.join().unwrap().len(), FEW);
    // It has gone, after it had read all.
    ask(&server);
    let errors = "promgate_access_log_write_errors_total{sink=\"siem\"}";
    until("it is noticed", || server.metric(errors) > 1.0);
    let stalled = "promgate_access_log_stalled_seconds{sink=\"siem\"}";
    until("it shows", || server.metric(stalled) > 0.1);
    let second = serve(TcpListener::bind(address).unwrap(), config, usize::MAX);
    ask(&server);
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    let records = second.join().unwrap();
    assert_eq!(records.len(), 2 * FEW, "what waited, and what came after");
    let (faults, end) = verify(&audit);
    assert_eq!((faults, end.records), (Vec::new(), 3 * wide(FEW)), "another sink did not notice");
    let text = fs::read_to_string(&audit).unwrap();
    for record in &records {
        assert!(text.contains(record["request_id"].as_str().unwrap()));
    }
}

#[test]
fn a_server_with_a_foreign_certificate_gets_nothing() {
    let (ours, foreign) = (Authority::new("logs"), Authority::new("foreign"));
    let (client, server) = (ours.issue(), foreign.issue());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let siem = json!({
        "name": "siem", "type": "syslog", "address": format!("tls://{address}"),
        "tls": {
            "ca_file": ours.certificate(), "cert_file": client.certificate, "key_file": client.key,
        },
    });
    let received = serve(listener, server_config(&ours, &server), usize::MAX);
    let server = Server::promgate(&with_sinks(&json!([siem])));
    ask(&server);
    let stderr = server.process().stderr();
    let line = stderr.wait_for("the warning", |line| line.contains("cannot be written"));
    assert!(line.contains("certificate"), "{line}");
    assert_eq!(received.join().unwrap(), Vec::<Value>::new());
    assert!(server.metric("promgate_access_log_records_total{sink=\"siem\"}") < 0.5);
}

/// Requests that are asked one after the other.
const FEW: usize = 50;

fn ask(server: &Server) {
    let request = Client::stateless(server.mcp).request("tools/list", json!({}));
    let mut connection = Connection::open(server.mcp);
    for _ in 0..FEW {
        assert_eq!(connection.exchange(&request).head.status, 200);
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap()
}
