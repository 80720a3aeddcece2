//! The agent: one beside every server, before it starts (`prepare`) and while it runs (`serve`).
//!
//! `prepare` and `record` decide and do no I/O; `seed` and `volume` read and write; `resolve` waits for names; `birth` asks
//! the other founders; `start` is all of that in its order.
//!
//! Beside the server, five tasks run at the same time (`tasks`). `routes` answers requests about the `member`, whose
//! server `truth` asks, with one `round` of questions for all. `rejoin` keeps a joining member startable. `motion` and
//! `process` see whether anything moves in a server that does not serve. `archive` ships what is committed, and `bases`
//! of it; `purging` deletes old logs and snapshots where there is an archive. Each has its own `queue` to the disk. Only an agent talks to its server's `AdminServer`, which listens on loopback. `client` is for
//! those who ask an agent.

pub mod archive;
pub mod archiving;
mod base_task;
pub mod bases;
pub mod birth;
pub mod build;
pub mod client;
pub mod files;
#[cfg(test)]
mod fixtures;
mod held;
mod lag;
pub mod member;
pub mod motion;
mod not_shipping;
pub mod prepare;
pub mod process;
pub mod purging;
pub mod queue;
pub mod record;
pub mod rejoin;
pub mod resolve;
pub mod round;
pub mod routes;
pub mod seed;
mod start;
pub mod truth;
pub mod volume;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use futures::FutureExt as _;
use futures::future::{BoxFuture, select_all};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::archive::access::Mounted;
use crate::listen::listen as listen_on;
use crate::model::layout::{
    ADMIN_PORT, AGENT_PORT, ARCHIVE_CA_DIR, ARCHIVE_DIR, ARCHIVE_KEYS_DIR, DATA_DIR, PARENT_CA_DIR, PARENT_DIR,
    PARENT_KEYS_DIR, SEED_DIR, SUPER_DIR,
};
use crate::model::membership::{CLIENT_PORT, QUORUM_PORT};
use crate::model::{Pool, Seat, ServerId};
use crate::serve as server;

use member::Member;
use queue::Queue;
use seed::Mounts;
use start::Start;
use truth::Ports;
use volume::Volume;

/// The file that the kubelet shows as the reason of a container's end.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// How long a stopped agent outlives its signal if the server does not end: less than a pod's grace period, and longer
/// than a leader is held up to hand over leadership.
const FAREWELL: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Options of `menagerie agent`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    life: Life,
}

#[derive(Debug, Subcommand)]
enum Life {
    /// Prepare the data volume for a start of the server, wait for the members' names, and end.
    Prepare {
        #[command(flatten)]
        pod: Pod,
        /// Seconds to wait for the names of all members to resolve. After that, a new member whose own name does not resolve
        /// ends with an error on a fresh volume, and on any other goes on waiting for ten minutes; all others start without the
        /// missing names.
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        resolve_timeout: u64,
    },
    /// Answer the kubelet's probes and the operator's questions for as long as the server runs.
    Serve {
        #[command(flatten)]
        pod: Pod,
        /// Address to answer on; `[::]` is every address, IPv4 as well.
        #[arg(long, default_value_t = SocketAddr::from((Ipv6Addr::UNSPECIFIED, AGENT_PORT)), value_name = "ADDRESS")]
        listen: SocketAddr,
        /// The server's `AdminServer`.
        #[arg(long, default_value_t = format!("http://127.0.0.1:{ADMIN_PORT}"), value_name = "URL")]
        admin: String,
        /// The server's client port. The agent only checks whether anybody listens there: if nobody does, the server is
        /// gone.
        #[arg(long, default_value_t = format!("127.0.0.1:{CLIENT_PORT}"), value_name = "HOST:PORT")]
        client: String,
        /// The port on which followers are connected to their leader.
        #[arg(long, default_value_t = QUORUM_PORT, value_name = "PORT")]
        quorum: u16,
    },
}

