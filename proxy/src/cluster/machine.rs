//! How this machine looks names up: what its `resolv.conf` and its hosts file say.

use std::{
    fs::{self, File},
    net::IpAddr,
    path::PathBuf,
};

use hickory_resolver::{
    Hosts, Resolver, TokioResolver,
    config::{ResolveHosts, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::Query,
        rr::{Name, RecordType},
    },
    system_conf::parse_resolv_conf,
};

/// Where a machine says how it looks names up. They are read anew for each look, since a machine gets other name servers
/// while we run.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) resolv: PathBuf,
    pub(super) hosts: PathBuf,
    /// Port of the name servers, which the file cannot tell.
    pub(super) port: u16,
}

/// What the files say.
pub(super) struct Settings {
    config: ResolverConfig,
    options: ResolverOpts,
    hosts: Hosts,
}

impl Files {
    pub(super) fn of_machine() -> Self {
        Self { resolv: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into(), port: 53 }
    }

    /// Reads them. Without name servers there is still the hosts file, and the other way round.
    pub(super) fn read(&self) -> Settings {
        let resolv = fs::read(&self.resolv).map_err(NetError::from).and_then(parse_resolv_conf);
        let (mut config, mut options) = resolv.unwrap_or_default();
        for server in &mut config.name_servers {
            for connection in &mut server.connections {
                connection.port = self.port;
            }
        }
        options.cache_size = 0;
        // It is looked into before anybody is asked.
        options.use_hosts_file = ResolveHosts::Never;
        let mut hosts = Hosts::default();
        if let Ok(file) = File::open(&self.hosts)
            && let Err(error) = hosts.read_hosts_conf(file)
        {
            tracing::debug!(%error, "the hosts file of this machine cannot be read to its end");
        }
        Settings { config, options, hosts }
    }
}

impl Settings {
    /// The addresses of a name in the hosts file that are of this kind; `None` where it does not know the name, and a
    /// name server is asked. A name stands there as it is written, and is not completed.
    pub(super) fn known(&self, name: &Name, kind: RecordType) -> Option<Vec<IpAddr>> {
        let of = |kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let (v4, v6) = (of(RecordType::A), of(RecordType::AAAA));
        if v4.is_none() && v6.is_none() {
            return None;
        }
        let wanted = if kind == RecordType::A { v4 } else { v6 };
        let records = wanted.iter().flat_map(Lookup::answers);
        Some(records.filter_map(|record| record.data.ip_addr()).collect())
    }

    /// The full names that a name may stand for, in the order in which they are asked for. One that ends with a dot is
    /// full already.
    pub(super) fn full_names(&self, name: &Name) -> Vec<Name> {
        let mut as_it_is = name.clone();
        as_it_is.set_fqdn(true);
        if name.is_fqdn() {
            return vec![as_it_is];
        }
        // The machine's own domain only where it has no list.
        let own = self.config.domain.iter().filter(|_| self.config.search.is_empty());
        let domains = self.config.search.iter().chain(own);
        // A completed name that is too long is none.
        let completed = domains.filter_map(|domain| name.clone().append_domain(domain).ok());
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let mut names = Vec::new();
        if dots >= self.options.ndots || name.is_localhost() {
            names.push(as_it_is);
            names.extend(completed);
        } else {
            names.extend(completed);
            names.push(as_it_is);
        }
        let mut once: Vec<Name> = Vec::new();
        for name in names {
            if !once.contains(&name) {
                once.push(name);
            }
        }
        once
    }

    /// Who asks the machine's name servers, for full names.
    pub(super) fn resolver(self) -> Result<TokioResolver, NetError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = Resolver::builder_with_config(self.config, provider);
        *builder.options_mut() = self.options;
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full_names(domain: Option<&str>, search: &[&str], name: &str) -> Vec<String> {
        let name_of = |text: &&str| Name::from_utf8(text).unwrap();
        let search = search.iter().map(name_of).collect();
        let config = ResolverConfig::from_parts(domain.as_ref().map(name_of), search, Vec::new());
        let (options, hosts) = (ResolverOpts::default(), Hosts::default());
        let names = Settings { config, options, hosts }.full_names(&name_of(&name));
        names.iter().map(Name::to_utf8).collect()
    }

    #[test]
    fn names_are_completed_with_the_list_and_with_the_own_domain_only_where_there_is_none() {
        let (own, list) = (Some("own.test."), ["one.test.", "two.test."]);
        assert_eq!(full_names(own, &list, "a"), ["a.one.test.", "a.two.test.", "a."]);
        assert_eq!(full_names(own, &[], "a"), ["a.own.test.", "a."]);
        assert_eq!(full_names(None, &[], "a"), ["a."]);
        assert_eq!(full_names(own, &list, "a."), ["a."]);
    }
}
