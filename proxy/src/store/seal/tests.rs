use proptest::prelude::*;

use super::*;

const A: &str = "the first secret, which is long enough";
const B: &str = "the other secret, which is long enough";

fn keys(secrets: &[&str]) -> StoreKeys {
    let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
    StoreKeys::new(&secrets).unwrap()
}

fn digest(id: &str) -> SessionDigest {
    SessionDigest::of(&SessionId::parse(id.as_bytes()).unwrap())
}

#[test]
fn without_a_secret_there_are_no_keys() {
    assert!(matches!(StoreKeys::new(&[]), Err(StoreError::NoKeys)));
}

#[test]
fn the_first_secret_seals_and_all_open() {
    let (only_a, a_then_b) = (keys(&[A]), keys(&[A, B]));
    let (only_b, b_then_a) = (keys(&[B]), keys(&[B, A]));
    let by_a = only_a.seal(&digest("s"), b"record".to_vec()).unwrap();
    assert_eq!(b_then_a.open(&digest("s"), &by_a).unwrap(), b"record");
    assert_eq!(only_b.open(&digest("s"), &by_a), Err(Unreadable::UnknownKey));
    let by_b = b_then_a.seal(&digest("s"), b"record".to_vec()).unwrap();
    assert_eq!(a_then_b.open(&digest("s"), &by_b).unwrap(), b"record");
    assert_eq!(only_a.open(&digest("s"), &by_b), Err(Unreadable::UnknownKey));
}

#[test]
fn a_principal_has_a_name_under_each_secret_and_the_first_comes_first() {
    let principal = PrincipalId([7; 16]);
    let names = |secrets: &[&str]| keys(secrets).principal(principal).collect::<Vec<_>>();
    let (by_a, by_b) = (names(&[A]), names(&[B]));
    assert_ne!(by_a, by_b);
    assert_eq!(names(&[B, A]), [by_b, by_a].concat());
    assert_ne!(names(&[A]), keys(&[A]).principal(PrincipalId([8; 16])).collect::<Vec<_>>());
}

#[test]
fn the_same_record_is_never_sealed_twice_the_same_way() {
    let keys = keys(&[A]);
    let seal = || keys.seal(&digest("s"), b"record".to_vec()).unwrap();
    assert_ne!(seal(), seal());
}

#[test]
fn names_are_lower_case_hexadecimal() {
    assert_eq!(hex(&[0x00, 0x9f, 0xa0]), "009fa0");
    assert_eq!(digest("s").hex().len(), 64);
}

#[test]
fn debug_shows_no_key_and_no_digest() {
    let shown = format!("{:?} {:?}", keys(&[A, B]), digest("s"));
    assert_eq!(shown, "StoreKeys { .. } SessionDigest(..)");
}

proptest! {
    #[test]
    fn what_was_sealed_opens_as_it_was(
        record in proptest::collection::vec(any::<u8>(), 0..600),
        id in "[!-~]{1,128}",
    ) {
        let keys = keys(&[A]);
        let sealed = keys.seal(&digest(&id), record.clone()).unwrap();
        prop_assert_eq!(sealed.len(), 1 + KEY_ID_BYTES + NONCE_LEN + record.len() + 16);
        prop_assert_eq!(keys.open(&digest(&id), &sealed).unwrap(), record);
    }

    #[test]
    fn a_changed_byte_anywhere_keeps_it_shut(
        record in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<proptest::sample::Index>(),
        by in 1..=255_u8,
    ) {
        let keys = keys(&[A, B]);
        let mut sealed = keys.seal(&digest("s"), record).unwrap();
        let at = at.index(sealed.len());
        sealed[at] ^= by;
        prop_assert!(keys.open(&digest("s"), &sealed).is_err());
    }

    #[test]
    fn a_cut_or_grown_record_stays_shut(
        record in proptest::collection::vec(any::<u8>(), 0..200),
        length in any::<proptest::sample::Index>(),
        more in proptest::collection::vec(any::<u8>(), 1..20),
    ) {
        let keys = keys(&[A]);
        let sealed = keys.seal(&digest("s"), record).unwrap();
        let cut = &sealed[..length.index(sealed.len())];
        prop_assert!(keys.open(&digest("s"), cut).is_err());
        prop_assert!(keys.open(&digest("s"), &[sealed, more].concat()).is_err());
    }

    #[test]
    fn a_record_of_one_session_does_not_open_for_another(
        one in "[!-~]{1,128}",
        other in "[!-~]{1,128}",
    ) {
        prop_assume!(one != other);
        let keys = keys(&[A]);
        let sealed = keys.seal(&digest(&one), b"record".to_vec()).unwrap();
        prop_assert_eq!(keys.open(&digest(&other), &sealed), Err(Unreadable::Altered));
    }

    #[test]
    fn bytes_from_anywhere_do_not_open(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(keys(&[A, B]).open(&digest("s"), &bytes).is_err());
    }
}
