//! Whatever is changed in a good token, it is good no more.

use proptest::prelude::*;

use super::mint::{STRICT, good, now};

/// Accepted or not, by the same checks as `verify`, and without a runtime.
fn accepted(token: &str) -> bool {
    STRICT.explain(token, now()).verified.is_some()
}

#[test]
fn no_token_with_another_character_is_accepted() {
    let good = good();
    assert!(accepted(&good));
    for place in 0..good.len() {
        for other in ['A', 'Q', 'w', '0', '-', '_', '.', '=', ' '] {
            let mut token = good.clone();
            token.replace_range(place..=place, &other.to_string());
            assert!(token == good || !accepted(&token), "{other:?} at {place}");
        }
        let mut shorter = good.clone();
        shorter.remove(place);
        assert!(!accepted(&shorter), "without the one at {place}");
        assert!(!accepted(good.get(..place).unwrap()), "cut at {place}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_token_with_other_bytes_is_accepted(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<char>(), 0..3), 1..4),
    ) {
        let good = good();
        let mut token: Vec<char> = good.chars().collect();
        for (place, c, edit) in edits {
            let place = place.index(token.len());
            match edit {
                0 => token[place] = c,
                1 => token.insert(place, c),
                _ => drop(token.remove(place)),
            }
        }
        let token: String = token.into_iter().collect();
        prop_assert!(token == good || !accepted(&token));
    }

    #[test]
    fn no_text_is_accepted_and_none_makes_it_panic(token in "\\PC{0,60}(\\.\\PC{0,60}){0,4}") {
        prop_assert!(!accepted(&token));
    }
}
