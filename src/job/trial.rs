//! A real server starts from what was built, and serves the same znodes.
//!
//! It is the ensemble's own image, in a container beside this process, with a network address that nobody else reaches. It waits for a
//! `zoo.cfg` in a folder that both have, and ends with this process. Like a founder, it starts without sessions: otherwise it would end
//! the old ones while it is looked at.

use std::fs;
use std::io::BufWriter;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures::StreamExt as _;
use futures::stream;
use tokio::time::{Instant, sleep};
use tracing::info;
use zookeeper_files::atomic::Part;
use zookeeper_files::ids::Zxid;
use zookeeper_files::path::shown;
use zookeeper_files::replay::{Tree, Znode};
use zookeeper_files::snapshot::{OPEN_ACL, Owner};

use super::{Ended, scratch};
use crate::archive::tree_hash::{is_config, is_statistics};
use crate::model::layout::{ADMIN_PORT, TRIAL_CONFIG, TRIAL_OUTPUT};
use crate::model::membership::CLIENT_PORT;
use crate::model::words::{NAMED, cut};
use crate::restore::acl::Acl;
use crate::restore::hash::Digest;
use crate::restore::live::LiveZnode;
use crate::restore::znodes::{Failure, Znodes};
use crate::zk::admin;
use crate::zk::znodes::Session;

/// So long a server may take to load the tree. One of 1 GiB takes less than a minute.
const PATIENCE: Duration = Duration::from_mins(10);
const ASKED: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);
/// Requests in flight at the same time.
const AT_ONCE: usize = 64;
/// The most of a server's last words.
const WORDS: usize = 600;
/// Each server has a `config` of its own below it.
const ZOOKEEPER: &[u8] = b"/zookeeper";

#[derive(Args, Debug)]
pub(super) struct TrialOptions {
    /// A folder from which a server beside this process starts once it has a zoo.cfg; for the level Server
    #[arg(long, value_name = "DIR", required_if_eq("level", "Server"))]
    trial: Option<PathBuf>,
    /// Where that server listens
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    trial_address: IpAddr,
}

/// Starts a server from the tree, and compares what it serves. Its version, if that is the same.
pub(super) async fn starts(options: &TrialOptions, tree: &mut Tree) -> Result<String, Ended> {
    let Some(folder) = &options.trial else { return Err(Ended::ForGood("there is no folder for a server".to_owned())) };
    if let Some(fatal) = tree.fatal_to_load() {
        return Err(wrong(format!("no server starts with this tree: {fatal}")));
    }
    tree.end_sessions();
    write(tree, folder, options.trial_address).map_err(|error| scratch(folder, &error))?;
    info!("a server may start from the tree");
    let (version, zxid) = served(options, folder).await?;
    if zxid != tree.last() {
        let text = format!("a server {version} that starts from it is at {zxid:#}, and not at {:#}", tree.last());
        return Err(wrong(text));
    }
    let session = Session::with(&[std::net::SocketAddr::new(options.trial_address, CLIENT_PORT).to_string()], None);
    let compared = compare(&session, tree).await.map_err(|why| unread(folder, &why))?;
    info!(%version, znodes = compared.same, differing = compared.differing, "the server was read");
    if compared.differing > 0 {
        return Err(wrong(format!(
            "a server {version} that starts from it serves {} znodes otherwise: {}",
            compared.differing,
            compared.named.join(", ")
        )));
    }
    Ok(version)
}

fn wrong(why: String) -> Ended {
    Ended::NotProved { why, again: false }
}

/// Writes what the server starts from, its configuration last.
fn write(tree: &Tree, folder: &Path, address: IpAddr) -> std::io::Result<()> {
    let data = folder.join("data");
    let database = data.join("version-2");
    fs::create_dir_all(&database)?;
    let path = database.join(format!("snapshot.{}", tree.last()));
    let buffered = tree.write(BufWriter::with_capacity(1 << 20, Part::begin(&path, None)?))?;
    buffered.into_inner().map_err(std::io::IntoInnerError::into_error)?.keep()?;
    // Alone, without a list of servers.
    let config = format!(
        "dataDir={}\ntickTime=2000\nclientPort={CLIENT_PORT}\nclientPortAddress={address}\nadmin.enableServer=true\nadmin.serverAddress={address}\nadmin.serverPort={ADMIN_PORT}\n",
        data.display()
    );
    let mut file = Part::begin(&folder.join(TRIAL_CONFIG), None)?;
    std::io::Write::write_all(&mut file, config.as_bytes())?;
    file.keep()
}

