//! What a server is put together from.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use mcp_core::{secret::Secret, server::Service};

use super::StartError;
use crate::{
    cluster::Cluster,
    config::{self, Config},
    hop::HopKeys,
    metrics::Metrics,
    sessions::{Sessions, Terms},
    store::Store,
    workers::Workers,
};

/// How much longer than its longest call a replica may be silent.
const SILENCE_MARGIN: Duration = Duration::from_secs(30);

/// Workers, replicas and store of a configuration.
pub(super) fn sessions(
    config: &Config,
    service: &Arc<Service>,
    metrics: &Metrics,
) -> Result<Sessions, StartError> {
    let count = config.server.workers.map_or(0, NonZeroU16::get);
    let workers = Arc::new(Workers::new(count, service, config.worker_limits));
    let cluster = match &config.cluster {
        Some(cluster) => {
            let keys = HopKeys::new(signing_secrets(cluster, &config.sessions.keys))?;
            let limits = &config.worker_limits;
            let silence = (limits.keep_alive * 4).max(limits.call_timeout + SILENCE_MARGIN);
            Cluster::start(cluster, count, &Arc::new(keys), silence)?
        }
        None => Cluster::alone(count),
    };
    let store = Store::open(&config.sessions.store, &config.sessions.keys, metrics.store_times())?;
    let terms = Terms {
        keys: &config.sessions.keys,
        age_max: config.sessions.age_max,
        of_principal_max: config.worker_limits.principal_sessions_max,
    };
    Ok(Sessions::new(workers, cluster, store, &terms)?)
}

/// What replicas sign with: keys of their own, or with mutual TLS those of the sessions.
#[must_use]
pub fn signing_secrets<'c>(
    cluster: &'c config::Cluster,
    of_sessions: &'c [Secret],
) -> &'c [Secret] {
    if cluster.keys.is_empty() { of_sessions } else { &cluster.keys }
}
