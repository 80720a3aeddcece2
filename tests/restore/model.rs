//! An ensemble in memory, with `ZooKeeper`'s rules for what a restore does to it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use menagerie::restore::acl::{Acl, Entry};
use menagerie::restore::hash::Digest;
use menagerie::restore::limits::QuotaLimits;
use menagerie::restore::live::{Live, LiveZnode, Parent};
use menagerie::restore::operation::{Kind, Operation};
use menagerie::restore::options::Access;
use menagerie::restore::quota::{LIMITS, QUOTAS, Quota, STATS, Seen, Statistics};
use menagerie::restore::scope::{OWN, Scope, parent, under};
use menagerie::restore::wanted::{Wanted, WantedZnode};
use menagerie::restore::znodes::{Failure, Znodes};
use zookeeper_files::ids::Zxid;

/// The zxids of what is there when a restore begins are below.
pub const BEGIN: u64 = 1000;

/// A scheme that the servers lack.
pub const NO_SCHEME: &str = "kerberos";

#[derive(Clone, Debug, PartialEq)]
pub struct Znode {
    pub data: Vec<u8>,
    pub acl: Acl,
    pub ephemeral: bool,
    pub version: i32,
    pub aversion: i32,
    pub czxid: u64,
    pub mzxid: u64,
    pub created: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub znodes: BTreeMap<String, Znode>,
    pub zxid: u64,
    pub access: Access,
    /// Servers with `enforceQuota`.
    pub enforces: bool,
}

pub fn acl(scheme: &str, id: &str, rights: i32) -> Acl {
    vec![Entry { scheme: scheme.to_owned(), id: id.to_owned(), rights }].into()
}

pub fn znode(data: &str) -> Znode {
    Znode {
        data: data.into(),
        acl: Acl::open(),
        ephemeral: false,
        version: 0,
        aversion: 0,
        czxid: 1,
        mzxid: 1,
        created: 0,
    }
}

impl Znode {
    fn seen(&self) -> Seen {
        Seen { version: self.version, czxid: Zxid(self.czxid), mzxid: Zxid(self.mzxid) }
    }
}

