//! A serving process, and what `/proc` says of it.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    failure::Failure,
    serve::{Replicas, Served},
};

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    /// Where it serves.
    pub address: SocketAddr,
    child: Child,
}

/// Ticks of `/proc/PID/stat` in a second: fixed in the kernel's interface to programs.
const TICKS_PER_SECOND: u64 = 100;

impl Server {
    /// Starts a server.
    ///
    /// # Errors
    /// [`Failure`] when it does not come up.
    pub fn start(served: &Served) -> Result<Self, Failure> {
        let Served { contender, cpu, access_log, jwks, replicas, receiver } = served;
        let own = std::env::current_exe().map_err(Failure::system("find this program"))?;
        let mut command = Command::new(own);
        command.args(["serve", contender.name(), "--access-log"]).arg(access_log);
        if let Some(jwks) = jwks {
            command.arg("--jwks").arg(jwks);
        }
        if let Some(Replicas { own, other }) = replicas {
            command.args(["--own", &own.to_string(), "--other", &other.to_string()]);
        }
        if let Some(receiver) = receiver {
            command.args(["--receiver", &receiver.to_string()]);
        }
        if let Some(cpu) = cpu {
            command.args(["--cpu", &cpu.to_string()]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::system("start the serving process"))?;
        let address = child.stdout.take().map(first_line).transpose();
        let address = address.map_err(Failure::system("hear from the serving process"))?;
        if let Some(address) = address.and_then(|line| line.trim().parse().ok()) {
            return Ok(Self { address, child });
        }
        drop(child.wait());
        Err(Failure::NoAddress)
    }

    /// CPU time that the process has used, in user and in kernel mode.
    ///
    /// The scheduler's own count of nanoseconds where the kernel keeps it; else ticks of 10 ms, of
    /// which a round should have many.
    ///
    /// # Errors
    /// [`Failure`] when the process is gone.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        self.cpu_nanoseconds().or_else(|| self.cpu_ticks()).ok_or_else(|| self.unreadable("stat"))
    }

    /// Memory of the process that is resident.
    ///
    /// # Errors
    /// [`Failure`] when the process is gone.
    pub fn rss_bytes(&self) -> Result<u64, Failure> {
        let read = || {
            let status = fs::read_to_string(self.proc("status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
            Some(kibibytes << 10)
        };
        read().ok_or_else(|| self.unreadable("status"))
    }

    fn cpu_nanoseconds(&self) -> Option<Duration> {
        let threads = fs::read_dir(self.proc("task")).ok()?;
        let of_thread = |thread: io::Result<fs::DirEntry>| -> Option<u64> {
            let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse().ok()
        };
        threads.map(of_thread).sum::<Option<u64>>().map(Duration::from_nanos)
    }

    fn cpu_ticks(&self) -> Option<Duration> {
        let stat = fs::read_to_string(self.proc("stat")).ok()?;
        // The name, in parentheses, may hold anything; user and system time are fields 14 and 15.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let ticks: u64 =
            fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks * (1000 / TICKS_PER_SECOND)))
    }

    fn proc(&self, file: &str) -> PathBuf {
        ["/proc", &self.child.id().to_string(), file].iter().collect()
    }

    fn unreadable(&self, file: &str) -> Failure {
        Failure::Proc(self.proc(file))
    }
}

fn first_line(out: impl io::Read) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    Ok(line)
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; either way it has ended afterwards.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
