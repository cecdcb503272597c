//! Bounds of the tools.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Size, size};

/// Bounds of the tools' questions and answers.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the bound stands last in a name")]
pub(crate) struct Tools {
    /// Longest PromQL text accepted.
    pub(crate) query_bytes_max: Size,
    /// Largest answer, its text and its JSON together (4KiB to 64MiB). What is over it is cut, a
    /// result at a whole series, and the answer says so.
    pub(crate) answer_bytes_max: Size,
    /// Most points in each series of a range query that names no step.
    pub(crate) points_default_max: u64,
    /// Most metric names on one page.
    pub(crate) page_max: u64,
}

impl Default for Tools {
    fn default() -> Self {
        Self {
            query_bytes_max: size("16KiB"),
            answer_bytes_max: size("64KiB"),
            points_default_max: 250,
            page_max: 1000,
        }
    }
}