impl Model {
    /// A root, `/zookeeper/quota`, and these.
    pub fn of(znodes: impl IntoIterator<Item = (&'static str, Znode)>) -> Self {
        let own = ["/", OWN, "/zookeeper/quota"].map(|path| (path, znode("")));
        let znodes = own.into_iter().chain(znodes).map(|(path, znode)| (path.to_owned(), znode)).collect();
        Self { znodes, zxid: BEGIN, access: Access::Super, enforces: false }
    }

    fn children(&self, path: &str) -> usize {
        self.znodes.keys().filter(|child| parent(child) == Some(path)).count()
    }

    pub fn one(&self, path: &str) -> Option<LiveZnode> {
        let znode = self.znodes.get(path)?;
        Some(LiveZnode {
            data: Digest::of(&znode.data),
            bytes: znode.data.len(),
            acl: self.shown(&znode.acl),
            version: znode.version,
            aversion: znode.aversion,
            czxid: Zxid(znode.czxid),
            mzxid: Zxid(znode.mzxid),
            ctime: i64::try_from(znode.czxid).unwrap(),
            ephemeral: znode.ephemeral,
            children: self.children(path),
            counter: znode.created,
        })
    }

    /// Servers hide digests from clients without the right ADMIN.
    fn shown(&self, acl: &Acl) -> Acl {
        if self.access == Access::Super || acl.gives_everybody(16) {
            return acl.clone();
        }
        let hidden = |entry: &Entry| {
            let digest = entry.scheme == "digest";
            let id = if digest { format!("{}:x", entry.id.split(':').next().unwrap()) } else { entry.id.clone() };
            Entry { id, ..entry.clone() }
        };
        acl.entries().iter().map(hidden).collect::<Vec<_>>().into()
    }

    pub fn live(&self, scope: &Scope) -> Live {
        let inside = self.znodes.keys().filter(|path| scope.has(path));
        let znodes = inside.map(|path| (path.clone(), self.one(path).unwrap())).collect();
        let tops = scope.targets();
        let above = tops.iter().filter_map(|top| parent(&top.path));
        let parents = above.filter_map(|path| {
            let znode = self.znodes.get(path)?;
            Some((path.to_owned(), if znode.ephemeral { Parent::Ephemeral } else { Parent::Plain }))
        });
        let below = self.znodes.keys().filter_map(|path| path.strip_prefix(QUOTAS)).filter(|of| !of.is_empty());
        let below = below.filter(|of| !of.ends_with(LIMITS) && !of.ends_with(STATS)).map(str::to_owned);
        let (parents, below_quota) = (parents.collect(), below.collect());
        Live { znodes, parents, quotas: Some(self.quotas()), below_quota, ..Live::default() }
    }

    /// A quota with these limits, and statistics that nobody has counted.
    pub fn limit(&mut self, of: &str, limits: &str) {
        let path = format!("{QUOTAS}{}", if of == "/" { "" } else { of });
        for (at, _) in path.match_indices('/').skip(3) {
            self.znodes.entry(path[..at].to_owned()).or_insert_with(|| znode(""));
        }
        self.znodes.entry(path.clone()).or_insert_with(|| znode(""));
        for (name, data) in [(LIMITS, limits), (STATS, "count=0,bytes=0")] {
            self.znodes.insert(format!("{path}/{name}"), znode(data));
        }
    }

    /// The same with hard limits.
    pub fn limit_hard(&mut self, of: &str, znodes: i64, bytes: i64) {
        self.limit(of, &format!("count=-1,bytes=-1=;byteHardLimit={bytes};countHardLimit={znodes}"));
    }

    /// A client sets the statistics of that quota.
    pub fn count(&mut self, of: &str, stats: &str) {
        let set = Znode { version: 1, mzxid: 2, ..znode(stats) };
        self.znodes.insert(format!("{QUOTAS}{of}/{STATS}"), set);
    }

    pub fn limits(&self, of: &str) -> Option<&[u8]> {
        self.znodes.get(&format!("{QUOTAS}{of}/{LIMITS}")).map(|znode| &*znode.data)
    }

    /// As a reader finds them.
    fn quotas(&self) -> BTreeMap<String, Quota> {
        let limits = self.znodes.iter().filter_map(|(path, znode)| {
            let of = path.strip_prefix(QUOTAS)?.strip_suffix(LIMITS)?.strip_suffix('/')?;
            let (znodes, bytes) = self.size(of);
            let stats = self.znodes.get(&format!("{QUOTAS}{of}/{STATS}")).map(|stats| {
                let text = match &*stats.data {
                    b"" | b"x" => stats.data.clone(),
                    _ => format!("count={znodes},bytes={bytes}").into_bytes(),
                };
                (text, stats.seen())
            });
            let stats = stats.as_ref().map(|(text, seen)| (&**text, *seen));
            let odd = self.children(path) > 0;
            Some((of.to_owned(), Quota { odd, ..Quota::of(&znode.data, stats, znode.seen()) }))
        });
        limits.collect()
    }

    fn size(&self, top: &str) -> (i64, i64) {
        let inside = || self.znodes.iter().filter(|(path, _)| under(path, top));
        let bytes: usize = inside().map(|(_, znode)| znode.data.len()).sum();
        (i64::try_from(inside().count()).unwrap(), i64::try_from(bytes).unwrap())
    }

    /// Servers look at the nearest quota above, and only at what a request adds.
    fn enforce(&self, path: &str, znodes: i64, bytes: i64) -> Result<(), Failure> {
        let above = std::iter::successors(Some(path), |path| parent(path)).filter(|path| *path != "/" && self.enforces);
        let quotas = self.quotas();
        let Some(quota) = above.into_iter().find_map(|path| quotas.get(path)) else { return Ok(()) };
        let over = |most: Option<i64>, more, now| more != 0 && most.is_some_and(|most| now + more > most);
        let over = over(quota.most_znodes, znodes, quota.znodes) || over(quota.most_bytes, bytes, quota.bytes);
        if over { Err(Failure::Refused("quota".to_owned())) } else { Ok(()) }
    }

    /// What of it is wanted, as if it were the tree at a point.
    pub fn wanted(&self, scope: &Scope) -> Wanted {
        let mut znodes = BTreeMap::new();
        for (path, znode) in self.znodes.iter().filter(|(path, _)| !under(path, OWN)) {
            let Some(target) = scope.target(path).filter(|target| scope.has(target)) else { continue };
            let kind = if znode.ephemeral { Kind::Ephemeral } else { Kind::Persistent };
            let wanted = WantedZnode {
                kind,
                data: if znode.ephemeral { Vec::new() } else { znode.data.clone() },
                acl: Some(znode.acl.clone()),
                czxid: Zxid(znode.czxid),
                ctime: i64::try_from(znode.czxid).unwrap(),
                counter: znode.created,
            };
            znodes.insert(target, wanted);
        }
        let quotas = self.quotas().into_iter().filter_map(|(of, quota)| {
            let of = if of.is_empty() { "/" } else { &of };
            Some((scope.target(of).filter(|target| scope.has(target))?, quota))
        });
        let idle = |(_, quota): &(String, Quota)| quota.odd || quota.statistics == Statistics::Missing;
        let (idle, quotas): (Vec<_>, Vec<_>) = quotas.partition(idle);
        let quotas = quotas.into_iter().map(|(of, quota)| (of, quota.limits)).collect();
        let idle_quotas = idle.into_iter().map(|(of, _)| of).collect();
        let (zxid, scope, left) = (Zxid(500), scope.clone(), BTreeMap::new());
        Wanted { zxid, scope, znodes, own: 0, unnameable: 0, left, quotas, idle_quotas }
    }

    fn may(&self, path: &str, rights: i32) -> Result<(), Failure> {
        let allowed = self.access == Access::Super || self.znodes[path].acl.gives_everybody(rights);
        allowed.then_some(()).ok_or_else(|| Failure::Refused(format!("no right to {path}")))
    }

    /// Servers count each create, set and delete, and end where they cannot.
    fn survives(&self, operation: &Operation) -> bool {
        let path = operation.path();
        let above = || std::iter::successors(Some(path), |path| parent(path)).filter(|path| *path != "/");
        let of = above().find(|above| self.limits(above).is_some());
        let stats = of.and_then(|of| self.znodes.get(&format!("{QUOTAS}{of}/{STATS}")));
        let limits = path.starts_with(OWN) && path.ends_with("/zookeeper_limits");
        if matches!(operation, Operation::Delete { .. }) && limits {
            return false;
        }
        // What a client has set, another member may still have.
        matches!(operation, Operation::SetAcl { .. })
            || stats.is_none_or(|stats| {
                QuotaLimits::read(&stats.data).is_some_and(|_| !stats.data.is_empty() && stats.version == 0)
            })
    }

    pub fn perform(&mut self, operation: &Operation, data: &[u8]) -> Result<(), Failure> {
        assert!(self.survives(operation), "{operation} ends every server");
        let changed = |what: &str| Err(Failure::Changed(what.to_owned()));
        self.zxid += 1;
        let (path, zxid) = (operation.path(), self.zxid);
        match operation {
            Operation::Create { acl, .. } => {
                let above = parent(path).unwrap();
                let Some(there) = self.znodes.get(above) else { return changed("no parent") };
                if there.ephemeral {
                    return changed("an ephemeral has no children");
                }
                self.may(above, 4)?;
                if self.znodes.contains_key(path) {
                    return changed("exists");
                }
                self.enforce(path, 1, i64::try_from(data.len()).unwrap())?;
                self.znodes.get_mut(above).unwrap().created += 1;
                let made = Znode { data: data.to_vec(), acl: acl.clone(), czxid: zxid, mzxid: zxid, ..znode("") };
                self.znodes.insert(path.to_owned(), made);
            }
            Operation::Delete { version, .. } => {
                let Some(there) = self.znodes.get(path) else { return changed("is not there") };
                if there.version != *version {
                    return changed("version");
                }
                self.may(parent(path).unwrap(), 8)?;
                if self.children(path) > 0 {
                    return changed("has children");
                }
                self.znodes.remove(path);
            }
            Operation::Set { version, .. } => {
                let Some(there) = self.znodes.get(path) else { return changed("is not there") };
                if there.version != *version {
                    return changed("version");
                }
                self.may(path, 2)?;
                let more = i64::try_from(data.len()).unwrap() - i64::try_from(there.data.len()).unwrap();
                self.enforce(path, 0, more)?;
                let there = self.znodes.get_mut(path).unwrap();
                (there.data, there.version, there.mzxid) = (data.to_vec(), version + 1, zxid);
            }
            Operation::Raise { to, .. } => {
                let Some(there) = self.znodes.get(path) else { return changed("is not there") };
                let to = there.created.max(*to);
                self.may(path, 12)?;
                self.enforce(path, 1, 0)?;
                self.znodes.get_mut(path).unwrap().created = to;
            }
            Operation::CreateQuota { limits, .. } => {
                let of = operation.quota_of().unwrap();
                if self.limits(of).is_some() {
                    return changed("exists");
                }
                let nested =
                    self.quotas().into_keys().find(|other| !other.is_empty() && (under(of, other) || under(other, of)));
                assert_eq!((nested, self.access), (None, Access::Super), "{of}");
                self.limit(of, &limits.text());
                let made = self.znodes.get_mut(&format!("{path}/{LIMITS}")).unwrap();
                (made.czxid, made.mzxid) = (zxid, zxid);
            }
            Operation::CountQuota { seen, .. } => self.change_quota(path, *seen, None, true)?,
            Operation::SetQuota { seen, limits, counts, .. } => {
                self.change_quota(path, *seen, Some(*limits), *counts)?;
            }
            Operation::SetAcl { aversion, acl, .. } => {
                let Some(there) = self.znodes.get(path) else { return changed("is not there") };
                if there.aversion != *aversion {
                    return changed("aversion");
                }
                self.may(path, 16)?;
                if acl.entries().iter().any(|entry| entry.scheme == NO_SCHEME) {
                    return Err(Failure::Refused("no such scheme".to_owned()));
                }
                let there = self.znodes.get_mut(path).unwrap();
                (there.acl, there.aversion) = (acl.clone(), aversion + 1);
            }
        }
        Ok(())
    }

    /// In one transaction.
    fn change_quota(
        &mut self,
        path: &str,
        seen: Seen,
        limits: Option<QuotaLimits>,
        counts: bool,
    ) -> Result<(), Failure> {
        let changed = |what: &str| Err(Failure::Changed(what.to_owned()));
        let (stats, zxid) = (format!("{path}/{STATS}"), self.zxid);
        if counts && self.znodes.contains_key(&stats) {
            return changed("exists");
        }
        let Some(there) = self.znodes.get_mut(&format!("{path}/{LIMITS}")) else { return changed("is not there") };
        if there.seen() != seen {
            return changed("version");
        }
        if let Some(limits) = limits {
            (there.data, there.version, there.mzxid) = (limits.text().into(), seen.version + 1, zxid);
        }
        if counts {
            self.znodes.insert(stats, znode("count=0,bytes=0"));
        }
        Ok(())
    }

    pub fn carry_out(&mut self, operations: &[Operation], wanted: &Wanted) {
        for operation in operations {
            let data = wanted.znodes.get(operation.path()).map(|znode| znode.data.clone()).unwrap_or_default();
            self.perform(operation, &data).unwrap_or_else(|failure| panic!("{operation}: {failure:?}"));
        }
    }

    /// All that a restore can bring back.
    pub fn content(&self) -> BTreeMap<&str, (&[u8], &Acl, bool)> {
        self.znodes.iter().map(|(path, znode)| (&**path, (&*znode.data, &znode.acl, znode.ephemeral))).collect()
    }

    /// A whole subtree goes.
    pub fn delete_subtree(&mut self, top: &str) {
        self.znodes.retain(|path, _| !under(path, top));
    }
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    Fine,
    /// It never arrives.
    Lost,
    /// It is carried out, and the answer is lost.
    AnswerLost,
}

type Meddler = Box<dyn FnMut(usize, &mut Model)>;

/// The model behind a connection.
pub struct Connection {
    pub model: RefCell<Model>,
    pub fates: RefCell<VecDeque<Fate>>,
    /// Changes something before each request that writes.
    pub meddler: RefCell<Option<Meddler>>,
    pub requests: Cell<usize>,
}

impl Connection {
    pub fn to(model: Model) -> Self {
        let (fates, meddler) = (RefCell::default(), RefCell::default());
        Self { model: RefCell::new(model), fates, meddler, requests: Cell::new(0) }
    }
}

impl Znodes for Connection {
    async fn refresh(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Option<LiveZnode>, Failure> {
        Ok(self.model.borrow().one(path))
    }

    async fn is_ephemeral(&self, path: &str) -> Result<Option<bool>, Failure> {
        Ok(self.model.borrow().znodes.get(path).map(|znode| znode.ephemeral))
    }

    async fn data(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.model.borrow().znodes.get(path).map(|znode| znode.data.clone()))
    }

    async fn children(&self, path: &str) -> Result<Option<Vec<String>>, Failure> {
        let model = self.model.borrow();
        let names = model.znodes.keys().filter(|child| parent(child) == Some(path));
        let names = names.map(|child| child.rsplit('/').next().unwrap().to_owned()).collect();
        Ok(model.znodes.contains_key(path).then_some(names))
    }

    async fn pause(&self, _: Duration) {}

    async fn perform(&self, operation: &Operation, data: &[u8]) -> Result<(), Failure> {
        // Requests are really in flight at the same time.
        tokio::task::yield_now().await;
        self.requests.set(self.requests.get() + 1);
        if let Some(meddler) = &mut *self.meddler.borrow_mut() {
            meddler(self.requests.get(), &mut self.model.borrow_mut());
        }
        let lost = || Err(Failure::Unknown("connection lost".to_owned()));
        match self.fates.borrow_mut().pop_front().unwrap_or(Fate::Fine) {
            Fate::Fine => self.model.borrow_mut().perform(operation, data),
            Fate::Lost => lost(),
            Fate::AnswerLost => {
                let _nobody_hears_it = self.model.borrow_mut().perform(operation, data);
                lost()
            }
        }
    }
}
