//! The process: its names, its workers, its listeners.

use std::{
    fs, io,
    net::SocketAddr,
    num::NonZeroU16,
    os::unix::{ffi::OsStrExt as _, fs::FileTypeExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use mcp_core::secret::Secret;
use rustix::fs::Access;

use super::{Check, LABEL_BYTES_MAX, filled, secret::Pair};
use crate::config::{Server, Transport, file::reason, place::At, raw};

/// Most MCP workers: far over the cores of any machine, and each costs a table.
const WORKERS_MAX: u64 = 1024;

/// Longest path of a socket, in bytes: what the system's `sockaddr_un` holds beside its final zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Shortest token of the admin listener, in characters: at random from letters and digits, 95 bits.
const ADMIN_TOKEN_CHARS_MIN: usize = 16;

impl Check<'_> {
    /// `replicated` says that there are other replicas.
    pub(super) fn server(
        &mut self,
        raw: raw::Server,
        public_host: Option<String>,
        replicated: bool,
    ) -> Server {
        let at = At::from(["server"]);
        let http = self.http(&raw.transport.http, public_host);
        let admin = self.admin(&raw.admin.host, http.listen);
        let own_version = env!("CARGO_PKG_VERSION");
        Server {
            name: self.label(&at.key("name"), &raw.name, "promgate"),
            version: self.label(
                &at.key("version"),
                raw.version.as_deref().unwrap_or_default(),
                own_version,
            ),
            transport: match raw.transport.kind {
                raw::TransportKind::Http => Transport::Http,
                raw::TransportKind::Stdio => Transport::Stdio,
            },
            http,
            admin,
            admin_token: self.admin_token(raw.admin),
            upgrade_socket: self
                .upgrade_socket(&at.key("upgrade_socket"), filled(raw.upgrade_socket.as_deref())),
            workers: self.workers(&at.key("workers"), &raw.workers, replicated),
            drain_timeout: self.span(
                &at.key("drain_timeout"),
                &raw.drain_timeout,
                Duration::ZERO..=Duration::from_hours(1),
            ),
            reload_interval: Some(self.span(
                &at.key("reload_interval"),
                &raw.reload_interval,
                Duration::ZERO..=Duration::from_hours(1),
            ))
            .filter(|interval| !interval.is_zero()),
        }
    }

    fn workers(
        &mut self,
        at: &At,
        raw::Workers(text): &raw::Workers,
        replicated: bool,
    ) -> Option<NonZeroU16> {
        if text == "none" {
            if !replicated && !self.faults.any_in(&At::from(["cluster"])) {
                self.faults.push(
                    at,
                    "without workers every session and call goes to another replica, and there is none",
                    "write a number, or name the other replicas in `cluster.peers`",
                );
            }
            return None;
        }
        let one_per_core = || {
            let cores = std::thread::available_parallelism().ok();
            cores.and_then(|cores| NonZeroU16::try_from(cores).ok()).unwrap_or(NonZeroU16::MIN)
        };
        let workers = self.count(at, text.parse().unwrap_or(u64::MAX), 0..=WORKERS_MAX);
        Some(u16::try_from(workers).ok().and_then(NonZeroU16::new).unwrap_or_else(one_per_core))
    }

    fn admin(&mut self, text: &str, http: SocketAddr) -> Option<SocketAddr> {
        if text == "off" {
            return None;
        }
        let at = At::from(["server", "admin", "host"]);
        let listen = self.listen(&at, text)?;
        if collide(listen, http) {
            self.faults.push_unless_known(
                &at,
                "the admin listener has the port of the HTTP listener",
                "give it another port, such as `127.0.0.1:9091`, or write `off`",
            );
        }
        Some(listen)
    }

    fn admin_token(&mut self, raw: raw::Admin) -> Option<Secret> {
        let at = At::from(["server", "admin"]);
        let pair = Pair::new("token", raw.token, raw.token_file.as_deref());
        let place = at.key(if pair.value.is_some() { "token" } else { "token_file" });
        let token = self.secret(&at, pair)?;
        let text = token.expose();
        if text.chars().count() < ADMIN_TOKEN_CHARS_MIN {
            let what = format!("is shorter than {ADMIN_TOKEN_CHARS_MIN} characters");
            self.faults.push(&place, what, "take a random one, as from `openssl rand -hex 16`");
        } else if !text.bytes().all(|b| b.is_ascii_graphic()) {
            self.faults.push(
                &place,
                "holds a space or another character that a token cannot have",
                "give the token alone, without `Bearer` and line ends",
            );
        }
        Some(token)
    }

    fn upgrade_socket(&mut self, at: &At, text: Option<&str>) -> Option<PathBuf> {
        let text = text?;
        let path = self.folder.join(text);
        if text.ends_with('/') || text.contains('\0') {
            self.faults.push(at, "not the path of a socket", "write it as `/run/promgate/upgrade`");
        } else if path.as_os_str().as_bytes().len() > SOCKET_PATH_BYTES_MAX {
            let what = format!(
                "the path, from the folder of the configuration file on, is longer than \
                 {SOCKET_PATH_BYTES_MAX} bytes, the most for a socket"
            );
            self.faults.push(at, what, "write a shorter one, such as `/run/promgate/upgrade`");
        } else if self.may_serve_http
            && let Err(what) = may_bind(&path)
        {
            self.faults.push(at, what, "name a path in a folder that this user may write to");
        }
        Some(path)
    }

    /// A text for clients; an empty one counts as absent.
    fn label(&mut self, at: &At, text: &str, default: &str) -> String {
        if text.len() > LABEL_BYTES_MAX || text.chars().any(char::is_control) {
            self.faults.push(
                at,
                "is longer than 128 bytes or holds a control character",
                "write a short text, or remove the key",
            );
        }
        if text.is_empty() { default.to_owned() } else { text.to_owned() }
    }
}

/// Whether two listeners would want the same port of the same address.
pub(super) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_ip =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_ip
}

/// Finds what would keep a socket from being made there, in words, and makes nothing.
fn may_bind(path: &Path) -> Result<(), String> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => return Ok(()),
        Ok(_) => return Err("something else than a socket is there".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("the socket cannot be made: {}", reason(&error))),
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::access(folder.unwrap_or(Path::new(".")), wanted).map_err(|error| {
        format!("the socket cannot be made in its folder: {}", reason(&error.into()))
    })
}
