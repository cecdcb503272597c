//! Secrets in every place where a client, a configuration or a backend can put one, everything logged that can be, and
//! all output searched.
//!
//! What no output may hold looks like a word, so that no detector hides a fault. What the configuration shows in the
//! clear, texts of clients that is, holds secrets that look like ones.

mod asker;
mod cluster;
mod commands;
mod secrets;
mod stage;

use e2e::canary::{Canaries, Search};

use self::stage::{Stage, assert_none};

#[test]
fn no_secret_is_in_anything_that_a_server_says() {
    let stage = Stage::start();
    asker::ask(&stage);
    let asked = stage.recorded();
    assert!(asked > 300, "{asked}");
    let output = stage.end();
    let counts = [&stage.config, &stage.client, &stage.backend].map(Canaries::count);
    assert!(counts.iter().zip([40, 500, 3]).all(|(count, least)| *count >= least), "{counts:?}");
    output.assert_whole(asked);
    let all = Search::of(&[&stage.config, &stage.client, &stage.backend]);
    assert_none(output.search(&all));
    // What clients get may hold what they sent, and what the backends have for them.
    let (own, stranger) = stage.answers();
    assert_none(stage.config.search().find(&own));
    assert_none(all.find(&stranger));
}