/// Waits until it serves. Its version, and its last transaction.
async fn served(options: &TrialOptions, folder: &Path) -> Result<(String, Zxid), Ended> {
    let base = format!("http://{}", std::net::SocketAddr::new(options.trial_address, ADMIN_PORT));
    let begun = Instant::now();
    loop {
        let why = match admin::server_stats(&base, ASKED).await {
            Ok(admin::ServerStats { error: None, version, server_stats: Some(stats), .. }) => {
                let version = version.map(|version| admin::release(&version).to_owned()).unwrap_or_default();
                return Ok((cut(&version, 32), Zxid(stats.last_processed_zxid.cast_unsigned())));
            }
            Ok(answer) => answer.error.unwrap_or_else(|| "it does not serve yet".to_owned()),
            Err(error) => error.to_string(),
        };
        if begun.elapsed() > PATIENCE {
            let text = format!("no server serves from it within {} min: {why}", PATIENCE.as_secs() / 60);
            return Err(unread(folder, &text));
        }
        sleep(PAUSE).await;
    }
}

/// It may be the memory, and not the tree; and where nothing has begun, the image. So it is tried again.
fn unread(folder: &Path, why: &str) -> Ended {
    let output = fs::read(folder.join(TRIAL_OUTPUT)).unwrap_or_default();
    let output = String::from_utf8_lossy(&output[output.len().saturating_sub(WORDS)..]).trim().to_owned();
    if output.is_empty() {
        return Ended::ForNow(format!("{why}; it has said nothing"));
    }
    Ended::NotProved { why: format!("{why}; its last words: {output}"), again: true }
}

/// What a comparison has come to.
#[derive(Debug, Default)]
struct Compared {
    same: usize,
    differing: usize,
    /// The first of those.
    named: Vec<String>,
}

/// Compares each znode. A server that has more of them has a parent with more children.
async fn compare<Z: Znodes>(znodes: &Z, tree: &Tree) -> Result<Compared, String> {
    let failed = |failure| match failure {
        Failure::Unknown(why) | Failure::Changed(why) | Failure::Refused(why) => {
            format!("the server cannot be read: {why}")
        }
    };
    znodes.refresh().await.map_err(failed)?;
    let (children, mut compared) = (tree.children(), Compared::default());
    // A path that is no text cannot be asked for. Its parent counts it.
    let asked = tree.rooted().into_iter().filter(|(path, _)| !is_config(path)).filter_map(|(path, node)| {
        let children = children.get(path).copied().unwrap_or_default();
        Some((str::from_utf8(shown(path)).ok()?, path, node, children))
    });
    let mut reads = stream::iter(asked)
        .map(|(name, path, node, children)| async move {
            let served = znodes.get(name).await?;
            Ok(served.is_none_or(|served| !is_same(tree, (path, node, children), &served)).then_some(name))
        })
        .buffer_unordered(AT_ONCE);
    while let Some(read) = reads.next().await {
        match read.map_err(failed)? {
            None => compared.same += 1,
            Some(name) => {
                compared.differing += 1;
                if compared.named.len() < NAMED {
                    compared.named.push(cut(name, WORDS / NAMED));
                }
            }
        }
    }
    Ok(compared)
}

/// Whether a server serves the znode as it is in the tree. Each counts quotas itself, and has its own `config`.
fn is_same(tree: &Tree, (path, node, children): (&[u8], &Znode, usize), served: &LiveZnode) -> bool {
    let (data, stat) = (node.data().unwrap_or_default(), node.stat());
    let acl = if node.acl() == OPEN_ACL { Some(Acl::open()) } else { tree.acls().get(node.acl()).and_then(Acl::of) };
    let expected = LiveZnode {
        data: if is_statistics(path) { served.data } else { Digest::of(data) },
        bytes: if is_statistics(path) { served.bytes } else { data.len() },
        // One that no client could set cannot be compared.
        acl: acl.unwrap_or_else(|| served.acl.clone()),
        version: stat.version,
        aversion: stat.aversion,
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        ctime: stat.ctime,
        ephemeral: matches!(stat.owner(), Owner::Session(_)),
        children: if path == ZOOKEEPER { served.children } else { children },
        counter: stat.cversion.into(),
    };
    expected == *served
}
