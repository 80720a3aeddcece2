//! What is read is what `TxnLogToolkit` and `SnapshotFormatter` of ZooKeeper print.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use zookeeper_files::jute::Text;
use zookeeper_files::log::{Acls, Lifetime, LogItem, LogReader, Record, Txn};
use zookeeper_files::snapshot::{SnapshotItem, SnapshotZnode};

use crate::scenes::{open_snapshot, scenes};

#[test]
fn a_log_reads_as_zookeepers_own_tool_prints_it() {
    let mut records = 0;
    for scene in scenes() {
        for member in scene.members() {
            for (_, path) in member.logs() {
                let mut ours = String::new();
                let mut count = 0;
                let mut reader = LogReader::new(File::open(&path).unwrap()).unwrap();
                writeln!(
                    ours,
                    "ZooKeeper Transactional Log File with dbid {} txnlog format version {}",
                    reader.dbid(),
                    reader.version()
                )
                .unwrap();
                while let Some(item) = reader.next().unwrap() {
                    let LogItem::Record(record) = item else { panic!("{}: {item:?}", path.display()) };
                    print(&record, &mut ours);
                    count += 1;
                }
                writeln!(ours, "EOF reached after {count} txns.").unwrap();
                let theirs = scene.printed(&path).replace('\u{202f}', " ");
                for (ours, theirs) in ours.lines().zip(theirs.lines()) {
                    assert_eq!(ours, theirs, "{}", path.display());
                }
                assert_eq!(ours.len(), theirs.len(), "{}", path.display());
                records += count;
            }
        }
    }
    assert!(records > 2000, "only {records} records were compared");
}

#[test]
fn a_snapshot_reads_as_zookeepers_own_tool_prints_it() {
    let mut nodes = 0;
    for scene in scenes() {
        for member in scene.members() {
            for (_, path) in member.snapshots() {
                let theirs = scene.printed(&path);
                let (body, sessions) = theirs.split_once("----\nSession Details").unwrap();
                let (head, znodes) = body.split_once("----\n").unwrap();
                let (mut ours, mut alive) = (BTreeMap::new(), Vec::new());
                let mut snapshot = open_snapshot(&path);
                while let Some(item) = snapshot.next().unwrap() {
                    match item {
                        SnapshotItem::Znode(node) => drop(ours.insert(node.shown_path().to_string(), describe(&node))),
                        SnapshotItem::Session(session) => {
                            alive.push((format!("{:#018x}", session.id.0), session.timeout));
                        }
                        SnapshotItem::Acl(_) => {}
                    }
                }
                // The tool walks children in the order of a hash table.
                let theirs: BTreeMap<_, _> = znodes
                    .split("----\n")
                    .filter(|znode| !znode.is_empty())
                    .map(|znode| znode.split_once('\n').unwrap())
                    .map(|(path, rest)| (path.to_owned(), rest.to_owned()))
                    .collect();
                // The tool counts the root twice: servers know it by two names.
                let counted = ours.len() + 1;
                assert_eq!(head, format!("ZNode Details (count={counted}):\n"), "{}", path.display());
                assert_eq!(ours, theirs, "{}", path.display());
                nodes += ours.len();
                for (id, timeout) in alive {
                    // The tool pads to 16 characters with the 0x, an id of 16 digits is longer.
                    let short = format!("{:#016x}", i64::from_str_radix(&id[2..], 16).unwrap());
                    assert!(sessions.contains(&format!("{short}, {timeout}, ")), "{}: {id}", path.display());
                }
            }
        }
    }
    assert!(nodes > 1000, "only {nodes} znodes were compared");
}

