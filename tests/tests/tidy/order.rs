//! Which crate and which module may name which.

use std::collections::HashMap;

use super::source::{Source, sources};

/// A library and the only files that may name it, by the start of their path.
const NAMED_ONLY_IN: [(&str, &[&str]); 7] = [
    ("pingora", &["proxy/src/", "benches/src/serve/bare.rs"]),
    ("pingora_proxy", &["proxy/src/"]),
    // The tools and the server are what MCP is; the rest of the crate does not know it.
    (
        "rmcp",
        &[
            "mcp-core/src/server",
            "mcp-core/src/tools",
            "mcp-core/src/call",
            "mcp-core/src/stdio",
            "tests/",
            "benches/",
        ],
    ),
    // The demo waits for its Prometheus and asks one real question.
    (
        "reqwest",
        &[
            "mcp-core/src/backend",
            "proxy/jwks/",
            "proxy/src/demo",
            "proxy/src/otlp/",
            "tests/",
            "benches/",
        ],
    ),
    ("redis", &["proxy/src/store/", "tests/"]),
    ("promgate", &["proxy/src/main.rs", "proxy/tests/", "tests/", "benches/"]),
    // Benchmarks take their tokens from where tests take theirs.
    ("e2e", &["tests/", "benches/"]),
];

#[test]
fn libraries_are_named_only_where_they_belong() {
    let mut faults = Vec::new();
    for source in sources() {
        for (library, places) in NAMED_ONLY_IN {
            if !places.iter().any(|place| source.path.starts_with(place)) {
                let lines = source.names(library);
                faults
                    .extend(lines.iter().map(|line| format!("{}:{line}: {library}", source.path)));
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new(), "named where they do not belong");
}

/// A file may stand for a crate's root.
const ROOTS: [&str; 5] = [
    "proxy/jwks/src/lib.rs",
    "proxy/src/lib.rs",
    "mcp-core/src/lib.rs",
    "tests/src/lib.rs",
    "benches/src/lib.rs",
];

#[test]
fn a_module_names_only_modules_that_stand_before_it() {
    let sources = sources();
    let mut faults = Vec::new();
    for root in ROOTS {
        let root = sources.iter().find(|source| source.path == root).unwrap();
        let order = modules(&root.code);
        assert!(order.len() > 3, "the modules of {} were found", root.path);
        let place: HashMap<&str, usize> =
            order.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        let package = root.package();
        for source in sources.iter().filter(|source| source.package() == package) {
            let Some(own) = own_module(source).and_then(|module| place.get(module)) else {
                continue;
            };
            for (line, named) in named_modules(source) {
                if place.get(named.as_str()).is_some_and(|other| other > own) {
                    faults.push(format!("{}:{line} names crate::{named}", source.path));
                }
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new(), "lib.rs lists the modules in their order");
}

/// The modules that a crate's root declares, in their order.
fn modules(code: &str) -> Vec<String> {
    let declared = code.lines().filter_map(|line| {
        let line = line.trim().strip_prefix("pub ").unwrap_or_else(|| line.trim());
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    declared.map(str::to_owned).collect()
}

/// The top-level module that a file belongs to.
fn own_module(source: &Source) -> Option<&str> {
    let (_, inside) = source.path.split_once("/src/")?;
    let module = inside.split('/').next()?;
    Some(module.strip_suffix(".rs").unwrap_or(module))
}

/// Every module named as `crate::x`, one by one or in a list of imports.
fn named_modules(source: &Source) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (at, _) in source.code.match_indices("crate::") {
        if source.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let line = source.code[..at].matches('\n').count() + 1;
        let rest = &source.code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => named.push((line, first_word(rest))),
            Some(list) => named.extend(list_items(list).into_iter().map(|item| (line, item))),
        }
    }
    named
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first word of each item of `a::{b, c}, d}`.
fn list_items(list: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut items = vec![String::new()];
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(String::new()),
            _ => {}
        }
        items.last_mut().unwrap().push(c);
    }
    let words = items.iter().map(|item| first_word(item.trim_start_matches(',')));
    words.filter(|word| !word.is_empty()).collect()
}

#[test]
fn lists_of_imports_are_read() {
    assert_eq!(list_items("a::{b, c}, d::e, f}; g"), ["a", "d", "f"]);
    assert_eq!(modules("pub mod a;\nmod b;\nmod c { }\n"), ["a", "b"]);
}

/// Dependencies between our crates, by manifest: the code cannot name what is not there.
#[test]
fn crates_depend_in_one_direction() {
    let manifest = |package: &str| {
        let path = e2e::paths::workspace().join(package).join("Cargo.toml");
        std::fs::read_to_string(path).unwrap()
    };
    for (package, never) in [
        ("mcp-core", &["promgate", "pingora", "jsonwebtoken-jwks", "e2e"][..]),
        ("proxy/jwks", &["promgate", "mcp-core", "pingora", "rmcp", "e2e"]),
        ("proxy", &["e2e"]),
    ] {
        for dependency in never {
            let named = manifest(package).lines().any(|line| {
                let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
                name == *dependency || name == format!("{dependency}-proxy")
            });
            assert!(!named, "{package} depends on {dependency}");
        }
    }
}
