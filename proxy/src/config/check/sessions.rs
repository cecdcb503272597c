//! Sessions beyond the bounds of a worker: keys, age, and where they are kept.

use std::{net::IpAddr, time::Duration};

use url::Url;

use super::{
    Check, filled, host,
    secret::{MAKE_KEY, Pair},
};
use crate::config::{RedisStore, SessionStore, Sessions, WhenDown, place::At, raw};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// The port of Redis, with TLS and without.
const REDIS_PORT: u16 = 6379;

/// Longest prefix of keys, in bytes; each key repeats it.
const PREFIX_BYTES_MAX: usize = 64;

impl Check<'_> {
    /// `replicated` says that there are other replicas.
    pub(super) fn sessions(
        &mut self,
        raw: raw::Sessions,
        idle_timeout: Duration,
        replicated: bool,
    ) -> Sessions {
        let at = At::from(["sessions"]);
        let given = !raw.keys.is_empty() || !raw.key_files.is_empty();
        let keys = self.keys(&at, raw.keys, &raw.key_files);
        let stored = raw.store == Some(raw::StoreKind::Redis);
        if !given && !self.faults.knows(&at.key("key_files")) {
            self.keys_needed(&at.key("keys"), stored, replicated);
        }
        let described = raw.redis.url.is_some();
        let redis = self.redis(&at.key("redis"), raw.redis, stored);
        if described && raw.store.is_none() {
            self.faults.push_unless_known(
                &at.key("store"),
                "is missing, though a Redis is described",
                "write `store: redis` to keep sessions there, or `store: memory`",
            );
        }
        Sessions {
            keys,
            age_max: self.age_max(&at.key("max_age"), raw.max_age.as_ref(), idle_timeout),
            store: redis.filter(|_| stored).map_or(SessionStore::Memory, SessionStore::Redis),
        }
    }

    fn keys_needed(&mut self, at: &At, stored: bool, replicated: bool) {
        let mend = || format!("write `keys: [\"${{VARIABLE}}\"]` or `key_files`; {MAKE_KEY}");
        if replicated {
            self.faults.push_unless_known(
                at,
                "is missing, though there are other replicas, which could not tell our sessions from forged ones",
                mend() + ", the same for all replicas",
            );
        } else if stored {
            self.faults.push_unless_known(
                at,
                "is missing, though sessions are stored, which nobody could open after a restart",
                mend(),
            );
        }
    }

    fn age_max(&mut self, at: &At, raw: Option<&raw::Span>, idle_timeout: Duration) -> Duration {
        let Some(span) = raw else { return idle_timeout.max(DAY) };
        let age_max = self.span(at, span, SECOND..=DAY * 30);
        if age_max < idle_timeout {
            self.faults.push_unless_known(
                at,
                "is shorter than `idle_timeout`",
                "write a longer time, or a shorter `idle_timeout`",
            );
        }
        age_max
    }

    /// `needed` says that it is used.
    fn redis(&mut self, at: &At, raw: raw::Redis, needed: bool) -> Option<RedisStore> {
        let url_at = at.key("url");
        let url = filled(raw.url.as_deref());
        if url.is_none() && needed {
            self.faults.push_unless_known(
                &url_at,
                "is missing, though `store` is `redis`",
                "write its address, such as `redis://127.0.0.1:6379/0`",
            );
        }
        let url = url.and_then(|text| self.redis_address(&url_at, text));
        let password = Pair::new("password", raw.password, raw.password_file.as_deref());
        let username = filled(raw.username.as_deref()).map(str::to_owned);
        if username.is_some() && !password.is_given() {
            self.faults.push_unless_known(
                &at.key("username"),
                "is given without a password",
                "write `password: ${VARIABLE}` or `password_file`, or remove it",
            );
        }
        let password = self.secret(at, password);
        let ca_pem = self.ca_pem(&at.key("ca_file"), raw.ca_file.as_deref());
        if ca_pem.is_some() && url.as_ref().is_some_and(|url| !url.tls) {
            self.faults.push(
                &at.key("ca_file"),
                "has no meaning without TLS",
                "write `rediss://` in `url`, or remove it",
            );
        }
        let key_prefix = self.prefix(&at.key("key_prefix"), raw.key_prefix);
        let timeout = self.span(&at.key("timeout"), &raw.timeout, MILLISECOND * 10..=SECOND * 30);
        let when_down = match raw.when_down {
            raw::WhenDown::Refuse => WhenDown::Refuse,
            raw::WhenDown::Memory => WhenDown::Memory,
        };
        let Address { host, port, database, tls } = url?;
        Some(RedisStore {
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
        })
    }

    fn prefix(&mut self, at: &At, text: String) -> String {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
        if text.is_empty() || text.len() > PREFIX_BYTES_MAX || !text.bytes().all(plain) {
            let what =
                format!("not 1 to {PREFIX_BYTES_MAX} letters, digits, `_`, `-`, `.` and `:`");
            self.faults.push(at, what, "write a short name, such as `promgate`");
        }
        text
    }

    fn redis_address(&mut self, at: &At, text: &str) -> Option<Address> {
        const EXAMPLE: &str = "write `redis://host:6379/0`, or `rediss://host:6379/0` with TLS";
        let Some(url) = Url::parse(text).ok().filter(|url| text.contains("://") && has_host(url))
        else {
            self.faults.push(at, "not the address of a Redis", EXAMPLE);
            return None;
        };
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => {
                self.faults.push(at, "the address has another scheme than that of Redis", EXAMPLE);
                return None;
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            self.faults.push(
                at,
                "the address holds a user name or password",
                "remove them and write `username` and `password` beside it",
            );
            return None;
        }
        let path = url.path().trim_start_matches('/');
        let database = if path.is_empty() { Some(0) } else { number(path) };
        if url.query().is_some() || url.fragment().is_some() || database.is_none() {
            self.faults.push(at, "what follows the port is not the number of a database", EXAMPLE);
            return None;
        }
        if url.port() == Some(0) {
            self.faults.push(at, "port 0 is no port that can be reached", EXAMPLE);
        }
        let (host, _) = host::authority(url.host_str()?)?;
        Some(Address { host, port: url.port().unwrap_or(REDIS_PORT), database: database?, tls })
    }
}

/// What the address of a Redis says.
struct Address {
    host: String,
    port: u16,
    database: u16,
    tls: bool,
}

fn has_host(url: &Url) -> bool {
    let host = url.host_str().and_then(host::authority);
    host.is_some_and(|(host, _)| host.parse::<IpAddr>().is_ok() || host::is_name(&host))
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}
