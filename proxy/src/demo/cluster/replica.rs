//! One replica: `promgate serve` as a process of its own.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use mcp_core::secret::Secret;
use url::Url;

use super::{
    keys::random_key,
    places::{Claim, Place},
};
use crate::demo::{
    error::DemoError,
    ready,
    supervisor::{LAUNCHER, Launch, Supervisor},
};

/// How long one that was killed stays away, so that it can be seen how the others do without it.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// What all replicas are given.
#[derive(Debug)]
pub(super) struct Common {
    program: PathBuf,
    config: PathBuf,
    environment: Vec<(&'static str, Secret)>,
}

/// A replica; it ends when dropped.
#[derive(Debug)]
pub(super) struct Replica {
    place: Place,
    process: Supervisor,
    access_log: PathBuf,
}

impl Common {
    /// Makes the keys of this run. `redis` is its address and password, `config` the file that all
    /// replicas read.
    pub(super) fn new(
        claims: &[Claim],
        redis: (String, Secret),
        prometheus: &Url,
        config: &Path,
    ) -> Result<Self, DemoError> {
        let peers: Vec<_> = claims.iter().map(|claim| claim.place().peer.to_string()).collect();
        let environment = vec![
            ("PROMGATE_SESSION_KEY", random_key()?),
            ("PROMGATE_CLUSTER_KEY", random_key()?),
            ("PROMGATE_REDIS_URL", Secret::new(redis.0)),
            ("PROMGATE_REDIS_PASSWORD", redis.1),
            ("PROMGATE_PEERS", Secret::new(peers.join(","))),
            ("PROMETHEUS_URL", Secret::new(prometheus.as_str())),
        ];
        // Under its own name in a list of processes, unless the file was replaced since.
        let executable = env::current_exe().ok().filter(|path| path.exists());
        let program = executable.unwrap_or_else(|| LAUNCHER.into());
        Ok(Self { program, config: config.to_owned(), environment })
    }

    /// The variables of the replica at this place.
    fn environment(&self, place: Place) -> Vec<(&'static str, Secret)> {
        let own = [
            ("PROMGATE_LISTEN", place.mcp),
            ("PROMGATE_ADMIN", place.admin),
            ("PROMGATE_PEER_LISTEN", place.peer),
            ("PROMGATE_ADVERTISE", place.peer),
        ];
        let own = own.map(|(name, address)| (name, Secret::new(address.to_string())));
        self.environment.iter().cloned().chain(own).collect()
    }
}

/// Starts a replica in each place, and waits until all are ready. Blocks.
pub(super) fn start(
    claims: Vec<Claim>,
    common: &Common,
    folder: &Path,
) -> Result<Vec<Replica>, DemoError> {
    let started = claims.into_iter().enumerate();
    let started = started.map(|(index, claim)| Replica::start(index + 1, claim, common, folder));
    let replicas: Vec<Replica> = started.collect::<Result<_, _>>()?;
    replicas.iter().try_for_each(Replica::wait)?;
    Ok(replicas)
}

impl Replica {
    fn start(
        number: usize,
        claim: Claim,
        common: &Common,
        folder: &Path,
    ) -> Result<Self, DemoError> {
        let place = claim.place();
        let access_log = folder.join(format!("replica-{number}.access.log"));
        let launch = Launch {
            args: vec![
                "serve".to_owned(),
                "--config".to_owned(),
                common.config.display().to_string(),
            ],
            environment: common.environment(place),
            stdout: Some(access_log.clone()),
            pause: PAUSE,
            ..Launch::of(
                &format!("replica {number}"),
                &common.program,
                folder.join(format!("replica-{number}.log")),
            )
        };
        // From here on the ports are the replica's to take.
        drop(claim);
        Ok(Self { place, process: Supervisor::start(launch)?, access_log })
    }

    fn wait(&self) -> Result<(), DemoError> {
        if ready::wait(&self.process, || ready::says_ok(self.place.admin, "/readyz")) {
            return Ok(());
        }
        let name = self.process.name().to_owned();
        Err(DemoError::NotReady { name, output: self.process.last_words() })
    }

    /// Where it is.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// What it is called here: `replica 2`.
    pub(super) fn name(&self) -> &str {
        self.process.name()
    }

    /// The process.
    pub(super) fn process(&self) -> &Supervisor {
        &self.process
    }

    /// The file with a line for each of its requests.
    pub(super) fn access_log(&self) -> &Path {
        &self.access_log
    }

    /// Lets it end, without waiting for it.
    pub(super) fn let_end(&mut self) {
        self.process.let_end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Environment, NotText, Peers, SessionStore, parse},
        demo::cluster::{CONFIG_TEXT, places},
    };

    struct Given(Vec<(&'static str, Secret)>);

    impl Environment for Given {
        fn get(&self, name: &str) -> Result<Option<String>, NotText> {
            let found = self.0.iter().find(|(given, _)| *given == name);
            Ok(found.map(|(_, value)| value.expose().to_owned()))
        }
    }

    #[test]
    fn replicas_differ_in_their_addresses_and_share_all_else() {
        let claims = places::claim(3).unwrap();
        let redis = ("redis://127.0.0.1:6399/0".to_owned(), Secret::new("a password"));
        let prometheus = Url::parse("http://127.0.0.1:9").unwrap();
        let common = Common::new(&claims, redis, &prometheus, Path::new("cluster.yaml")).unwrap();
        let names: Vec<_> = claims.iter().map(|claim| claim.place().peer.to_string()).collect();
        let mut keys = Vec::new();
        for claim in &claims {
            let place = claim.place();
            let given = Given(common.environment(place));
            let config = parse(Path::new("cluster.yaml"), CONFIG_TEXT, &given).unwrap();
            assert_eq!(config.server.http.listen, place.mcp);
            assert_eq!(config.server.admin, Some(place.admin));
            let cluster = config.cluster.unwrap();
            assert_eq!((cluster.listen, cluster.advertise), (place.peer, place.peer.to_string()));
            assert_eq!(cluster.peers, Peers::Static(names.clone()));
            let SessionStore::Redis(store) = config.sessions.store else { panic!("not in Redis") };
            assert_eq!((store.port, store.password.unwrap().expose()), (6399, "a password"));
            keys.push([config.sessions.keys, cluster.keys].map(|keys| keys[0].expose().to_owned()));
        }
        assert!(keys.iter().all(|of_one| *of_one == keys[0] && of_one[0] != of_one[1]));
    }
}
