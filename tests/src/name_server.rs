//! A real name server, for replicas that find one another by names.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    paths::{temporary_folder, tool},
    place::Place,
    process::{PATIENCE, Process},
};

/// A dnsmasq that knows names under `test` and asks nobody; dropping it kills it.
#[derive(Debug)]
pub struct NameServer {
    place: Place,
    hosts: Vec<(String, IpAddr)>,
    services: Vec<(String, String, u16)>,
    files: TempDir,
    server: Option<Process>,
}

impl NameServer {
    /// Starts one that knows nothing yet.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start() -> Self {
        let (place, files) = (Place::find(), temporary_folder());
        let mut server =
            Self { place, hosts: Vec::new(), services: Vec::new(), files, server: None };
        server.start_again();
        server
    }

    /// Where it is asked.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.place.at(17_004)
    }

    /// Has it know these addresses of a name, A and AAAA, and no others.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn set_addresses(&mut self, name: &str, addresses: &[IpAddr]) {
        self.hosts.retain(|(known, _)| known != name);
        self.hosts.extend(addresses.iter().map(|address| (name.to_owned(), *address)));
        self.restart();
    }

    /// Has it know these targets of a service (SRV), and no others.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn set_targets(&mut self, service: &str, targets: &[(&str, u16)]) {
        self.services.retain(|(known, ..)| known != service);
        let target = |(host, port): &(&str, u16)| (service.to_owned(), (*host).to_owned(), *port);
        self.services.extend(targets.iter().map(target));
        self.restart();
    }

    /// Kills it.
    ///
    /// # Panics
    /// When it lives on.
    pub fn kill(&mut self) {
        let server = self.server.take().expect("it runs");
        server.signal(Signal::KILL);
        assert!(server.wait(PATIENCE).is_some(), "a killed process ends");
    }

    /// Stops it as a debugger would: nothing is answered.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&self) {
        self.server.as_ref().expect("it runs").signal(Signal::STOP);
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn thaw(&self) {
        self.server.as_ref().expect("it runs").signal(Signal::CONT);
    }

    /// Starts it at its old address, with what it is to know.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs");
        let hosts = self.hosts.iter().map(|(name, address)| format!("{address} {name}\n"));
        self.write("hosts", &hosts.collect::<String>());
        self.write("dnsmasq.conf", &self.settings());
        let file = self.files.path().join("dnsmasq.conf");
        let arguments = ["--no-daemon".to_owned(), format!("--conf-file={}", file.display())];
        let server = Process::start(&tool("dnsmasq/dnsmasq"), arguments);
        server.stderr().wait_for("that the name server runs", |line| line.contains("started"));
        self.server = Some(server);
    }

    fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Datagrams of the old size, so that an answer of some addresses has to come by TCP.
    fn settings(&self) -> String {
        let address = self.address();
        let hosts = self.files.path().join("hosts");
        let mut settings = format!(
            "port={}\nlisten-address={}\nbind-interfaces\nno-resolv\nno-hosts\nlocal=/test/\n\
             addn-hosts={}\nedns-packet-max=512\n",
            address.port(),
            address.ip(),
            hosts.display(),
        );
        let services = self.services.iter();
        settings.extend(
            services.map(|(service, host, port)| format!("srv-host={service},{host},{port}\n")),
        );
        settings
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.files.path().join(name), text).expect("the folder is writable");
    }
}