#[derive(Debug, Args)]
struct Pod {
    /// Name of the pod; it ends in the member's ordinal.
    #[arg(long = "pod-name", env = "POD_NAME")]
    name: String,
    /// Where the data volume is mounted.
    #[arg(long, default_value = DATA_DIR, value_name = "DIRECTORY")]
    data: PathBuf,
    /// Where the `ConfigMap` with the charter and the static configuration is mounted.
    #[arg(long, default_value = SEED_DIR, value_name = "DIRECTORY")]
    seed: PathBuf,
    /// Where the Secret with the super user's password is mounted.
    #[arg(long = "super", default_value = SUPER_DIR, value_name = "DIRECTORY")]
    secret: PathBuf,
    /// Where the Secret with the archive's credentials is mounted, if there is one.
    #[arg(long, default_value = ARCHIVE_DIR, value_name = "DIRECTORY")]
    archive: PathBuf,
    /// Where the certificates of the CAs of the archive's store are mounted, if there are any.
    #[arg(long, default_value = ARCHIVE_CA_DIR, value_name = "DIRECTORY")]
    archive_ca: PathBuf,
    /// Where the Secret with the credentials of the archive is mounted that the ensemble is made from, if there is one.
    #[arg(long, default_value = PARENT_DIR, value_name = "DIRECTORY")]
    parent: PathBuf,
    /// Where the certificates of the CAs of that archive's store are mounted, if there are any.
    #[arg(long, default_value = PARENT_CA_DIR, value_name = "DIRECTORY")]
    parent_ca: PathBuf,
    /// Where the Secret with the keys is mounted with which what is archived is encrypted, if there is one.
    #[arg(long, default_value = ARCHIVE_KEYS_DIR, value_name = "DIRECTORY")]
    archive_keys: PathBuf,
    /// Where that of the archive is mounted that the ensemble is made from, if there is one.
    #[arg(long, default_value = PARENT_KEYS_DIR, value_name = "DIRECTORY")]
    parent_keys: PathBuf,
}

/// Runs the agent.
pub fn main(options: Options) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = match options.life {
        Life::Prepare { pod, resolve_timeout } => {
            runtime.block_on(until_stopped(prepare(pod, Duration::from_secs(resolve_timeout))))
        }
        Life::Serve { pod, listen, admin, client, quorum } => {
            runtime.block_on(serve(pod, listen, Ports { admin, client, quorum }))
        }
    };
    // A lookup or a read that hangs must not delay the end.
    runtime.shutdown_background();
    outcome.map_err(|e| {
        let line = format!("{e:#}").replace('\n', " ");
        leave_behind(&line);
        anyhow!(line)
    })
}

async fn prepare(pod: Pod, bound: Duration) -> anyhow::Result<()> {
    let id = server_id(&pod.name)?;
    let mounts = Mounts { seed: pod.seed, secret: pod.secret };
    Start { id, mounts, volume: Volume::at(&pod.data), bound, patience: start::PATIENCE }
        .ready(&start::Network {
            parent: Mounted { credentials: pod.parent, ca: pod.parent_ca, keys: pod.parent_keys, secret: None },
        })
        .await
}

/// As the first process of a container it would otherwise ignore the signal, and delay a deletion for the grace period.
async fn until_stopped(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut stop = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = work => outcome,
        _ = stop.recv() => Err(anyhow!("stopped before the end")),
    }
}

