//! The series of who is let in: tokens, the keys behind them, and the reloads of the configuration.

use std::time::{Duration, SystemTime};

use jsonwebtoken_jwks::refused::Reason;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{
    catalogue::Key,
    family::{Family, Maker},
    labels::{Label as _, LoadOutcome, ReloadOutcome, TokenOutcome},
    series::wide,
};

/// Who is let in by what, at the moment of a scrape.
#[derive(Debug, Clone)]
pub struct AdmissionFigures {
    /// The keys of each issuer.
    pub keys: Vec<KeyFigures>,
    /// Verified tokens that are remembered.
    pub tokens: usize,
    /// Most that can be.
    pub tokens_max: usize,
}

/// An issuer's keys at the moment of a scrape.
#[derive(Debug, Clone)]
pub struct KeyFigures {
    /// The issuer as configured, which bounds the label's values.
    pub issuer: String,
    /// Keys in use.
    pub usable: usize,
    /// Keys of its document that are not used.
    pub rejected: usize,
    /// When they were last read from their source.
    pub read: Option<SystemTime>,
    /// How often they were read.
    pub loaded: u64,
    /// How often they could not be read.
    pub failed: u64,
}

#[derive(Debug)]
pub(super) struct Admission {
    pub(super) tokens: Family<TokenOutcome, IntCounter>,
    pub(super) refused: Family<Reason, IntCounter>,
    pub(super) reloads: Family<ReloadOutcome, IntCounter>,
    pub(super) reload_is_good: IntGauge,
    pub(super) reload_time: IntGauge,
    usable: IntGaugeVec,
    rejected: IntGaugeVec,
    read: IntGaugeVec,
    loads: IntCounterVec,
    cached: IntGauge,
    cached_max: IntGauge,
}

impl Admission {
    pub(super) fn new(make: &Maker<'_>) -> prometheus::Result<Self> {
        let issuer = Key::named("issuer", "a configured issuer of tokens");
        Ok(Self {
            tokens: make.counter_family(
                "tokens_total",
                "Access tokens seen: remembered, verified anew, or refused.",
                "outcome",
            )?,
            refused: make.counter_family(
                "tokens_refused_total",
                "Access tokens refused.",
                "reason",
            )?,
            reloads: make.counter_family(
                "config_reloads_total",
                "Reloads of the configuration.",
                "outcome",
            )?,
            reload_is_good: make.switch(
                "config_last_reload_successful",
                "Whether the last load of the configuration was good.",
            )?,
            reload_time: make.gauge(
                "config_last_reload_success_timestamp_seconds",
                "When the configuration was last loaded.",
            )?,
            usable: make.gauges("jwks_keys", "Signing keys in use.", &[issuer])?,
            rejected: make.gauges(
                "jwks_keys_rejected",
                "Keys of an issuer's document that are not used.",
                &[issuer],
            )?,
            read: make.gauges(
                "jwks_last_success_timestamp_seconds",
                "When an issuer's keys were last read from their source; 0 if never, or if they are in the configuration.",
                &[issuer],
            )?,
            loads: make.counters(
                "jwks_loads_total",
                "Attempts to read an issuer's keys from their source.",
                &[issuer, Key::of::<LoadOutcome>("outcome")],
            )?,
            cached: make.gauge(
                "token_cache_entries",
                "Verified tokens that are remembered, so that their signatures need not be checked again.",
            )?,
            cached_max: make
                .gauge("token_cache_entries_max", "Most verified tokens that can be remembered.")?,
        })
    }

    /// A load of the configuration ended.
    pub(super) fn loaded(&self, outcome: ReloadOutcome) {
        self.reloads.inc(outcome);
        self.started(outcome == ReloadOutcome::Applied);
    }

    /// Says whether the configuration on disk is the one that runs.
    pub(super) fn started(&self, is_good: bool) {
        self.reload_is_good.set(is_good.into());
        if is_good {
            self.reload_time.set(seconds(SystemTime::now()));
        }
    }

    /// Brings the series up to date: shows these issuers and no others.
    pub(super) fn show(&self, figures: &AdmissionFigures) {
        self.cached.set(wide(figures.tokens));
        self.cached_max.set(wide(figures.tokens_max));
        for gauges in [&self.usable, &self.rejected, &self.read] {
            gauges.reset();
        }
        self.loads.reset();
        for KeyFigures { issuer, usable, rejected, read, loaded, failed } in &figures.keys {
            self.usable.with_label_values(&[issuer]).set(wide(*usable));
            self.rejected.with_label_values(&[issuer]).set(wide(*rejected));
            self.read.with_label_values(&[issuer]).set(read.map_or(0, seconds));
            for (outcome, times) in [(LoadOutcome::Loaded, *loaded), (LoadOutcome::Failed, *failed)]
            {
                let labels = [issuer.as_str(), outcome.label()];
                self.loads.with_label_values(&labels).inc_by(times);
            }
        }
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
