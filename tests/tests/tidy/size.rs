//! How long files and functions may be.

use super::source::{functions, sources};

/// Most lines of a file of product code, its test modules apart.
const FILE_LINES_MAX: usize = 400;
/// Most lines of a function of product code.
const FUNCTION_LINES_MAX: usize = 70;

/// Files that may be longer, each with its reason.
const LONGER_FILES: [(&str, &str); 0] = [];
/// Functions that may be longer, each with its reason.
const LONGER_FUNCTIONS: [(&str, &str); 0] = [];

#[test]
fn files_fit_into_a_head() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let lines = source.product_lines;
        let excused = LONGER_FILES.iter().any(|(path, _reason)| source.path == *path);
        match (lines > FILE_LINES_MAX, excused) {
            (true, false) => faults.push(format!("{} has {lines} lines", source.path)),
            (false, true) => faults.push(format!("{} needs no exception", source.path)),
            (true, true) | (false, false) => {}
        }
    }
    assert_eq!(faults, Vec::<String>::new(), "at most {FILE_LINES_MAX}");
}

#[test]
fn functions_fit_on_a_screen() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (name, first, lines) in functions(&source.code) {
            let place = format!("{}::{name}", source.path);
            let excused = LONGER_FUNCTIONS.iter().any(|(function, _reason)| place == *function);
            if lines > FUNCTION_LINES_MAX && !excused {
                faults.push(format!("{}:{first}: {name} has {lines} lines", source.path));
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new(), "at most {FUNCTION_LINES_MAX}");
}

#[test]
fn module_files_are_called_like_their_module() {
    let sources = sources();
    let wrong: Vec<_> = sources.iter().filter(|s| s.path.ends_with("/mod.rs")).collect();
    assert!(wrong.is_empty(), "foo.rs and foo/, not foo/mod.rs: {wrong:?}");
}
