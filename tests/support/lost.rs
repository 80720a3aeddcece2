//! An ensemble that is lost with all of its volumes while clients write, and the one that is made of its archive in its place.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use menagerie::archive::chains;
use serde_json::json;
use tokio::time::timeout;
use zookeeper_client::{Client, SessionState};
use zookeeper_files::ids::Zxid;

use super::cluster::{Ensemble, PATIENCE, Space, eventually, s3};
use super::gateway::{Gateway, KEY, SECRET};
use super::writers::{SESSION, Tally, Write, Writers, connect};

const WRITERS: usize = 3;
/// What an ensemble is made of begins at least so many epochs later.
const EPOCHS_BETWEEN: u64 = 60_000;

/// What was lost, and for how long.
#[derive(Debug)]
pub struct Loss {
    /// Writes that had been acknowledged when everything was lost.
    pub acknowledged: usize,
    /// Those of them that the new ensemble has not.
    pub missing: usize,
    /// From the acknowledgement of the oldest of those to the loss.
    pub behind: Duration,
    /// From the new manifest to the first write that is acknowledged.
    pub serves: Duration,
    /// From there until the last of the old clients writes again.
    pub back: Duration,
}

/// An address that stays when the ensemble goes, as clients have it.
async fn address(space: &Space) -> String {
    let api: Api<Service> = Api::namespaced(space.client.clone(), &space.name);
    let service = json!({
        "metadata": {"name": "outside"},
        "spec": {"selector": {"menagerie.dev/ensemble": "zk"}, "ports": [{"port": 2181}]},
    });
    let made = api.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
    format!("{}:2181", made.spec.unwrap().cluster_ip.unwrap())
}

/// All is gone: the ensemble, its pods without grace, its claims.
async fn destroy(zk: &Ensemble) {
    let space = &zk.space;
    let none = DeleteParams::default().grace_period(0);
    let ours = ListParams::default().labels("menagerie.dev/ensemble=zk");
    space.ensembles().delete(&zk.name, &DeleteParams::default()).await.unwrap();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(space.client.clone(), &space.name);
    eventually(PATIENCE, "pods and claims to be gone", async || {
        space.pods().delete_collection(&none, &ours).await.unwrap();
        claims.delete_collection(&none, &ours).await.unwrap();
        space.ensembles().get_opt(&zk.name).await.unwrap().is_none()
            && space.pods().list(&ours).await.unwrap().items.is_empty()
            && claims.list(&ours).await.unwrap().items.is_empty()
    })
    .await;
}

/// The last transaction that the archive has.
async fn last(gateway: &Gateway, identity: &str) -> Zxid {
    let store = gateway.store();
    let mut last = Zxid(0);
    for chain in chains::chains(&store, identity).await.unwrap() {
        last = last.max(chains::last(&store, identity, &chain).await.unwrap().map_or(last, |facts| facts.last));
    }
    last
}

/// A client that waits and knows how far its ensemble was: servers that are behind that refuse it for ever. Its session is over in the new
/// ensemble, and to be told so it has to be let in.
async fn told_that_its_session_is_over(client: Client) {
    let mut states = client.state_watcher();
    let over = async { while states.changed().await != SessionState::Expired {} };
    timeout(4 * SESSION, over).await.expect("a client that saw more is refused by the new ensemble");
}

/// Destroys an ensemble of three `after` so much time under load, makes another one of its archive, and says what it cost.
pub async fn everything(space: &Space, gateway: &mut Gateway, after: Duration) -> Loss {
    space.keys(KEY, SECRET);
    let spec = json!({"replicas": 3, "archive": {"s3": s3(gateway.address)}});
    let zk = space.ensemble("zk", spec).await;
    let identity = zk.ready(3).await.identity.unwrap();
    zk.condition("ContinuousArchiving", "True", "Shipping").await;
    let address = address(space).await;
    let waiting = connect(&address).await;
    let writers = Writers::start(&address, WRITERS).await;
    tokio::time::sleep(after).await;
    waiting.check_stat("/writes").await.unwrap();

    // From here on nothing more comes into the archive, whatever a pod does on its way out.
    gateway.stop();
    let lost = Instant::now();
    destroy(&zk).await;
    gateway.run().await;
    let point = last(gateway, &identity).await;
    let from = json!({"s3": s3(gateway.address), "identity": identity, "at": format!("{point:#}")});
    let manifest = Instant::now();
    let zk = space.ensemble("zk", json!({"replicas": 3, "from": from, "archive": {"s3": s3(gateway.address)}})).await;
    told_that_its_session_is_over(waiting).await;
    let new = zk.ready(3).await.identity.unwrap();
    assert_ne!(new, identity);
    // All of them write again by now, or never.
    tokio::time::sleep(SESSION).await;
    let tally = writers.stop().await;
    loss(&tally, &address, point, lost, manifest).await
}

async fn loss(tally: &Tally, address: &str, point: Zxid, lost: Instant, manifest: Instant) -> Loss {
    let client = connect(address).await;
    client.sync("/writes").await.unwrap();
    let there = client.list_children("/writes").await.unwrap();
    let there: std::collections::BTreeSet<String> = there.into_iter().collect();
    let mut seen =
        Loss { acknowledged: 0, missing: 0, behind: Duration::ZERO, serves: Duration::MAX, back: Duration::ZERO };
    let mut last_back = manifest;
    for of_one in &tally.writes {
        // Whose object is gone may acknowledge something until its container is: not the time tells the two apart, but the epoch.
        let by_new = |write: &&Write| Zxid(write.czxid.cast_unsigned()).epoch() > point.epoch() + EPOCHS_BETWEEN;
        let (of_new, of_old): (Vec<&Write>, Vec<&Write>) = of_one.iter().partition(by_new);
        let (before, since): (Vec<_>, Vec<_>) = of_old.into_iter().partition(|write| write.at <= lost);
        let is_there = |write: &&&Write| there.contains(&write.name);
        let kept = before.iter().take_while(is_there).count();
        let missing = &before[kept..];
        // A part of the history, and the first part of it.
        let holes: Vec<_> = missing.iter().filter(is_there).map(|write| &write.name).collect();
        assert!(holes.is_empty(), "{} is missing, and later ones are there: {holes:?}", missing[0].name);
        seen.acknowledged += before.len();
        seen.missing += missing.len();
        seen.behind = seen.behind.max(missing.first().map_or(Duration::ZERO, |write| lost - write.at));
        // Of the one that was on its way at that moment, the answer came later than the object.
        let later = since.iter().skip(1).filter(is_there).count();
        assert_eq!(later, 0, "something was archived after the loss");
        let lost: Vec<_> = of_new.iter().filter(|write| !is_there(write)).map(|write| &write.name).collect();
        assert!(lost.is_empty(), "the new ensemble lost {lost:?}");
        let first = of_new.first().expect("a client did not come back").at;
        seen.serves = seen.serves.min(first - manifest);
        last_back = last_back.max(first);
    }
    seen.back = (last_back - manifest).saturating_sub(seen.serves);
    seen
}
