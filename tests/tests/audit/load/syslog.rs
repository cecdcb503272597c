//! A syslog server that goes away and comes back.

use e2e::{
    process::{PATIENCE, until},
    server::Server,
    syslog::Syslog,
};
use serde_json::json;

use super::asked::{Asked, Lines, of_sink, recording};

const REQUESTS: usize = 3200;

#[test]
fn every_request_has_a_message_however_often_the_server_goes_away() {
    let syslog = Syslog::start();
    let sink =
        json!({ "name": "siem", "type": "syslog", "address": syslog.url(), "when_full": "block" });
    let server = Server::promgate(&recording(json!({ "sinks": [sink] })));
    let (answers, ()) = Asked::during(server.mcp, REQUESTS, |asked| {
        for share in [1, 3] {
            until("some answers", || asked.count() > REQUESTS * share / 8);
            let waited = of_sink(&server, "blocked_requests_total");
            syslog.go_away();
            until("requests that wait", || of_sink(&server, "blocked_requests_total") > waited);
            assert!(of_sink(&server, "stalled_seconds") < 60);
            syslog.come_back();
        }
    });
    assert_eq!(answers[&200].len(), REQUESTS, "nobody was refused");
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    syslog.wait_for(REQUESTS);
    let messages: Vec<_> = syslog.messages();
    assert!(messages.iter().all(|message| message.starts_with("<134>1 2")), "{:?}", messages[0]);
    let record = |message: &String| message[message.find('{').unwrap()..].to_owned() + "\n";
    Lines::of(&messages.iter().map(record).collect::<String>()).assert_just(&answers[&200]);
}
