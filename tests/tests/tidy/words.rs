//! Words that have no place in the sources.

use super::source::sources;

/// Marks of unfinished work. Written in parts, so that this file does not hold them.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("HA", "CK:")];

#[test]
fn nothing_is_left_for_later() {
    let mut faults = Vec::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            if UNFINISHED.iter().any(|mark| line.contains(mark)) {
                faults.push(format!("{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn no_unsafe_code_is_written() {
    for source in sources() {
        assert_eq!(source.names("std::mem::transmute"), Vec::<usize>::new(), "{}", source.path);
        let words = source.code.split(|c: char| !c.is_alphanumeric() && c != '_');
        assert!(words.into_iter().all(|word| word != "unsafe"), "{}", source.path);
    }
}

#[test]
fn the_environment_is_read_in_one_place() {
    for source in sources().iter().filter(|source| !source.is_test()) {
        let reads = source.code.contains("env::var") || source.code.contains("env::vars");
        let allowed = ["proxy/src/config", "proxy/src/main.rs", "proxy/src/cli", "proxy/src/demo"];
        let allowed = allowed.iter().any(|place| source.path.starts_with(place));
        assert!(!reads || allowed, "{} reads the environment", source.path);
    }
}
