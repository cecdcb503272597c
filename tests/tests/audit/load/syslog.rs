//! A syslog server that goes away and comes back, over TCP and at a socket of this machine.

use e2e::{process::PATIENCE, server::Server, syslog::Syslog};
use serde_json::json;

use super::asked::{Lines, Policy, recording};

fn ask_while_it_comes_and_goes(policy: Policy, syslog: &Syslog) {
    let sink = json!({
        "name": "siem", "type": "syslog", "address": syslog.url(), "when_full": policy.name(),
    });
    let server = Server::promgate(&recording(json!({ "sinks": [sink] })));
    let answers = policy.ask_through_faults(&server, || syslog.go_away(), |()| syslog.come_back());
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    syslog.wait_for_end();
    let messages = syslog.messages();
    assert!(messages.iter().all(|message| message.starts_with("<134>1 2")), "{:?}", messages[0]);
    let record = |message: &String| message[message.find('{').unwrap()..].to_owned() + "\n";
    policy.assert_kept(&answers, &Lines::of(&messages.iter().map(record).collect::<String>()));
}

#[test]
fn every_request_has_a_message_however_often_the_server_goes_away() {
    ask_while_it_comes_and_goes(Policy::Block, &Syslog::start());
}

#[test]
fn requests_are_refused_while_the_server_is_away_and_all_others_have_a_message() {
    ask_while_it_comes_and_goes(Policy::Refuse, &Syslog::start());
}

#[test]
fn the_server_is_told_how_many_messages_it_missed() {
    ask_while_it_comes_and_goes(Policy::Drop, &Syslog::start());
}

#[test]
fn every_request_has_a_message_at_a_socket_that_comes_and_goes() {
    ask_while_it_comes_and_goes(Policy::Block, &Syslog::start_on_socket());
}

#[test]
fn requests_are_refused_while_the_socket_is_away_and_all_others_have_a_message() {
    ask_while_it_comes_and_goes(Policy::Refuse, &Syslog::start_on_socket());
}

#[test]
fn the_socket_is_told_how_many_messages_it_missed() {
    ask_while_it_comes_and_goes(Policy::Drop, &Syslog::start_on_socket());
}
