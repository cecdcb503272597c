//! Where the metrics find what is asked at a scrape.

use std::sync::Arc;

use crate::{
    admin::{Phase, Readiness},
    config::Config,
    edge::Bodies,
    live::Current,
    metrics::{Metrics, ProcessFigures},
    sessions::Sessions,
};

/// Shows certificates, keys, workers and replicas.
pub(super) fn show(
    metrics: &Arc<Metrics>,
    config: &Config,
    live: &Current,
    sessions: &Arc<Sessions>,
) {
    metrics.certify(&config.certificate_ends());
    let live = Arc::clone(live);
    metrics.read_admission_from(Box::new(move || live.load().admission_figures()));
    let (workers, replicas) = (Arc::clone(sessions), Arc::clone(sessions));
    metrics.read_workers_from(Box::new(move || workers.workers.figures()));
    metrics.read_replicas_from(Box::new(move || replicas.figures()));
}

/// Shows the process itself.
pub(super) fn show_process(
    metrics: &Metrics,
    bodies: &Arc<Bodies>,
    readiness: &Readiness,
    sessions: &Arc<Sessions>,
) {
    let (bodies, readiness, sessions) =
        (Arc::clone(bodies), readiness.clone(), Arc::clone(sessions));
    metrics.read_process_from(Box::new(move || ProcessFigures {
        is_ready: readiness.phase() == Phase::Ready && sessions.has_room(),
        bodies_bytes: bodies.bytes(),
    }));
}
