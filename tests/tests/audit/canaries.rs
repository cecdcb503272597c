//! Secrets in every place where a client, a configuration or a backend can put one, everything logged that can be, and
//! all output searched.
//!
//! What no output may hold looks like a word, so that no detector hides a fault. What the configuration shows in the
//! clear, texts of clients that is, holds secrets that look like ones.

mod asker;
mod backends;
mod cluster;
mod commands;
mod http2;
mod secrets;
mod stage;

use e2e::canary::{Canaries, Search};

use self::stage::{Form, Stage, assert_none};

/// Asks a server for everything, and searches all that it says.
fn assert_silent(form: Form) {
    let stage = Stage::start(form);
    asker::ask(&stage);
    let asked = stage.recorded();
    assert!(asked > 300, "{asked}");
    let by_http2 = stage.by_http2();
    assert!(form == Form::First || by_http2 > 300, "{by_http2}");
    let of_backends = stage.asked_of_backends();
    assert!(of_backends.iter().all(|count| *count > 2), "{of_backends:?}");
    let output = stage.end();
    let counts = [&stage.config, &stage.client, &stage.backend].map(Canaries::count);
    assert!(counts.iter().zip(LEAST).all(|(count, least)| *count >= least), "{counts:?}");
    output.assert_whole(asked);
    let all = Search::of(&[&stage.config, &stage.client, &stage.backend]);
    assert_none(output.search(&all));
    // What clients get may hold what they sent, and what the backends have for them.
    let (own, stranger) = stage.answers();
    assert_none(stage.config.search().find(&own));
    assert_none(all.find(&stranger));
}

/// Secrets that there are at least of a configuration, of clients and of backends.
const LEAST: [usize; 3] = [60, 500, 60];

#[test]
fn no_secret_is_in_anything_that_a_server_says() {
    assert_silent(Form::First);
}

#[test]
fn no_secret_is_in_anything_that_a_server_says_in_other_forms() {
    assert_silent(Form::Second);
}
