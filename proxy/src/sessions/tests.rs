use std::{
    net::SocketAddr,
    num::NonZeroU8,
    time::{Duration, Instant},
};

use mcp_core::{
    backend::Backends,
    config::{ToolLimits, WorkerLimits},
    observe::{Observer, Unobserved},
    server::{Changes, Service},
    tools::Metrics as Tools,
};

use serde_json::{json, value::to_raw_value};

use super::*;
use crate::{
    config::{self, Peers, Probe, SessionStore},
    hop::HopKeys,
    metrics::{Metrics, Subjects},
};

const ME: &str = "127.0.0.1:1";

/// Sessions in the memory of so many workers.
pub(crate) fn sessions(cluster: &Arc<Cluster>, workers: u16) -> Sessions {
    let observer: Arc<dyn Observer> = Arc::new(Unobserved);
    let backends = Backends::new(Vec::new(), Arc::clone(&observer)).unwrap();
    let name = || "promgate".to_owned();
    let tools = Tools::new(name(), name(), backends, ToolLimits::default(), observer);
    let service = Arc::new(Service::new(tools, Changes::default()));
    let workers = Arc::new(Workers::new(workers, &service, WorkerLimits::default()));
    let subjects = Subjects { tools: &[], backends: &[], workers: 0 };
    let times = Metrics::new(subjects).unwrap().store_times();
    let store = Store::open(&SessionStore::Memory, &[], times).unwrap();
    let terms = Terms { keys: &[], age_max: Duration::from_hours(1), of_principal_max: 1 };
    Sessions::new(workers, Arc::clone(cluster), store, &terms).unwrap()
}

#[tokio::test]
async fn a_session_that_falls_to_another_replica_meanwhile_is_not_unknown_and_nobody_waits_for_it()
{
    let cluster = Cluster::seen_by(ME, 1);
    let sessions = sessions(&cluster, 1);
    let id = sessions.mint(None).unwrap().opening.id;
    let Some(Place::Here(chosen)) = sessions.place(&id) else { panic!("it falls to us") };
    assert!(!sessions.has_moved(&id) && sessions.way(&id).is_none());
    cluster.see((ME, 0), &[("127.0.0.1:2", 1)]);
    let began = Instant::now();
    assert_eq!(sessions.bring(&id, None, chosen.worker).await, Brought::Moved);
    assert!(began.elapsed() < HANDING_OVER, "it is not to be handed to us");
    assert!(sessions.has_moved(&id));
    assert_eq!(sessions.way(&id).unwrap().node.as_str(), "127.0.0.1:2");
}

#[tokio::test]
async fn who_is_about_to_end_takes_no_sessions() {
    let own: SocketAddr = ME.parse().unwrap();
    let config = config::Cluster {
        listen: own,
        advertise: ME.to_owned(),
        keys: Vec::new(),
        tls: None,
        peers: Peers::Static(Vec::new()),
        probe: Probe {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            down_after: NonZeroU8::MIN,
            up_after: NonZeroU8::MIN,
        },
        hops_max: NonZeroU8::MIN,
        clock_skew: Duration::from_secs(1),
    };
    let keys = HopKeys::new(&[Secret::new("a secret of at least thirty-two bytes")]).unwrap();
    let cluster = Cluster::start(&config, 1, &Arc::new(keys), Duration::from_secs(1)).unwrap();
    let sessions = sessions(&cluster, 1);
    let id = sessions.mint(None).unwrap().opening.id;
    let init = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" },
    });
    let saved = json!({
        "form": 1, "version": "2025-11-25", "init": init, "principal": null, "expires_s": 9_999_999_999_u64,
    });
    let given = [(id.as_str().to_owned(), to_raw_value(&saved).unwrap())];
    assert_eq!(sessions.take(&given), [true]);
    cluster.leave().await;
    assert_eq!(sessions.take(&given), [false]);
}
