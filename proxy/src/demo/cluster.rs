//! `promgate demo --replicas N`: several replicas as they would run behind any load balancer.
//!
//! What runs is real: a Redis, a Prometheus and every replica are processes of their own, and the
//! replicas read `conf/cluster.yaml` as it stands in the project. Only the balancer is ours, and it
//! knows nothing of sessions, like the balancers that replicas stand behind.
//!
//! Modules in their order: `keys` are of one run; `places` are the addresses, `balancer` is in front of
//! them, `redis_server` and `replica` are processes; `ring` and `record` ask the replicas what they
//! know, `session` is a client; `show` is what is told, `invitation` how to go on.

mod keys;

mod places;

mod balancer;

mod redis_server;

mod replica;

mod ring;

mod record;

mod session;

mod show;

mod invitation;

use std::{env, fs, io::Write, net::TcpListener, path::PathBuf};

use url::Url;

use self::{
    balancer::Balancer,
    invitation::Invitation,
    redis_server::Redis,
    replica::{Common, Replica},
};
use super::{
    error::DemoError,
    folder::Folder,
    programs::{self, Programs},
    prometheus::Prometheus,
    settings::{self, MCP_PORT},
    supervisor::Supervisor,
};

/// What replicas are configured with; each has its own addresses from its environment.
const CONFIG_TEXT: &str = include_str!("../../../conf/cluster.yaml");

/// The name of that file in the folder.
const CONFIG: &str = "cluster.yaml";

/// What `promgate ring` is told by: it asks one replica and needs no keys.
const RING: &str = "ring.yaml";

/// What [`Cluster::start`] needs to know.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// How many replicas.
    pub replicas: u8,
    /// The `prometheus` to run, where the user named one.
    pub prometheus: Option<PathBuf>,
    /// The `redis-server` to run, where the user named one.
    pub redis: Option<PathBuf>,
}

/// Replicas and what they need. Dropping it ends all processes and removes all that was written.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: nobody outlives what they need, and the folder goes when nobody writes.
    replicas: Vec<Replica>,
    redis: Redis,
    prometheus: Prometheus,
    folder: Folder,
    front: TcpListener,
    endpoint: Url,
}

/// The balancer in front of the replicas; it ends when dropped.
#[derive(Debug)]
pub struct Front {
    _balancer: Balancer,
}

impl Cluster {
    /// Finds the programs, starts Redis, Prometheus and the replicas, and waits until each is ready.
    /// Blocks for some seconds.
    ///
    /// # Errors
    /// [`DemoError`] when a program is missing or fails, or the temporary folder cannot be written.
    pub fn start(options: &ClusterOptions) -> Result<Self, DemoError> {
        let programs = Programs::find(options.prometheus.as_deref())?;
        let redis_server = programs::redis_server(options.redis.as_deref())?;
        let folder = Folder::create(&env::temp_dir()).map_err(DemoError::Folder)?;
        let front = settings::listen(MCP_PORT).map_err(DemoError::Port)?;
        let address = front.local_addr().map_err(DemoError::Port)?;
        let claims = places::claim(usize::from(options.replicas)).map_err(DemoError::Port)?;
        let redis = Redis::start(&redis_server, folder.path())?;
        let admins: Vec<_> = claims.iter().map(|claim| claim.place().admin).collect();
        let prometheus = Prometheus::start(&programs, folder.path(), &admins)?;
        let config = folder.path().join(CONFIG);
        fs::write(&config, CONFIG_TEXT).map_err(DemoError::Folder)?;
        let common = Common::new(&claims, redis.access(), prometheus.url(), &config)?;
        let replicas = replica::start(claims, &common, folder.path())?;
        let endpoint = settings::endpoint(address);
        let cluster = Self { replicas, redis, prometheus, folder, front, endpoint };
        fs::write(cluster.ring_config(), cluster.ring_config_text()).map_err(DemoError::Folder)?;
        Ok(cluster)
    }

    /// Lets clients in: each connection goes to the next replica. Belongs into a runtime.
    ///
    /// # Errors
    /// [`DemoError::Port`] when the listener cannot be used.
    pub fn open(&self) -> Result<Front, DemoError> {
        let targets = self.replicas.iter().map(|replica| replica.place().mcp).collect();
        let front = self.front.try_clone().map_err(DemoError::Port)?;
        Ok(Front { _balancer: Balancer::start(front, targets).map_err(DemoError::Port)? })
    }

    /// Opens a session, asks through every replica, kills the session's owner, asks again, and brings the
    /// killed one back; prints each as it comes about. [`Cluster::open`] must have let clients in.
    ///
    /// # Errors
    /// [`DemoError`] when the session does not survive, or something else is not as it should be.
    pub async fn show(&self, out: &mut (impl Write + Send)) -> Result<(), DemoError> {
        show::show(out, self).await
    }

    /// Prints where everything is and what to try. The last line says that Ctrl-C ends the demo, so what
    /// makes that true must stand before.
    ///
    /// # Errors
    /// [`DemoError::Print`] when `out` cannot be written.
    pub fn invite(&self, out: &mut impl Write) -> Result<(), DemoError> {
        let executable = env::current_exe().unwrap_or_else(|_| "promgate".into());
        let invitation = Invitation {
            executable: &executable,
            mcp: &self.endpoint,
            busy: (self.endpoint.port() != Some(MCP_PORT)).then_some(MCP_PORT),
            prometheus: self.prometheus.url(),
            folder: self.folder.path(),
            ring_config: &self.ring_config(),
            replicas: &self.replicas,
        };
        invitation.print(out).map_err(DemoError::Print)
    }

    /// Prints the last of what every process said, for whoever has to find out what failed.
    ///
    /// # Errors
    /// [`DemoError::Print`] when `out` cannot be written.
    pub fn last_words(&self, out: &mut impl Write) -> Result<(), DemoError> {
        for process in self.processes() {
            let words = process.last_words();
            let words = if words.is_empty() { "nothing" } else { &words };
            writeln!(out, "{} said last:", process.name())
                .and_then(|()| words.lines().try_for_each(|line| writeln!(out, "  {line}")))
                .map_err(DemoError::Print)?;
        }
        Ok(())
    }

    fn ring_config(&self) -> PathBuf {
        self.folder.path().join(RING)
    }

    fn ring_config_text(&self) -> String {
        let admin = self.replicas.first().map(|replica| replica.place().admin.to_string());
        format!(
            "# For `promgate ring`: asks the first replica of a running `promgate demo`, or another with its\n\
             # address in PROMGATE_ADMIN.\n\
             server: {{admin: {{host: \"${{PROMGATE_ADMIN:-{}}}\"}}}}\n\
             middleware: {{jwt: {{enabled: false}}}}\n\
             backends: {{prometheus: {{url: \"{}\"}}}}\n",
            admin.unwrap_or_default(),
            self.prometheus.url()
        )
    }

    fn processes(&self) -> impl Iterator<Item = &Supervisor> {
        let replicas = self.replicas.iter().map(Replica::process);
        [self.redis.process(), self.prometheus.process()].into_iter().chain(replicas)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // All at once: each may take a while to say farewell.
        self.replicas.iter_mut().for_each(Replica::let_end);
    }
}
