//! A key set as any provider, or whoever stands between, could send it.
//!
//! Nothing may panic. What is taken is within its bounds, names each key once, and is the same when it is read
//! again.

#![no_main]

use std::collections::HashSet;

use jsonwebtoken_jwks::{algorithm::Algorithm, key::KeySet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(set) = KeySet::parse(data) else { return };
    assert!(data.len() <= 256 << 10, "a larger set is refused");
    assert!(set.keys().len() + set.rejected().len() <= 64, "a longer set is refused");
    let names: Vec<_> = set.keys().iter().filter_map(|key| key.kid()).collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "a name twice");
    for key in set.keys() {
        assert!(!key.algorithms().is_empty(), "a key that can do nothing");
        for algorithm in Algorithm::ALL {
            let verified = key.verifies(algorithm, "text", "AAAA");
            assert!(!verified, "anything is a signature");
        }
    }
    assert!(set.rejected().iter().all(|key| !key.reason.word().is_empty()));
    let again = KeySet::parse(data).expect("what was read once");
    assert!(set.same_keys(&again) && again.same_keys(&set));
});
