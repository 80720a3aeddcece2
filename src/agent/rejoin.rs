//! Keeps a joining member startable: as soon as the server meets the leader, it rewrites its list without itself, and
//! exits on a restart in place ("My id 4 not in the peer list"), where `prepare` does not run again.
//!
//! Invariants: nothing is written while the server listens on either port, or its process exists, or the record
//! contains this member.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use crate::model::ServerId;

use super::member::Member;
use super::prepare::{Preparation, configure};
use super::process;
use super::queue::Queue;
use super::record::Records;
use super::seed::{Mounts, Seed};
use super::volume::{Volume, VolumeError};

/// The kubelet restarts a container at once the first time, and its server reads `zoo.cfg` within a second.
const PERIOD: Duration = Duration::from_millis(500);
/// The time between two writes.
const PAUSE: Duration = Duration::from_secs(2);

/// Watches the member for as long as the agent runs.
pub async fn watch(member: Arc<Member>, queue: Queue, mounts: Mounts) {
    let mut last = None;
    loop {
        sleep(PERIOD).await;
        let outcome = attempt(&member, &queue, &mounts).await;
        if let Err(reason) = &outcome
            && last.as_ref() != Some(reason)
        {
            warn!(%reason, "cannot keep this joining member startable");
        }
        let wrote = matches!(outcome, Ok(true));
        last = outcome.err();
        if wrote {
            sleep(PAUSE).await;
        }
    }
}

/// Whether anything was written.
async fn attempt(member: &Member, queue: &Queue, mounts: &Mounts) -> Result<bool, String> {
    let id = member.id;
    // Before it has loaded its database, a server listens on neither port.
    let runs = |volume: &Volume| process::server(Path::new("/proc"), &volume.config()).is_some();
    let found = queue.run(move |volume| Ok(lost(volume, id)? && !runs(volume))).await?;
    if !found || member.ports.listens().await {
        return Ok(false);
    }
    let mounts = mounts.clone();
    let written = queue.run(move |volume| Ok(rewrite(volume, &mounts, id))).await??;
    if let Some(plan) = &written {
        info!(version = %plan.using.version, from = ?plan.from, "the server stopped as a joiner: its list names it again");
    }
    Ok(written.is_some())
}

/// Whether the record, if there is one, lacks this member.
fn lost(volume: &Volume, id: ServerId) -> Result<bool, VolumeError> {
    let records = Records::read(&volume.look()?.dynamics);
    Ok(records.newest.is_some_and(|newest| !newest.contains(id)))
}

fn rewrite(volume: &Volume, mounts: &Mounts, id: ServerId) -> Result<Option<Preparation>, String> {
    let seed = Seed::read(mounts).map_err(|e| e.to_string())?;
    let found = volume.look().map_err(|e| e.to_string())?;
    let plan = configure(&found, &seed, id, &volume.root()).map_err(|e| e.to_string())?;
    if volume.holds(&plan.changes) {
        return Ok(None);
    }
    volume.apply(&plan.changes).map_err(|e| e.to_string())?;
    Ok(Some(plan))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;
    use tokio::net::TcpListener;

    use super::*;
    use crate::agent::fixtures::free;
    use crate::agent::truth::Ports;
    use crate::model::fixtures::charter;
    use crate::model::{Beginning, Server};

    const OWN: ServerId = ServerId(2);

    /// A joining member that has met the leader: its record lacks it, and `zoo.cfg` names that record.
    fn joiner() -> (TempDir, Mounts) {
        let directory = TempDir::new().unwrap();
        let list = format!("server.1={}", Server::voter("a-0").spec());
        let charter = charter(Beginning::TakenUp, &list, 4);
        for (name, text) in [
            ("seed/charter.json", serde_json::to_string(&charter).unwrap()),
            ("seed/zoo.cfg", "tickTime=2000\n".into()),
            ("super/password", "pw".into()),
            ("data/conf/zoo.cfg.dynamic.5", list),
            ("data/conf/zoo.cfg", "dynamicConfigFile=/data/conf/zoo.cfg.dynamic.5\n".into()),
        ] {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mounts = Mounts { seed: directory.path().join("seed"), secret: directory.path().join("super") };
        (directory, mounts)
    }

    async fn attempt_beside(
        admin: &str,
        client: &str,
        (directory, mounts): &(TempDir, Mounts),
    ) -> Result<bool, String> {
        let ports = Ports { admin: format!("http://{admin}/"), client: client.to_owned(), quorum: 2888 };
        let volume = Volume::at(&directory.path().join("data"));
        attempt(&Member::new(OWN, ports, volume.clone(), None), &Queue::to(volume), mounts).await
    }

    /// Nobody listens on either port.
    async fn attempt_alone(volume: &(TempDir, Mounts)) -> Result<bool, String> {
        attempt_beside(&free().await, &free().await, volume).await
    }

    fn zoo_cfg((directory, _): &(TempDir, Mounts)) -> String {
        fs::read_to_string(directory.path().join("data/conf/zoo.cfg")).unwrap()
    }

    #[tokio::test]
    async fn a_joiner_whose_server_stopped_can_start_again_and_is_written_once() {
        let volume = joiner();
        assert_eq!(attempt_alone(&volume).await, Ok(true));
        assert!(zoo_cfg(&volume).ends_with("/conf/zoo.cfg.dynamic.0\n"));
        let list = fs::read_to_string(volume.0.path().join("data/conf/zoo.cfg.dynamic.0")).unwrap();
        assert_eq!(list.lines().count(), 2);
        assert_eq!(attempt_alone(&volume).await, Ok(false));
    }

    #[tokio::test]
    async fn nothing_is_written_while_the_server_answers_on_either_port() {
        let volume = joiner();
        let before = zoo_cfg(&volume);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap().to_string();
        for (admin, client) in [(open.clone(), free().await), (free().await, open.clone())] {
            assert_eq!(attempt_beside(&admin, &client, &volume).await, Ok(false));
            assert_eq!(zoo_cfg(&volume), before);
        }
    }

    #[tokio::test]
    async fn nothing_is_written_for_a_member_or_without_a_record() {
        let volume = joiner();
        let conf = volume.0.path().join("data/conf");
        let member = format!("server.2={}", Server::voter("a-1").spec());
        fs::write(conf.join("zoo.cfg.dynamic.6"), member).unwrap();
        let before = zoo_cfg(&volume);
        assert_eq!(attempt_alone(&volume).await, Ok(false));
        fs::remove_file(conf.join("zoo.cfg.dynamic.6")).unwrap();
        fs::remove_file(conf.join("zoo.cfg.dynamic.5")).unwrap();
        assert_eq!(attempt_alone(&volume).await, Ok(false));
        assert_eq!(zoo_cfg(&volume), before);
    }

    #[tokio::test]
    async fn a_seed_that_cannot_be_read_is_an_error_and_nothing_is_written() {
        let volume = joiner();
        fs::write(volume.1.seed.join("charter.json"), "{").unwrap();
        let before = zoo_cfg(&volume);
        let error = attempt_alone(&volume).await.unwrap_err();
        assert!(error.starts_with("charter.json is not a charter"), "{error}");
        assert_eq!(zoo_cfg(&volume), before);
    }
}
