//! Settings of sessions and replicas that stay as they are until a restart; only their keys change before.

use std::sync::Arc;

use mcp_core::secret::Secret;

use crate::config::{
    AccessLog, Audit, Cluster, ClusterTls, Config, Otlp, RedisStore, SessionStore, Sessions, Sink,
    SinkTls, Syslog, SyslogAddress, Target, Traces,
};

/// Whether both are the same text, or none.
pub(super) fn same_secret(one: Option<&Secret>, other: Option<&Secret>) -> bool {
    one.map(Secret::expose) == other.map(Secret::expose)
}

/// Whether sessions differ in nothing but their keys. Each type is taken apart, so that no setting is forgotten.
pub(super) fn same_sessions(one: &Sessions, other: &Sessions) -> bool {
    let Sessions { keys: _, age_max, store } = one;
    *age_max == other.age_max
        && match (store, &other.store) {
            (SessionStore::Memory, SessionStore::Memory) => true,
            (SessionStore::Redis(one), SessionStore::Redis(other)) => same_redis(one, other),
            (SessionStore::Memory, SessionStore::Redis(_))
            | (SessionStore::Redis(_), SessionStore::Memory) => false,
        }
}

fn same_redis(one: &RedisStore, other: &RedisStore) -> bool {
    let RedisStore {
        host,
        port,
        database,
        username,
        password,
        tls,
        ca_pem,
        key_prefix,
        timeout,
        when_down,
    } = one;
    let place = (host, port, database, tls, ca_pem, key_prefix)
        == (
            &other.host,
            &other.port,
            &other.database,
            &other.tls,
            &other.ca_pem,
            &other.key_prefix,
        );
    place
        && (username, timeout, when_down) == (&other.username, &other.timeout, &other.when_down)
        && same_secret(password.as_ref(), other.password.as_ref())
}

/// Whether replicas differ in nothing but the keys that sign.
pub(super) fn same_cluster(one: Option<&Cluster>, other: Option<&Cluster>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one.is_none() && other.is_none() };
    let Cluster { listen, advertise, keys: _, tls, peers, probe, hops_max, clock_skew } = one;
    (listen, advertise, peers, probe, hops_max, clock_skew)
        == (
            &other.listen,
            &other.advertise,
            &other.peers,
            &other.probe,
            &other.hops_max,
            &other.clock_skew,
        )
        && match (tls, &other.tls) {
            (None, None) => true,
            (Some(one), Some(other)) => same_tls(one, other),
            (None, Some(_)) | (Some(_), None) => false,
        }
}

fn same_tls(one: &ClusterTls, other: &ClusterTls) -> bool {
    let ClusterTls { cert_pem, key_pem, ca_pem, server_name } = one;
    (cert_pem, ca_pem, server_name) == (&other.cert_pem, &other.ca_pem, &other.server_name)
        && same_secret(Some(key_pem), Some(&other.key_pem))
}

/// Whether both access logs are the same, keys and other secrets included.
pub(super) fn same_access_log(one: &AccessLog, other: &AccessLog) -> bool {
    let AccessLog { sinks, audit, included_headers, excluded_headers, redacted_headers, records } =
        one;
    (included_headers, excluded_headers, redacted_headers, records)
        == (
            &other.included_headers,
            &other.excluded_headers,
            &other.redacted_headers,
            &other.records,
        )
        && same_audit(audit, &other.audit)
        && sinks.len() == other.sinks.len()
        && sinks.iter().zip(&other.sinks).all(|(one, other)| same_sink(one, other))
}

fn same_audit(one: &Audit, other: &Audit) -> bool {
    let Audit { keys, checkpoint_interval, checkpoint_records } = one;
    (checkpoint_interval, checkpoint_records)
        == (&other.checkpoint_interval, &other.checkpoint_records)
        && keys.iter().map(Secret::expose).eq(other.keys.iter().map(Secret::expose))
}

