//! Keys that other versions and other programs use, and where their meaning lives here.

use super::place::{At, Step};

/// One key that is not ours: its place (`*` is any key), what to say and how to mend it.
struct Moved {
    at: &'static [&'static str],
    what: &'static str,
    mend: &'static str,
}

const NOT_HERE: &str = "this key is known, but not here";
const NOT_SERVED: &str = "not served by this version";

const WRITE_PEERS: &str =
    "name the other replicas in `cluster.peers`, as in `static: [\"10.0.0.2:8081\"]`";
const WRITE_AGE: &str =
    "write `idle_timeout` for sessions in which nothing happens, `max_age` for all";

const MOVED: [Moved; 63] = [
    Moved {
        at: &["prometheus"],
        what: "this section belongs to prometheus-mcp before 0.6",
        mend: "move it to `backends.prometheus:`",
    },
    Moved {
        at: &["pmm"],
        what: "this section belongs to prometheus-mcp before 0.6",
        mend: "move it to `backends.pmm:`",
    },
    Moved { at: &["transport"], what: NOT_HERE, mend: "move it to `server.transport`" },
    Moved { at: &["admin"], what: NOT_HERE, mend: "move it to `server.admin`" },
    Moved { at: &["workers"], what: NOT_HERE, mend: "move it to `server.workers`" },
    Moved { at: &["jwt"], what: NOT_HERE, mend: "move it to `middleware.jwt`" },
    Moved { at: &["access_logs"], what: NOT_HERE, mend: "move it to `middleware.access_logs`" },
    Moved {
        at: &["server", "host"],
        what: NOT_HERE,
        mend: "move it to `server.transport.http.host`",
    },
    Moved {
        at: &["server", "port"],
        what: NOT_HERE,
        mend: "write `server.transport.http.host: \":PORT\"`",
    },
    Moved { at: &["server", "http"], what: NOT_HERE, mend: "move it to `server.transport.http`" },
    Moved { at: &["server", "sessions"], what: NOT_HERE, mend: "move it to the top level" },
    Moved { at: &["server", "cluster"], what: NOT_HERE, mend: "move it to the top level" },
    Moved { at: &["server", "peers"], what: NOT_HERE, mend: "move it to `cluster.peers`" },
    Moved { at: &["server", "replicas"], what: NOT_HERE, mend: WRITE_PEERS },
    Moved {
        at: &["server", "admin_token"],
        what: NOT_HERE,
        mend: "move it to `server.admin.token`",
    },
    Moved { at: &["server", "admin", "listen"], what: "unknown key", mend: "write `host`" },
    Moved { at: &["replicas"], what: NOT_HERE, mend: WRITE_PEERS },
    Moved { at: &["peers"], what: NOT_HERE, mend: "move it to `cluster.peers`" },
    Moved { at: &["redis"], what: NOT_HERE, mend: "move it to `sessions.redis`" },
    Moved { at: &["session"], what: "unknown key", mend: "write `sessions`" },
    Moved { at: &["upgrade_socket"], what: NOT_HERE, mend: "move it to `server.upgrade_socket`" },
    Moved { at: &["sessions", "ttl"], what: "unknown key", mend: WRITE_AGE },
    Moved { at: &["sessions", "timeout"], what: "unknown key", mend: WRITE_AGE },
    Moved {
        at: &["sessions", "secret"],
        what: "unknown key",
        mend: "write `keys: [\"${VARIABLE}\"]`",
    },
    Moved { at: &["sessions", "url"], what: NOT_HERE, mend: "move it to `sessions.redis.url`" },
    Moved { at: &["cluster", "host"], what: "unknown key", mend: "write `listen`" },
    Moved { at: &["cluster", "name"], what: "unknown key", mend: "write `advertise`" },
    Moved { at: &["cluster", "replicas"], what: "unknown key", mend: WRITE_PEERS },
    Moved {
        at: &["cluster", "secret"],
        what: "unknown key",
        mend: "write `keys: [\"${VARIABLE}\"]`",
    },
    Moved { at: &["cluster", "static"], what: NOT_HERE, mend: "move it to `cluster.peers.static`" },
    Moved { at: &["cluster", "dns"], what: NOT_HERE, mend: "move it to `cluster.peers.dns`" },
    Moved { at: &["cluster", "srv"], what: NOT_HERE, mend: "move it to `cluster.peers.srv`" },
    Moved {
        at: &["server", "transport", "host"],
        what: NOT_HERE,
        mend: "move it to `server.transport.http.host`",
    },
    Moved {
        at: &["server", "transport", "http", "port"],
        what: NOT_HERE,
        mend: "write the port into `host`, as in `host: \":8080\"`",
    },
    Moved {
        at: &["server", "transport", "http", "tls"],
        what: "TLS is not served by this version",
        mend: "remove it and terminate TLS in front of Promgate",
    },
    Moved {
        at: &["middleware", "oauth_authorization_server"],
        what: NOT_HERE,
        mend: "move it to the top level",
    },
    Moved {
        at: &["middleware", "oauth_protected_resource"],
        what: NOT_HERE,
        mend: "move it to the top level",
    },
    Moved {
        at: &["middleware", "access_logs", "enabled"],
        what: NOT_HERE,
        mend: "write `output: off` or `output: stdout`",
    },
    Moved {
        at: &["middleware", "jwt", "jwks_uri"],
        what: NOT_HERE,
        mend: "move it to `middleware.jwt.validation.local.jwks_uri`",
    },
    Moved {
        at: &["middleware", "jwt", "strategy"],
        what: NOT_HERE,
        mend: "move it to `middleware.jwt.validation.strategy`",
    },
    Moved {
        at: &["middleware", "jwt", "issuer"],
        what: NOT_HERE,
        mend: "move it to `middleware.jwt.validation.local.issuer`",
    },
    Moved {
        at: &["middleware", "jwt", "validation", "jwks_uri"],
        what: NOT_HERE,
        mend: "move it to `middleware.jwt.validation.local.jwks_uri`",
    },
    Moved {
        at: &["middleware", "jwt", "validation", "issuer"],
        what: NOT_HERE,
        mend: "move it to `middleware.jwt.validation.local.issuer`",
    },
    Moved {
        at: &["middleware", "jwt", "validation", "issuers"],
        what: NOT_HERE,
        mend: "move it to `middleware.jwt.validation.local.issuers`",
    },
    Moved {
        at: &["middleware", "jwt", "validation", "allow_conditions"],
        what: NOT_HERE,
        mend: "move it to `middleware.jwt.validation.local.allow_conditions`",
    },
    Moved {
        at: &["middleware", "jwt", "validation", "local", "audience"],
        what: "unknown key",
        mend: "write `audiences: […]`",
    },
    Moved {
        at: &["middleware", "jwt", "validation", "local", "issuer_uri"],
        what: "unknown key",
        mend: "write `issuer`",
    },
    Moved {
        at: &["middleware", "authorization"],
        what: NOT_HERE,
        mend: "move it to the top level",
    },
    Moved { at: &["rules"], what: NOT_HERE, mend: "move it to `authorization.rules`" },
    Moved { at: &["rate_limits"], what: NOT_HERE, mend: "move it to `middleware.rate_limits`" },
    Moved { at: &["reload_interval"], what: NOT_HERE, mend: "move it to `server.reload_interval`" },
    Moved {
        at: &["server", "trusted_proxies"],
        what: NOT_HERE,
        mend: "move it to `server.transport.http.trusted_proxies`",
    },
    Moved {
        at: &["oauth_protected_resource", "authorization_servers"],
        what: "unknown key",
        mend: "write `auth_servers`",
    },
    Moved {
        at: &["tenancy"],
        what: NOT_SERVED,
        mend: "use `org_id` and `available_orgs` of a backend",
    },
    Moved {
        at: &["backends", "*", "username"],
        what: NOT_HERE,
        mend: "move it to `auth.username`",
    },
    Moved {
        at: &["backends", "*", "password"],
        what: NOT_HERE,
        mend: "move it to `auth.password`",
    },
    Moved { at: &["backends", "*", "token"], what: NOT_HERE, mend: "move it to `auth.token`" },
    Moved { at: &["backends", "*", "ca_file"], what: NOT_HERE, mend: "move it to `tls.ca_file`" },
    Moved { at: &["backends", "*", "tenant"], what: "unknown key", mend: "write `org_id`" },
    Moved { at: &["backends", "*", "tenant_id"], what: "unknown key", mend: "write `org_id`" },
    Moved { at: &["backends", "*", "auth", "user"], what: "unknown key", mend: "write `username`" },
    Moved {
        at: &["backends", "*", "auth", "bearer_token"],
        what: "unknown key",
        mend: "write `token`",
    },
    Moved {
        at: &["backends", "*", "tls", "insecure_skip_verify"],
        what: "certificates are always verified",
        mend: "remove it and name the authority in `ca_file`",
    },
];