async fn serve(pod: Pod, listen: SocketAddr, ports: Ports) -> anyhow::Result<()> {
    let mut stop = signal(SignalKind::terminate())?;
    let id = server_id(&pod.name)?;
    let mounts = Mounts { seed: pod.seed, secret: pod.secret };
    let volume = Volume::at(&pod.data);
    let member = Arc::new(Member::new(id, ports, volume.clone(), Some(mounts.clone())));
    let listener = listen_on(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    info!(%id, %listen, "serving");
    let mounted = Mounted { credentials: pod.archive, ca: pod.archive_ca, keys: pod.archive_keys, secret: None };
    let folders = archive::Folders { data: pod.data, seed: mounts.seed.clone(), mounted };
    let tasks = tasks(&member, &volume, mounts, folders, listener);
    let named = tasks.into_iter().map(|(name, task)| task.map(move |()| name).boxed());
    tokio::select! {
        (name, ..) = select_all(named) => bail!("{name} has ended, which has no end"),
        // The kubelet stops all containers of a pod at once. The agent answers for the server until it is gone.
        () = async { stop.recv().await; member.archiving.stop(); gone(&member).await } => Ok(()),
    }
}

/// Everything that an agent does beside a server, at the same time and for as long as it runs.
fn tasks(
    member: &Arc<Member>,
    volume: &Volume,
    mounts: Mounts,
    folders: archive::Folders,
    listener: TcpListener,
) -> [(&'static str, BoxFuture<'static, ()>); 5] {
    let member = || Arc::clone(member);
    let queue = || Queue::to(volume.clone());
    [
        ("answering", server::serve(listener, routes::router(member())).boxed()),
        ("keeping a joiner startable", rejoin::watch(member(), queue(), mounts).boxed()),
        ("looking for motion", motion::watch(member(), queue(), motion::PERIOD).boxed()),
        ("purging", purging::watch(member(), folders.clone(), purging::PACE).boxed()),
        ("archiving", archive::ship(member(), folders).boxed()),
    ]
}

/// Returns once nobody listens there any more.
async fn gone(member: &Member) {
    let looking = async {
        while member.ports.listens().await {
            sleep(LOOK_AGAIN).await;
        }
    };
    let _ = timeout(FAREWELL, looking).await;
}

/// The id of the voter whose ordinal ends the pod's name.
fn server_id(pod: &str) -> anyhow::Result<ServerId> {
    let ordinal = pod.rsplit_once('-').map(|(_, ordinal)| ordinal).unwrap_or_default();
    ensure!(
        !ordinal.is_empty() && ordinal.bytes().all(|b| b.is_ascii_digit()),
        "the pod's name {pod:?} does not end in an ordinal"
    );
    let (number, ids) = (ordinal.parse().ok(), Pool::Voters.ids());
    let number = number.filter(|number| number < ids.end());
    let number =
        number.ok_or_else(|| anyhow!("the pod's ordinal {ordinal} has no server id: they end at {}", ids.end()))?;
    Ok(ServerId::from(Seat::voter(number)))
}

/// It is not created if it does not exist: outside a pod nobody reads it.
fn leave_behind(line: &str) {
    if let Ok(mut log) = OpenOptions::new().write(true).truncate(true).open(TERMINATION_LOG) {
        let _ = writeln!(log, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::prepare::{CONF, ZOO_CFG};
    use super::*;
    use crate::model::layout::CONFIG_FILE;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn the_command_line_needs_no_more_than_the_pods_name() {
        Cli::command().debug_assert();
        for life in ["prepare", "serve"] {
            assert!(Cli::try_parse_from(["agent", life, "--pod-name", "a-0"]).is_ok(), "{life}");
        }
        let serve = Cli::try_parse_from(["agent", "serve", "--pod-name", "a-0"]).unwrap().options.life;
        let Life::Serve { listen, admin, client, .. } = serve else { panic!() };
        assert_eq!(listen.to_string(), "[::]:8079");
        assert_eq!((admin.as_str(), client.as_str()), ("http://127.0.0.1:8080", "127.0.0.1:2181"));
    }

    #[test]
    fn the_server_is_started_with_the_file_that_is_written() {
        assert_eq!(format!("{DATA_DIR}/{CONF}/{ZOO_CFG}"), CONFIG_FILE);
    }

    #[test]
    fn the_id_is_the_ordinal_plus_one() {
        assert_eq!(server_id("my-zk-0").unwrap(), ServerId(1));
        assert_eq!(server_id("a-126").unwrap(), ServerId(127));
    }

    #[test]
    fn a_name_without_a_usable_ordinal_is_refused() {
        for pod in ["", "a", "a-", "-", "a-x", "a-1x", "a-+1", "a-127", "a-4294967295", "a-99999999999999999999"] {
            assert!(server_id(pod).is_err(), "{pod}");
        }
    }
}