fn same_sink(one: &Sink, other: &Sink) -> bool {
    let Sink { name, target, format, chain, filter, sample, when_full, queue_bytes_max } = one;
    (name, format, chain, filter, sample, when_full, queue_bytes_max)
        == (
            &other.name,
            &other.format,
            &other.chain,
            &other.filter,
            &other.sample,
            &other.when_full,
            &other.queue_bytes_max,
        )
        && match (target, &other.target) {
            (Target::Stdout, Target::Stdout) => true,
            (Target::File(one), Target::File(other)) => one == other,
            (Target::Syslog(one), Target::Syslog(other)) => same_syslog(one, other),
            (Target::Otlp(one), Target::Otlp(other)) => same_otlp(one, other),
            (
                Target::Stdout | Target::File(_) | Target::Syslog(_) | Target::Otlp(_),
                _different,
            ) => false,
        }
}

fn same_syslog(one: &Syslog, other: &Syslog) -> bool {
    let Syslog { address, facility, app_name, timeout } = one;
    (facility, app_name, timeout) == (&other.facility, &other.app_name, &other.timeout)
        && match (address, &other.address) {
            (
                SyslogAddress::Tcp { host, port },
                SyslogAddress::Tcp { host: other_host, port: other_port },
            ) => (host, port) == (other_host, other_port),
            (
                SyslogAddress::Tls { host, port, tls },
                SyslogAddress::Tls { host: other_host, port: other_port, tls: other_tls },
            ) => (host, port) == (other_host, other_port) && same_sink_tls(tls, other_tls),
            (SyslogAddress::Unix(one), SyslogAddress::Unix(other)) => one == other,
            (
                SyslogAddress::Tcp { .. } | SyslogAddress::Tls { .. } | SyslogAddress::Unix(_),
                _different,
            ) => false,
        }
}

/// Whether traces are made alike, and sent to the same place.
pub(super) fn same_traces(one: Option<&Traces>, other: Option<&Traces>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one.is_none() && other.is_none() };
    let Traces {
        receiver,
        sample_ratio,
        trust_parent,
        trusted_per_second_max,
        propagate,
        queue_max,
    } = one;
    (sample_ratio, trust_parent, trusted_per_second_max, propagate, queue_max)
        == (
            &other.sample_ratio,
            &other.trust_parent,
            &other.trusted_per_second_max,
            &other.propagate,
            &other.queue_max,
        )
        && same_otlp(receiver, &other.receiver)
}

fn same_otlp(one: &Otlp, other: &Otlp) -> bool {
    let Otlp { endpoint, protocol, headers, tls, timeout } = one;
    (endpoint, protocol, headers, timeout)
        == (&other.endpoint, &other.protocol, &other.headers, &other.timeout)
        && same_sink_tls(tls, &other.tls)
}

fn same_sink_tls(one: &SinkTls, other: &SinkTls) -> bool {
    let SinkTls { ca_pem, identity, server_name } = one;
    let parts = |identity: &Option<(Arc<[u8]>, Secret)>| {
        identity.clone().map(|(certificate, key)| (certificate, key.expose().to_owned()))
    };
    (ca_pem, server_name) == (&other.ca_pem, &other.server_name)
        && parts(identity) == parts(&other.identity)
}

/// Gives `next` the sessions and replicas of what runs, with keys of its own where what runs can do with them.
///
/// Keys may be absent only beside other settings, such as no cluster, that come with a restart: until then the old
/// ones stay.
pub(super) fn settle_keys(next: &mut Config, running: &Config) {
    let stored = matches!(running.sessions.store, SessionStore::Redis(_));
    let needed = stored || running.cluster.is_some();
    let mut keys = std::mem::take(&mut next.sessions.keys);
    if needed && keys.is_empty() {
        keys.clone_from(&running.sessions.keys);
    }
    next.sessions = Sessions { keys, ..running.sessions.clone() };
    let wanted = next.cluster.take();
    next.cluster = running.cluster.clone().map(|settled| {
        let keys = wanted.map(|cluster| cluster.keys);
        let good = keys.filter(|keys| !keys.is_empty() || settled.tls.is_some());
        Cluster { keys: good.unwrap_or_else(|| settled.keys.clone()), ..settled }
    });
}
