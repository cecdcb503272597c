#![expect(clippy::string_slice, reason = "ids are ASCII")]

use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::{principal::PrincipalId, secret::Secret};

const ALICE: Option<PrincipalId> = Some(PrincipalId([7; 16]));
const BOB: Option<PrincipalId> = Some(PrincipalId([8; 16]));

fn secret(byte: char) -> Secret {
    Secret::new(byte.to_string().repeat(32))
}

fn keys(bytes: &str) -> SessionKeys {
    SessionKeys::new(&bytes.chars().map(secret).collect::<Vec<_>>()).unwrap()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn id(keys: &SessionKeys, principal: Option<PrincipalId>) -> SessionId {
    keys.sign(&Seats::new().next().unwrap(), principal, at(2_000_000_000))
}

fn word(keys: &SessionKeys, text: &str, principal: Option<PrincipalId>) -> &'static str {
    let Ok(id) = SessionId::parse(text.as_bytes()) else { return "unreadable" };
    keys.check(&id, principal, at(1)).map_or_else(NotOurs::word, |_expires| "ours")
}

#[test]
fn an_id_with_a_space_a_control_byte_or_no_byte_is_refused() {
    for bad in [&b""[..], b"a b", b"a\n", b"\x7f", b"\xff", &[b'a'; 129]] {
        assert_eq!(SessionId::parse(bad), Err(MalformedSessionId), "{bad:?}");
    }
}

#[test]
fn debug_shows_no_part_of_the_id_nor_of_the_keys() {
    let id = SessionId::parse(b"abc123").unwrap();
    assert_eq!(format!("{id:?} {:?}", keys("k")), "SessionId(..) SessionKeys(..)");
}

#[test]
fn a_signed_id_is_visible_text_of_88_bytes_in_five_parts() {
    let seat = Seats::new().next().unwrap();
    let id = keys("a").sign(&seat, ALICE, at(1_764_000_000));
    let parts: Vec<&str> = id.as_str().split('.').collect();
    assert_eq!(id.as_str().len(), 88);
    assert_eq!(parts.len(), 5);
    assert_eq!((parts[0], parts[2], parts[3]), ("1", "1764000000", seat.as_str()));
    assert_eq!(id.seat(), seat.as_str());
    assert_eq!(SessionId::parse(id.as_str().as_bytes()), Ok(id));
}

/// Made by another implementation: replicas of different builds must take each other's ids.
#[test]
fn these_ids_are_good_in_every_build() {
    let signed = "1.-VbYxNxl.2000000000.AAECAwQFBgcICQoLDA0ODw.";
    for (mac, principal) in [
        ("5MgYFjqZpEtD7Z6Dw92l15kXzDLjVjwIzBHvbkGWlmY", ALICE),
        ("TpWCu8QIpQ6PSqmALbpxiNe1u13F9FCTjOHp28RGjXA", None),
    ] {
        assert_eq!(word(&keys("a"), &format!("{signed}{mac}"), principal), "ours");
    }
}

#[test]
fn the_seat_of_an_id_that_is_not_in_our_form_is_the_whole_of_it() {
    let ours = id(&keys("a"), ALICE);
    let ours = ours.as_str();
    let others = [
        "abc".to_owned(),
        "1.2.3.4.5".to_owned(),
        ours.replacen("1.", "2.", 1),
        ours.replacen(".2000000000.", ".02000000000.", 1),
        ours.replacen(".2000000000.", ".+2000000000.", 1),
        ours.replacen(".2000000000.", "..", 1),
        ours.replacen(".2000000000.", ".99999999999999999999999.", 1),
        ours.replacen(".2000000000.", ".2000000000.2000000000.", 1),
        format!("{ours}A"),
        ours[1..].to_owned(),
    ];
    for other in others {
        assert_eq!(SessionId::parse(other.as_bytes()).unwrap().seat(), other);
        assert_eq!(word(&keys("a"), &other, ALICE), "malformed");
    }
}

#[test]
fn an_id_is_good_for_its_own_principal_alone() {
    let keys = keys("a");
    for owner in [ALICE, BOB, None] {
        let id = id(&keys, owner);
        for caller in [ALICE, BOB, None] {
            let word = word(&keys, id.as_str(), caller);
            assert_eq!(word, if caller == owner { "ours" } else { "forged" });
        }
    }
}

#[test]
fn an_id_is_good_until_the_second_it_expires() {
    let keys = keys("a");
    let seat = Seats::new().next().unwrap();
    let id = keys.sign(&seat, ALICE, at(1000) + Duration::from_millis(900));
    assert_eq!(keys.check(&id, ALICE, at(1000) - Duration::from_nanos(1)), Ok(at(1000)));
    for late in [at(1000), at(1001), at(1 << 40)] {
        assert_eq!(keys.check(&id, ALICE, late).unwrap_err().word(), "expired");
    }
}

