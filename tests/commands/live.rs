//! Files that grow, roll, are made and purged while they are read: nothing of it is damage.

use std::io::{Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// What a server does to its folder under load, as fast as it can: it writes through a buffer of 8 KiB, so that half of a
/// record may be there, into space that it allocated ahead; it begins a new log, writes a snapshot, and purges.
fn busy(folder: &Path, stop: &AtomicBool) {
    let mut tree = Tree::initial();
    let mut zxid = E1;
    let acl = encode_acls(&[Acl::new(31, "world", "anyone")]);
    let acl = Acls::decode(&mut Decoder::new(&acl)).unwrap();
    let mut kept = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let name = folder.join(format!("log.{:x}", zxid + 1));
        let mut file = fs::File::create(&name).unwrap();
        let (mut at, mut buffer) = (0, LogWriter::new(Vec::new(), 0).unwrap().into_inner());
        for number in 0..200_u64 {
            zxid += 1;
            let header = Header { session: SessionId(0x1001), cxid: 1, zxid: Zxid(zxid), time: time_of(zxid) };
            let (path, data) = (format!("/n{}", zxid % 50), vec![b'x'; usize::try_from(number * 7 % 3000).unwrap()]);
            let create = Create {
                path: Text(path.as_bytes()),
                data: Some(&data),
                acl,
                lifetime: Lifetime::Persistent,
                parent_cversion: Some(tree.get(b"/").unwrap().stat().cversion + 1),
                with_stat: false,
            };
            let txn = match tree.get(path.as_bytes()) {
                None => Txn::Create(create),
                Some(_) => Txn::Delete { path: Text(path.as_bytes()), container: false },
            };
            tree.apply(&header, &txn).unwrap();
            let mut log = LogWriter::go_on(std::mem::take(&mut buffer));
            log.append(header, &txn, Some(Digest { version: 2, tree: tree.digest() })).unwrap();
            buffer = log.into_inner();
            let full = if number % 10 == 9 { buffer.len() } else { buffer.len() / 8192 * 8192 };
            if full > 0 {
                if at == 0 || number % 50 == 0 {
                    file.set_len((at + full as u64).next_multiple_of(1 << 16) + (1 << 16)).unwrap();
                }
                file.seek(SeekFrom::Start(at)).unwrap();
                file.write_all(&buffer[..full]).unwrap();
                at += full as u64;
                buffer.drain(..full);
            }
        }
        let snapshot = folder.join(format!("snapshot.{zxid:x}"));
        let mut to = fs::File::create(&snapshot).unwrap();
        for piece in tree.write(Vec::new()).unwrap().chunks(8192) {
            to.write_all(piece).unwrap();
        }
        kept.push((name, snapshot));
        if kept.len() > 6 {
            let (log, snapshot) = kept.remove(0);
            fs::remove_file(log).unwrap();
            fs::remove_file(snapshot).unwrap();
        }
    }
}

#[test]
fn a_busy_servers_files_are_never_called_damaged() {
    let world = World::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| busy(&world.file(""), &stop));
        while !world.file(&format!("snapshot.{:x}", E1 + 1000)).exists() {
            assert!(!writer.is_finished());
            std::thread::yield_now();
        }
        let mut wrong = Vec::new();
        for round in 0..10 {
            let commands =
                [&["log", "dump"][..], &["log", "stat"], &["log", "verify"], &["log", "tail"], &["snapshot", "tree"]];
            for command in commands {
                let output = run(&[command, &[world.path()]].concat());
                if output.status.code() != Some(0) {
                    let said = text(&[output.stderr, output.stdout].concat());
                    let said: Vec<&str> = said.lines().filter(|line| !line.starts_with('/')).collect();
                    wrong.push(format!("{round} {command:?}: {}: {said:?}", output.status));
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}
