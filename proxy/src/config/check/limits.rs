//! Bounds of workers, sessions and tools.

use std::time::Duration;

use mcp_core::config::{ToolLimits, WorkerLimits};

use super::Check;
use crate::config::{place::At, raw};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// Most of anything that each holds a few hundred bytes: bounds the memory that a typing error
/// could ask for.
const COUNT_MAX: u64 = 10_000_000;

impl Check<'_> {
    pub(super) fn worker_limits(
        &mut self,
        limits: &raw::WorkerLimits,
        sessions: &raw::Sessions,
    ) -> WorkerLimits {
        let at = At::from(["server", "limits"]);
        let of = At::from(["sessions"]);
        WorkerLimits {
            sessions_max: self.count(
                &of.key("per_worker_max"),
                sessions.per_worker_max,
                1..=COUNT_MAX,
            ),
            principal_sessions_max: self.count(
                &of.key("per_principal_max"),
                sessions.per_principal_max,
                1..=COUNT_MAX,
            ),
            session_calls_max: self.count(
                &of.key("calls_per_session_max"),
                sessions.calls_per_session_max,
                1..=COUNT_MAX,
            ),
            calls_max: self.count(
                &at.key("calls_per_worker_max"),
                limits.calls_per_worker_max,
                1..=COUNT_MAX,
            ),
            listeners_max: self.count(
                &at.key("listeners_per_worker_max"),
                limits.listeners_per_worker_max,
                1..=COUNT_MAX,
            ),
            idle_timeout: self.span(
                &of.key("idle_timeout"),
                &sessions.idle_timeout,
                SECOND..=DAY * 30,
            ),
            call_timeout: self.span(
                &at.key("call_timeout"),
                &limits.call_timeout,
                MILLISECOND..=DAY,
            ),
            stream_after: self.span(
                &at.key("stream_after"),
                &limits.stream_after,
                MILLISECOND..=DAY,
            ),
            keep_alive: self.span(&at.key("keep_alive"), &limits.keep_alive, MILLISECOND..=DAY),
        }
    }

    pub(super) fn tools(&mut self, raw: &raw::Tools) -> ToolLimits {
        let at = At::from(["tools"]);
        ToolLimits {
            query_bytes_max: self.size(
                &at.key("query_bytes_max"),
                &raw.query_bytes_max,
                64..=1 << 20,
            ),
            answer_bytes_max: self.size(
                &at.key("answer_bytes_max"),
                &raw.answer_bytes_max,
                4 << 10..=64 << 20,
            ),
            points_default_max: self.small_count(
                &at.key("points_default_max"),
                raw.points_default_max,
                11_000,
            ),
            page_max: self.small_count(&at.key("page_max"), raw.page_max, 100_000),
        }
    }

    fn small_count(&mut self, at: &At, count: u64, max: u32) -> u32 {
        u32::try_from(self.count(at, count, 1..=u64::from(max))).unwrap_or(max)
    }
}
