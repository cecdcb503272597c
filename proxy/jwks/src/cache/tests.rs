//! How long an entry holds.

use std::time::Duration;

use super::*;

const START: SystemTime = SystemTime::UNIX_EPOCH;

fn at(seconds: u64) -> SystemTime {
    START + Duration::from_secs(seconds)
}

fn holding(token: &str, generation: Option<u64>, until: Option<u64>) -> Cache<&'static str> {
    let cache = Cache::new(8);
    let entry = Entry { value: Arc::new("known"), issuer: 3, generation, until: until.map(at) };
    cache.insert(digest(token), entry);
    cache
}

#[test]
fn an_entry_holds_until_its_end_and_not_at_it() {
    let cache = holding("a", Some(1), Some(100));
    let get = |now| cache.get(&digest("a"), at(now), |_| Standing::Generation(1));
    assert_eq!(get(99).as_deref(), Some(&"known"));
    assert_eq!(get(100), None);
    assert_eq!(get(99), None, "what has ended is forgotten");
    assert_eq!(cache.entries.len(), 0);
}

#[test]
fn an_entry_falls_with_the_keys_that_verified_it() {
    let cache = holding("a", Some(1), None);
    let get = |standing| {
        cache.get(&digest("a"), at(0), |issuer| {
            assert_eq!(issuer, 3, "the keys of its own issuer are asked about");
            standing
        })
    };
    assert!(get(Standing::Generation(1)).is_some());
    assert!(get(Standing::Unavailable).is_none());
    assert!(get(Standing::Generation(1)).is_some(), "keys that come back unchanged still count");
    assert!(get(Standing::Generation(2)).is_none());
    assert!(get(Standing::Generation(1)).is_none(), "a generation that is over is forgotten");
}

#[test]
fn an_entry_without_keys_holds_only_where_none_are_needed() {
    let cache = holding("a", None, None);
    assert!(cache.get(&digest("a"), at(0), |_| Standing::NotNeeded).is_some());
    assert!(cache.get(&digest("a"), at(0), |_| Standing::Generation(1)).is_none());
    let cache = holding("a", Some(1), None);
    assert!(cache.get(&digest("a"), at(0), |_| Standing::NotNeeded).is_none());
}

#[test]
fn another_token_is_not_known() {
    let cache = holding("a", None, None);
    assert!(cache.get(&digest("b"), at(0), |_| Standing::NotNeeded).is_none());
}

#[test]
fn entries_are_bounded() {
    for entries_max in [0, 1, 100] {
        let cache = Cache::new(entries_max);
        for number in 0..1000 {
            let entry = Entry { value: Arc::new(number), issuer: 0, generation: None, until: None };
            cache.insert(digest(&number.to_string()), entry);
        }
        assert!(
            cache.entries.len() <= entries_max.max(1),
            "{} of {entries_max}",
            cache.entries.len()
        );
    }
}