/// Choices that must not be empty, though others may: prometheus-mcp took an empty one for a value
/// that is not our default.
const EMPTY: [Moved; 1] = [Moved {
    at: &["server", "transport", "type"],
    what: "is empty, which is stdio to prometheus-mcp and could be http here",
    mend: "write `type: http` or `type: stdio`",
}];

/// Sections that one is tempted to write as a list.
const LISTED: [Moved; 1] =
    [Moved { at: &["cluster", "peers"], what: "", mend: "write it as `static: […]`" }];

/// What to say of a key that is known elsewhere.
pub(super) fn moved(at: &At) -> Option<(&'static str, &'static str)> {
    found(&MOVED, at)
}

/// What to say of an empty choice that does not count as absent.
pub(super) fn empty(at: &At) -> Option<(&'static str, &'static str)> {
    found(&EMPTY, at)
}

/// How to mend a list where a section is wanted, if there is more to say than that.
pub(super) fn listed(at: &At) -> Option<&'static str> {
    found(&LISTED, at).map(|(_, mend)| mend)
}

fn found(list: &[Moved], at: &At) -> Option<(&'static str, &'static str)> {
    let is = |pattern: &str, step: &Step| match step {
        Step::Key(key) => pattern == "*" || pattern == key,
        Step::Item(_) => false,
    };
    list.iter()
        .find(|moved| {
            moved.at.len() == at.steps().len()
                && moved.at.iter().zip(at.steps()).all(|(pattern, step)| is(pattern, step))
        })
        .map(|moved| (moved.what, moved.mend))
}
