//! The sources, with what is not code blanked out.

use std::{
    fs,
    path::{Path, PathBuf},
};

use e2e::paths::workspace;

/// A source file.
#[derive(Debug)]
pub(super) struct Source {
    /// Path from the workspace's root.
    pub(super) path: String,
    /// As it stands.
    pub(super) text: String,
    /// The same length, with comments, strings and test modules replaced by spaces.
    pub(super) code: String,
    /// Number of lines that are not in test modules.
    pub(super) product_lines: usize,
}

impl Source {
    /// Whether the file is test code as a whole.
    pub(super) fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/benches/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
    }

    /// The crate's folder.
    pub(super) fn package(&self) -> &str {
        self.path.split_once("/src/").map_or(self.path.as_str(), |(package, _)| package)
    }

    /// Lines of code that name `word` as a path's start.
    pub(super) fn names(&self, word: &str) -> Vec<usize> {
        let start = format!("{word}::");
        let lines = self.code.lines().enumerate();
        let named = lines.filter(|(_, line)| {
            line.match_indices(&start).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            })
        });
        named.map(|(index, _)| index + 1).collect()
    }
}

/// Every Rust file of the workspace that is ours.
pub(super) fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for package in ["proxy", "mcp-core", "tests", "benches"] {
        collect(&workspace().join(package), &mut paths);
    }
    assert!(paths.len() > 40, "the sources were found");
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let (code, test_lines) = without_tests(&blanked(&text));
    let path = path.strip_prefix(workspace()).unwrap().display().to_string();
    let product_lines = text.lines().count() - test_lines;
    Source { path, text, code, product_lines }
}

/// Replaces comments and literals by spaces; line breaks stay.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = if rest.starts_with(b"//") {
            rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(&bytes[..at], rest) {
            length
        } else if rest[0] == b'"' {
            quoted(rest, b'"')
        } else if rest[0] == b'\'' && is_char(rest) {
            quoted(rest, b'\'')
        } else {
            at += 1;
            continue;
        };
        for byte in &mut code[at..at + length] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += length;
    }
    String::from_utf8(code).unwrap()
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Length of `r"…"` or `r#"…"#` at the start of `rest`.
fn raw_string(before: &[u8], rest: &[u8]) -> Option<usize> {
    let in_word = before.last().is_some_and(|byte| byte.is_ascii_alphanumeric() && *byte != b'b');
    if rest[0] != b'r' || in_word {
        return None;
    }
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let from = hashes + 2;
    let found = rest[from..].windows(end.len()).position(|window| window == end)?;
    Some(from + found + end.len())
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Tells `'a'` from the lifetime `'a`.
fn is_char(rest: &[u8]) -> bool {
    if rest.get(1) == Some(&b'\\') {
        return true;
    }
    let text = std::str::from_utf8(&rest[1..rest.len().min(6)]);
    let text = text.or_else(|error| std::str::from_utf8(&rest[1..=error.valid_up_to()]));
    text.is_ok_and(|text| text.chars().nth(1) == Some('\''))
}

/// Blanks out what stands under `#[cfg(test)]`, and counts its lines.
fn without_tests(code: &str) -> (String, usize) {
    let mut left = code.to_owned();
    let mut lines = 0;
    while let Some(at) = left.find("#[cfg(test)]") {
        let end = item_end(&left, at);
        let blank: String =
            left[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        left.replace_range(at..end, &blank);
        lines += blank.matches('\n').count() + 1;
    }
    (left, lines)
}

/// The end of the item that begins at `at`: its closing brace, or a semicolon before any brace.
fn item_end(code: &str, at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return index + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return index + 1,
            _ => {}
        }
    }
    code.len()
}

/// The functions of a file: name, first line, number of lines.
pub(super) fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let before = code[..at].chars().next_back();
        let name: String =
            code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.is_empty() || before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let line = |index: usize| code[..index].matches('\n').count() + 1;
        let (first, last) = (line(at), line(item_end(code, at) - 1));
        found.push((name, first, last - first + 1));
    }
    found
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = "a(\"//b\"); // c\n/* d /* e */ */ 'f' 'g: r#\"h\"i\"# '\\'' j";
    let code = blanked(text);
    assert_eq!(code.len(), text.len());
    let words: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(words, ["a(", ");", "'g:", "j"]);
}

#[test]
fn test_modules_are_no_code() {
    let (code, lines) =
        without_tests("fn a() {}\n#[cfg(test)]\nmod tests { fn b() { c() } }\nfn d() {}");
    assert_eq!(lines, 2);
    assert!(code.contains("fn a") && code.contains("fn d") && !code.contains("fn b"));
    assert!(!without_tests("#[cfg(test)]\nmod tests;").0.contains("mod"));
}

#[test]
fn a_functions_lines_are_counted() {
    assert_eq!(
        functions("fn a() {\n  x {\n }\n}\nfn b();\n"),
        [("a".to_owned(), 1, 4), ("b".to_owned(), 5, 1)]
    );
}