fn describe(node: &SnapshotZnode<'_>) -> String {
    let stat = &node.stat;
    let date =
        |time| Timestamp::from_millisecond(time).unwrap().to_zoned(TimeZone::UTC).strftime("%a %b %d %H:%M:%S UTC %Y");
    let encoded = node.data.map(|data| BASE64_STANDARD.encode(data)).unwrap_or_default();
    format!(
        "  cZxid = {:#016x}\n  ctime = {}\n  mZxid = {:#016x}\n  mtime = {}\n  pZxid = {:#016x}\n  cversion = {}\n  \
         dataVersion = {}\n  aclVersion = {}\n  ephemeralOwner = {:#016x}\n  data = {encoded}\n",
        stat.czxid.0,
        date(stat.ctime),
        stat.mzxid.0,
        date(stat.mtime),
        stat.pzxid.0,
        stat.cversion,
        stat.version,
        stat.aversion,
        stat.ephemeral_owner,
    )
}

fn print(record: &Record<'_>, to: &mut String) {
    let header = &record.header;
    let time = Timestamp::from_millisecond(header.time).unwrap().to_zoned(TimeZone::UTC);
    let time = time.strftime("%-m/%-d/%y, %-I:%M:%S %p UTC");
    let kind = record.txn.txn_type();
    let line = format!(
        "{time} session {} cxid 0x{:x} zxid 0x{} {kind} {}",
        header.session,
        header.cxid,
        header.zxid,
        content(&record.txn)
    );
    to.push_str(&line);
    if !line.ends_with('\n') {
        to.push('\n');
    }
}

fn content(txn: &Txn<'_>) -> String {
    match *txn {
        Txn::Create(create) => {
            let mut line = format!("{},{},{}", create.path, data(create.data), list(create.acl));
            match create.lifetime {
                Lifetime::Persistent | Lifetime::Ephemeral => {
                    write!(line, ",{}", create.lifetime == Lifetime::Ephemeral).unwrap();
                }
                Lifetime::Container | Lifetime::Ttl(_) => {}
            }
            write!(line, ",{}", create.parent_cversion.unwrap_or(-1)).unwrap();
            if let Lifetime::Ttl(ttl) = create.lifetime {
                write!(line, ",{ttl}").unwrap();
            }
            line
        }
        Txn::SetData { path, data: bytes, version, .. } => format!("{path},{},{version}", data(bytes)),
        Txn::Delete { path, .. } => csv(path),
        Txn::SetAcl { path, acl, version } => {
            let entry = |acl: zookeeper_files::log::Acl<'_>| {
                format!("s{{{},s{{{},{}}}}}", acl.perms, csv(acl.scheme), csv(acl.id))
            };
            let entries: Vec<_> = acl.iter().map(entry).collect();
            format!("{},v{{{}}},{version}", csv(path), entries.join(","))
        }
        Txn::CreateSession { timeout } => timeout.to_string(),
        Txn::CloseSession { paths: None } => String::new(),
        Txn::CloseSession { paths: Some(paths) } => {
            let paths: Vec<_> = paths.iter().map(csv).collect();
            format!("v{{{}}}", paths.join(","))
        }
        Txn::Error { code } => code.to_string(),
        // The tool prints the bytes of each part as if they were text.
        Txn::Multi(ops) => {
            let parts: Vec<_> = ops
                .raw()
                .map(|(txn, bytes)| format!("{}:{}", txn.txn_type(), String::from_utf8_lossy(bytes)))
                .collect();
            parts.join(";")
        }
        Txn::Check { .. } => unreachable!("a check outside a multi"),
    }
}

fn data(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

/// A list of ACLs as Java prints one.
fn list(acls: Acls<'_>) -> String {
    let entry =
        |acl: zookeeper_files::log::Acl<'_>| format!("{},s{{{},{}}}\n", acl.perms, csv(acl.scheme), csv(acl.id));
    let entries: Vec<_> = acls.iter().map(entry).collect();
    format!("[{}]", entries.join(", "))
}

/// Text as Jute prints it.
fn csv(text: Text<'_>) -> String {
    let escaped = text.to_string().replace('%', "%25").replace('\n', "%0A").replace(',', "%2C").replace('}', "%7D");
    format!("'{escaped}")
}
