//! Picks metric names by pattern.

use globset::{GlobBuilder, GlobMatcher};
use regex::{Regex, RegexBuilder};

use super::{arguments::Arguments, error::ArgumentError};

/// Longest pattern accepted, in bytes.
const PATTERN_BYTES_MAX: usize = 1024;

/// Largest compiled expression, in bytes. It bounds the work that a hostile one can cause.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// Names that a glob and a regular expression both match; each may be left out.
#[derive(Debug)]
pub(crate) struct Filter {
    glob: Option<GlobMatcher>,
    regex: Option<Regex>,
}

impl Filter {
    /// Reads `query`, a glob for the whole name, and `regex`, which matches anywhere in it.
    pub(crate) fn read(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let glob = arguments.bounded_text("query", PATTERN_BYTES_MAX)?.map(|glob| {
            let built = GlobBuilder::new(glob).backslash_escape(true).build();
            built
                .map(|glob| glob.compile_matcher())
                .map_err(|source| ArgumentError::Glob { name: "query", source })
        });
        let regex = arguments.bounded_text("regex", PATTERN_BYTES_MAX)?.map(|regex| {
            let mut builder = RegexBuilder::new(regex);
            let builder = builder.size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX);
            builder.build().map_err(|source| ArgumentError::Regex { name: "regex", source })
        });
        Ok(Self { glob: glob.transpose()?, regex: regex.transpose()? })
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.is_match(name))
            && self.regex.as_ref().is_none_or(|regex| regex.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::tools::{arguments::Argument, error::ToolError};

    const TABLE: &[Argument] = &[Argument::text("query", ""), Argument::text("regex", "")];

    fn filter(given: Value) -> Result<Filter, ArgumentError> {
        let Value::Object(given) = given else { panic!("not an object") };
        Filter::read(&Arguments::accept(given, TABLE)?)
    }

    fn picked(given: Value) -> Vec<&'static str> {
        let filter = filter(given).unwrap();
        let names = ["go_gc", "node_cpu", "node_cpu_seconds", "my.cpu/x", "CPU"];
        names.into_iter().filter(|name| filter.matches(name)).collect()
    }

    #[test]
    fn a_glob_matches_the_whole_name() {
        assert_eq!(picked(json!({"query": "node_*"})), ["node_cpu", "node_cpu_seconds"]);
        assert_eq!(picked(json!({"query": "node_cpu"})), ["node_cpu"]);
        assert_eq!(picked(json!({"query": "*cpu*"})), ["node_cpu", "node_cpu_seconds", "my.cpu/x"]);
        assert_eq!(picked(json!({"query": "?o_gc"})), ["go_gc"]);
        assert_eq!(picked(json!({"query": "[gn]o*"})), ["go_gc", "node_cpu", "node_cpu_seconds"]);
        assert_eq!(picked(json!({"query": "cpu"})), [""; 0]);
    }

    #[test]
    fn a_regex_matches_anywhere_and_anchors_hold() {
        assert_eq!(picked(json!({"regex": "cpu"})), ["node_cpu", "node_cpu_seconds", "my.cpu/x"]);
        assert_eq!(picked(json!({"regex": "^(go|node)_[a-z]+$"})), ["go_gc", "node_cpu"]);
        assert_eq!(picked(json!({"regex": "(?i)^cpu"})), ["CPU"]);
    }

    #[test]
    fn both_patterns_must_match_and_none_matches_all() {
        assert_eq!(picked(json!({"query": "node*", "regex": "s$"})), ["node_cpu_seconds"]);
        assert_eq!(picked(json!({})).len(), 5);
    }

    #[test]
    fn a_broken_or_monstrous_pattern_is_an_error_that_names_the_argument() {
        let text = |given| ToolError::from(filter(given).unwrap_err()).text();
        assert!(
            text(json!({"query": "a[b"})).starts_with("argument `query` is no valid pattern: ")
        );
        assert!(text(json!({"regex": "a(b"})).starts_with("argument `regex` is no valid regular"));
        assert!(text(json!({"regex": "(((a{1000}){1000}){1000})"})).contains("size limit"));
        assert!(text(json!({"regex": "a".repeat(1025)})).contains("at most 1024"));
    }
}
