//! What replicas tell one another, changed or repeated by whoever is on the network between them.

use std::{thread, time::Duration};

use e2e::{
    cut::Cut,
    minter::{self, ISSUER},
    place::Place,
    process::until,
    replicas::{ADMIN_TOKEN, Replica, Replicas, count},
};
use serde_json::{Value, json};

use super::peer_port::{is_refused, requests, send};

const NOT_TAKEN: &str = "a replica said what is not taken";

/// Two replicas; what the first sends to the second goes over somebody's network.
fn start() -> (Replicas, Cut) {
    let places = Place::several(2);
    let cut = Cut::to(places[1].peer());
    let lists = [cut.address(), places[0].peer()];
    let replicas = Replicas::begin_at(places, move |number, config| {
        config["cluster"]["peers"] = json!({ "static": [lists[number].to_string()] });
        config["server"]["drain_timeout"] = json!("3s");
    });
    replicas.settle();
    (replicas, cut)
}

/// Puts `new` in the place of each `old` of the same length.
fn instead(old: &[u8], new: &[u8]) -> impl Fn(&mut [u8]) + Send + 'static {
    assert_eq!(old.len(), new.len());
    let (old, new) = (old.to_vec(), new.to_vec());
    move |piece| {
        for at in 0..piece.len().saturating_sub(old.len() - 1) {
            if piece[at..].starts_with(&old) {
                piece[at..at + new.len()].copy_from_slice(&new);
            }
        }
    }
}

/// Ends the sessions of a subject, asked of a replica; how many ended, and how many replicas could not be told.
fn end(replica: &Replica, subject: &str) -> (u64, u64) {
    let answer =
        replica.end_sessions(&json!({ "issuer": ISSUER, "subject": subject }), Some(ADMIN_TOKEN));
    let said: Value = answer.text().parse().unwrap();
    (count(&said, "ended"), count(&said, "unreachable"))
}

#[test]
fn the_end_of_sessions_that_was_changed_or_sent_again_ends_none() {
    let (replicas, cut) = start();
    let [first, second] = [replicas.at(0), replicas.at(1)];
    let told_of = |subject: &str| {
        cut.listen_in();
        replicas.settle();
        // The connection that was broken to listen in may be missed for a moment.
        until("the other is told", || end(first, subject) == (1, 0));
        let heard = cut.heard().into_iter().flat_map(|sent| requests(&sent));
        let told = heard.filter(|told| told.uri().path() == "/_promgate/sessions/end");
        told.last().expect("the other was told")
    };
    let open = |subject: &str| second.session(&minter::token(subject));
    let (_alices, _bobs) = (open("alice"), open("bob"));
    let (of_alice, of_bob) = (told_of("alice"), told_of("bob"));
    let alice = open("alice");

    let status = send(second.place().peer(), &of_alice);
    assert!(is_refused(status), "{status:?}");
    assert_eq!(alice.call("ping", json!({})).status(), 200, "it was said once already");

    cut.forge(instead(of_bob.body(), of_alice.body()));
    assert_eq!(end(first, "bob"), (0, 1), "the other did not take it");
    until("it is said in the log", || second.stderr().contains(NOT_TAKEN));
    assert_eq!(alice.call("ping", json!({})).status(), 200);
}

#[test]
fn a_session_that_was_changed_on_its_way_is_not_taken() {
    let (replicas, cut) = start();
    let [first, second] = [replicas.at(0), replicas.at(1)];
    let session = first.session(&minter::token("alice"));
    cut.forge(instead(br#""name":"e2e""#, br#""name":"foe""#));
    let _log = first.stop();
    until("it is said in the log", || second.stderr().contains(NOT_TAKEN));
    assert_eq!(session.through(second.mcp()).call("ping", json!({})).status(), 404);
}

#[test]
fn a_session_that_nobody_changes_on_its_way_is_taken() {
    let (replicas, _cut) = start();
    let session = replicas.at(0).session(&minter::token("alice"));
    let _log = replicas.at(0).stop();
    assert_eq!(session.through(replicas.at(1).mcp()).call("ping", json!({})).status(), 200);
}

#[test]
fn the_end_of_streams_that_was_changed_ends_none() {
    let (replicas, cut) = start();
    let [first, second] = [replicas.at(0), replicas.at(1)];
    let session = second.session(&minter::token("alice"));
    let mut stream = session.through(first.mcp()).listen();
    stream.patience(Duration::from_secs(20));
    assert!(stream.event().unwrap().is_some(), "it is open");
    // The whole body of that message, which is the last thing that is sent, and of no other.
    cut.forge(|piece| {
        if piece.ends_with(b"{}") {
            let at = piece.len() - 2;
            piece[at..].copy_from_slice(b"[]");
        }
    });
    let end = thread::scope(|scope| {
        // Who is replaced stays on the ring, so nothing else tells the owner.
        let upgrade = scope.spawn(|| first.upgrade());
        let end = loop {
            match stream.event() {
                Ok(Some(_)) => {}
                Ok(None) => break "as it should",
                Err(_) => break "cut",
            }
        };
        let _old = upgrade.join().unwrap();
        end
    });
    assert_eq!(end, "cut", "nobody whom the owner believes has asked for its end");
    until("it is said in the log", || second.stderr().contains(NOT_TAKEN));
}
