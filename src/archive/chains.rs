//! Reads an archive: its ensembles, their chains, and what is in them.

use zookeeper_files::ids::Zxid;

use super::blocks::Blocks;
use super::key::{Chain, SegmentKey};
use super::segment::{FRONT, Facts, Segment};
use super::shipper::ShipError;
use super::store::{Store, StoreError};

/// The identities of the ensembles in an archive.
pub async fn identities(store: &Store) -> Result<Vec<String>, StoreError> {
    let mut names = store.folders("").await?;
    names.retain(|name| super::key::is_identity(name));
    names.sort_unstable();
    Ok(names)
}

/// Whether this is the folder of one ensemble, and not the archive: its logs lie in it.
pub async fn is_below_an_archive(store: &Store) -> Result<bool, StoreError> {
    let folders = store.folders("log").await?;
    Ok(folders.iter().any(|name| name.parse::<Chain>().is_ok()))
}

/// The chains of an ensemble.
pub async fn chains(store: &Store, identity: &str) -> Result<Vec<Chain>, StoreError> {
    let folders = store.folders(&format!("{identity}/log")).await?;
    let mut chains: Vec<Chain> = folders.iter().filter_map(|name| name.parse().ok()).collect();
    chains.sort_unstable();
    Ok(chains)
}

/// The names of all of a chain's segments, oldest first.
pub async fn segments(store: &Store, identity: &str, chain: &Chain) -> Result<Vec<SegmentKey>, StoreError> {
    Blocks::of(store, identity, chain).await?.segments(store, identity).await
}

/// The folders in a folder, by their whole names and in their order.
pub(super) async fn folders(store: &Store, folder: &str) -> Result<Vec<String>, StoreError> {
    let mut names = store.folders(folder).await?;
    names.sort_unstable();
    Ok(names.into_iter().map(|name| format!("{folder}/{name}")).collect())
}

/// The facts of a chain's last segment. It looks only into the last folder of each level.
pub async fn last(store: &Store, identity: &str, chain: &Chain) -> Result<Option<Facts>, ShipError> {
    let Some(epoch) = folders(store, &SegmentKey::folder(identity, chain)).await?.pop() else { return Ok(None) };
    let Some(block) = folders(store, &epoch).await?.pop() else { return Ok(None) };
    let name = store.greatest(&block, |name| SegmentKey::parse(identity, name).is_some()).await?;
    match name.and_then(|name| SegmentKey::parse(identity, &name)) {
        Some(key) => facts(store, identity, &key).await,
        None => Ok(None),
    }
}

/// The last transaction of an ensemble that is archived, and the latest time. `damaged` hears of a chain whose end cannot be read: another
/// disk's log may be whole.
pub async fn end(
    store: &Store,
    identity: &str,
    damaged: &mut (dyn FnMut(&str) + Send),
) -> Result<Option<(Zxid, i64)>, ShipError> {
    let mut end = None::<(Zxid, i64)>;
    for chain in chains(store, identity).await? {
        match last(store, identity, &chain).await {
            Ok(None) => {}
            Ok(Some(facts)) => {
                let (last, latest) = end.unwrap_or((facts.last, facts.latest));
                end = Some((last.max(facts.last), latest.max(facts.latest)));
            }
            Err(error @ ShipError::Damaged { .. }) => damaged(&error.to_string()),
            Err(ShipError::Store(error)) if error.is_unopened() => damaged(&error.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(end)
}

/// The facts of a chain's first segment. It looks only into the first folder of each level.
pub async fn first(store: &Store, identity: &str, chain: &Chain) -> Result<Option<Facts>, ShipError> {
    let first = |folders: Vec<String>| folders.into_iter().next();
    let Some(epoch) = first(folders(store, &SegmentKey::folder(identity, chain)).await?) else { return Ok(None) };
    let Some(block) = first(folders(store, &epoch).await?) else { return Ok(None) };
    let names = store.names(&block).await?;
    match names.iter().find_map(|name| SegmentKey::parse(identity, name)) {
        Some(key) => facts(store, identity, &key).await,
        None => Ok(None),
    }
}

/// Whether a disk's log has a transaction: its chain, or the roll-ups of it.
pub async fn holds(store: &Store, identity: &str, chain: &Chain, zxid: Zxid) -> Result<bool, ShipError> {
    let of_one = |error: &ShipError| match error {
        ShipError::Damaged { .. } => true,
        ShipError::Store(error) => error.is_of_one_object(),
        _ => false,
    };
    match has(store, identity, chain, zxid).await {
        Ok(false) => has(store, identity, &chain.rolled(), zxid).await,
        Err(error) if of_one(&error) => match has(store, identity, &chain.rolled(), zxid).await {
            Ok(false) => Err(error),
            rolled => rolled,
        },
        has => has,
    }
}

/// Whether a chain has a transaction. It looks into the folder in which its segment begins, and the one before it: that of an epoch before, where
/// it is one of the first of its own.
async fn has(store: &Store, identity: &str, chain: &Chain, zxid: Zxid) -> Result<bool, ShipError> {
    let name = SegmentKey { chain: chain.clone(), first: zxid }.path(identity);
    let parent = |name: &str| name.rsplit_once('/').map(|(parent, _)| parent.to_owned()).unwrap_or_default();
    let block = parent(&name);
    let key = |name: &str| SegmentKey::parse(identity, name).filter(|key| key.first <= zxid);
    let mut greatest = store.greatest(&block, |name| key(name).is_some()).await?;
    if greatest.is_none() {
        let epoch = parent(&block);
        let mut before = folders(store, &epoch).await?.into_iter().rfind(|folder| *folder < block);
        if before.is_none() {
            let epochs = folders(store, &parent(&epoch)).await?;
            if let Some(earlier) = epochs.into_iter().rfind(|folder| *folder < epoch) {
                before = folders(store, &earlier).await?.pop();
            }
        }
        let Some(before) = before else { return Ok(false) };
        greatest = store.greatest(&before, |name| key(name).is_some()).await?;
    }
    let Some(key) = greatest.and_then(|name| key(&name)) else { return Ok(false) };
    let Some(facts) = facts(store, identity, &key).await? else { return Ok(false) };
    if facts.identity != identity || facts.key() != key || zxid < facts.first || facts.last < zxid {
        return Ok(false);
    }
    if facts.first.epoch() == facts.last.epoch() {
        return Ok(true);
    }
    // Only its transactions tell where an epoch ends in it.
    Ok(segment(store, identity, &key).await?.is_some_and(|segment| segment.has(zxid)))
}

/// The facts of a segment.
pub async fn facts(store: &Store, identity: &str, key: &SegmentKey) -> Result<Option<Facts>, ShipError> {
    let name = key.path(identity);
    let Some(front) = store.get(&name, Some(FRONT)).await? else { return Ok(None) };
    let facts = Facts::read(&front).map_err(|why| ShipError::Damaged { name: name.clone(), why })?;
    Ok(Some(facts))
}

/// A whole segment, proved.
pub async fn segment(store: &Store, identity: &str, key: &SegmentKey) -> Result<Option<Segment>, ShipError> {
    let name = key.path(identity);
    let Some(object) = store.get(&name, None).await? else { return Ok(None) };
    let segment = Segment::unpack(&object).map_err(|why| ShipError::Damaged { name: name.clone(), why })?;
    Ok(Some(segment))
}