#[test]
fn a_time_before_the_epoch_or_at_the_end_of_time_signs_and_does_not_panic() {
    let keys = keys("a");
    let seat = Seats::new().next().unwrap();
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
    let id = keys.sign(&seat, None, before);
    assert_eq!(keys.check(&id, None, at(1)).unwrap_err().word(), "expired");
    let latest = at(i64::MAX.unsigned_abs());
    let id = keys.sign(&seat, None, latest);
    assert!(id.as_str().len() <= SESSION_ID_BYTES_MAX);
    assert_eq!(keys.check(&id, None, at(1)), Ok(latest));
}

#[test]
fn a_changed_key_goes_on_verifying_until_it_is_removed() {
    let old = id(&keys("a"), ALICE);
    let rotated = keys("ba");
    assert_eq!(word(&rotated, old.as_str(), ALICE), "ours");
    let new = id(&rotated, ALICE);
    assert_eq!(word(&keys("b"), new.as_str(), ALICE), "ours", "the first key signs");
    assert_eq!(word(&keys("b"), old.as_str(), ALICE), "unknown_key");
    assert_eq!(word(&SessionKeys::random().unwrap(), new.as_str(), ALICE), "unknown_key");
}

#[test]
fn an_id_that_names_another_of_the_keys_is_forged() {
    let both = keys("ab");
    let (a, b) = (id(&keys("a"), ALICE), id(&keys("b"), ALICE));
    let name = |id: &SessionId| id.as_str()[2..10].to_owned();
    let swapped = a.as_str().replacen(&name(&a), &name(&b), 1);
    assert_eq!(word(&both, a.as_str(), ALICE), "ours");
    assert_eq!(word(&both, &swapped, ALICE), "forged");
}

#[test]
fn every_change_of_one_byte_every_cut_and_every_extension_is_refused() {
    let keys = keys("ab");
    let id = id(&keys, ALICE);
    let text = id.as_str();
    for place in 0..text.len() {
        for byte in 0x21_u8..0x7f {
            let mut changed = text.as_bytes().to_vec();
            changed[place] = byte;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(word(&keys, &changed, ALICE) == "ours", changed == text, "{changed}");
        }
        assert_ne!(word(&keys, &text[..place], ALICE), "ours");
        assert_ne!(word(&keys, &text[place + 1..], ALICE), "ours");
        let without = format!("{}{}", &text[..place], &text[place + 1..]);
        assert_ne!(word(&keys, &without, ALICE), "ours");
        for byte in ["A", ".", "0", "=", "~"] {
            let longer = format!("{}{byte}{}", &text[..place], &text[place..]);
            assert_ne!(word(&keys, &longer, ALICE), "ours");
        }
    }
    for byte in ["A", ".", "0", "=", "~"] {
        assert_ne!(word(&keys, &format!("{text}{byte}"), ALICE), "ours");
    }
}

proptest! {
    #[test]
    fn no_made_up_id_is_ours(
        seat in "[A-Za-z0-9_-]{22}", mac in "[A-Za-z0-9_-]{43}", expiry in 1_u64..1 << 40,
    ) {
        let keys = keys("a");
        let name = id(&keys, ALICE).as_str()[2..10].to_owned();
        let forged = format!("1.{name}.{expiry}.{seat}.{mac}");
        prop_assert_ne!(word(&keys, &forged, ALICE), "ours");
    }

    #[test]
    fn any_text_is_read_without_a_panic_and_none_is_ours(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(id) = SessionId::parse(&bytes) {
            prop_assert!(keys("a").check(&id, None, at(1)).is_err());
            prop_assert!(id.as_str().contains(id.seat()));
        }
    }

    #[test]
    fn parts_of_two_good_ids_make_no_third(cut in 0_usize..88, other_principal: bool) {
        let keys = keys("a");
        let one = id(&keys, ALICE);
        let other = id(&keys, if other_principal { BOB } else { ALICE });
        let mixed = format!("{}{}", &one.as_str()[..cut], &other.as_str()[cut..]);
        let same = mixed == one.as_str() || mixed == other.as_str();
        prop_assert!(same || word(&keys, &mixed, ALICE) != "ours");
    }

    #[test]
    fn what_is_signed_checks_for_every_principal_and_time(
        principal: Option<[u8; 16]>, expires_s in 2_u64..1 << 50,
    ) {
        let (keys, principal) = (keys("a"), principal.map(PrincipalId));
        let id = keys.sign(&Seats::new().next().unwrap(), principal, at(expires_s));
        prop_assert!(id.as_str().len() <= SESSION_ID_BYTES_MAX);
        prop_assert_eq!(keys.check(&id, principal, at(expires_s - 1)), Ok(at(expires_s)));
        prop_assert!(keys.check(&id, principal, at(expires_s)).is_err());
    }
}
