//! The server's process, as `/proc` shows it to the agent in the same pod: the containers share their process
//! namespace, network and user.
//!
//! Invariant: what cannot be seen, or could belong to another server, is `None`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The main class of a server that belongs to an ensemble.
const MAIN: &[u8] = b"org.apache.zookeeper.server.quorum.QuorumPeerMain";
/// Of a connection, in `/proc/net/tcp`.
const ESTABLISHED: &str = "01";
/// A socket that accepts connections.
const LISTENS: &str = "0A";

/// What a process has done since it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it started, in the kernel's ticks since the machine started.
    pub began: u64,
    /// Its processor time, in hundredths of a second.
    pub worked: u64,
    /// Bytes that it has read, from files and from connections.
    pub read: u64,
}

/// The server that was started with this `zoo.cfg`, if there is only one.
pub fn server(proc: &Path, zoo_cfg: &str) -> Option<Process> {
    let own = fs::read_link(proc.join("self/ns/net")).ok()?;
    let mut found = None;
    for entry in fs::read_dir(proc).ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // In the node's process namespace (`hostPID`) there are servers of other pods, with the same command line.
        let here = || fs::read_link(entry.path().join("ns/net")).is_ok_and(|network| network == own);
        if fs::read(entry.path().join("cmdline")).is_ok_and(|line| starts(&line, zoo_cfg)) && here() {
            if found.is_some() {
                return None;
            }
            found = Some((pid, entry.path()));
        }
    }
    let (pid, folder): (u32, PathBuf) = found?;
    let (began, worked) = times(&fs::read_to_string(folder.join("stat")).ok()?)?;
    Some(Process { pid, began, worked, read: read(&fs::read_to_string(folder.join("io")).ok()?)? })
}

fn starts(command_line: &[u8], zoo_cfg: &str) -> bool {
    let mut words = command_line.split(|byte| *byte == 0);
    words.any(|word| word == MAIN) && words.any(|word| word == zoo_cfg.as_bytes())
}

/// Start and processor time from a line of `stat`. The command's name in it may contain anything.
fn times(stat: &str) -> Option<(u64, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((number(19)?, number(11)?.checked_add(number(12)?)?))
}

fn read(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("rchar:"))?.trim().parse().ok()
}

/// One line of `/proc/net/tcp`.
struct Socket<'a> {
    local: &'a str,
    remote: &'a str,
    state: &'a str,
    inode: &'a str,
}

/// The tables of this pod's sockets. A machine without IPv6 has no second one.
fn tables(proc: &Path) -> Option<Vec<String>> {
    let [four, six] = ["self/net/tcp", "self/net/tcp6"].map(|name| fs::read_to_string(proc.join(name)).ok());
    Some([Some(four?), six].into_iter().flatten().collect())
}

fn sockets(table: &str) -> impl Iterator<Item = Socket<'_>> {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Socket { local, remote, state, inode: fields.nth(5).unwrap_or_default() })
    })
}

fn at(address: &str, port: u16) -> bool {
    address.rsplit(':').next() == Some(&format!("{port:04X}"))
}

/// Whether there is a connection from or to this port: from a follower to its leader, or from a leader's followers.
pub fn linked(proc: &Path, port: u16) -> Option<bool> {
    let connected =
        |socket: Socket<'_>| socket.state == ESTABLISHED && (at(socket.local, port) || at(socket.remote, port));
    Some(tables(proc)?.iter().flat_map(|table| sockets(table)).any(connected))
}

/// Whether this process listens on a port of the pod; `None` if nobody does, or if that cannot be seen.
pub fn listens(proc: &Path, pid: u32, port: u16) -> Option<bool> {
    let tables = tables(proc)?;
    let listening = tables.iter().flat_map(|table| sockets(table));
    let listening = listening.filter(|socket| socket.state == LISTENS && at(socket.local, port));
    let listening: BTreeSet<String> = listening.map(|socket| format!("socket:[{}]", socket.inode)).collect();
    if listening.is_empty() {
        return None;
    }
    let held = fs::read_dir(proc.join(pid.to_string()).join("fd")).ok()?.flatten();
    let mut held = held.filter_map(|file| fs::read_link(file.path()).ok()?.into_os_string().into_string().ok());
    Some(held.any(|held| listening.contains(&held)))
}

/// Bytes that came in from outside the pod. A JVM before 13 receives in a way that the kernel does not count as
/// reading.
pub fn received(proc: &Path) -> Option<u64> {
    let table = fs::read_to_string(proc.join("self/net/dev")).ok()?;
    let lines = table.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| name.trim() != "lo");
    lines.map(|(_, fields)| fields.split_whitespace().next()?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const STAT: &str = "42 (java) (x) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 30 0 987654 1 2 3";

    #[test]
    fn numbers_are_found_behind_whatever_the_command_is_called() {
        assert_eq!(times(STAT), Some((987_654, 200)));
        assert_eq!(times("42 (java) S 1"), None);
        assert_eq!(read("rchar: 5\nwchar: 6\n"), Some(5));
        assert_eq!(read("wchar: 6\n"), None);
    }

    fn put(proc: &TempDir, path: &str, text: &str) {
        let path = proc.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn process(proc: &TempDir, pid: u32, zoo_cfg: &str, network: &str) {
        put(proc, &format!("{pid}/cmdline"), &format!("java\0-Xmx1g\0{}\0{zoo_cfg}\0", str::from_utf8(MAIN).unwrap()));
        put(proc, &format!("{pid}/stat"), STAT);
        put(proc, &format!("{pid}/io"), "rchar: 7\n");
        fs::create_dir_all(proc.path().join(format!("{pid}/ns"))).unwrap();
        std::os::unix::fs::symlink(network, proc.path().join(format!("{pid}/ns/net"))).unwrap();
    }

    #[test]
    fn a_server_is_known_by_its_configuration_and_its_network() {
        let proc = TempDir::new().unwrap();
        let found = || server(proc.path(), "/data/conf/zoo.cfg");
        assert_eq!(found(), None);
        fs::create_dir_all(proc.path().join("self/ns")).unwrap();
        std::os::unix::fs::symlink("net:[1]", proc.path().join("self/ns/net")).unwrap();
        put(&proc, "41/cmdline", "bash\0");
        process(&proc, 42, "/data/conf/zoo.cfg", "net:[1]");
        process(&proc, 43, "/data/conf/zoo.cfg", "net:[2]");
        process(&proc, 44, "/other/zoo.cfg", "net:[1]");
        assert_eq!(found(), Some(Process { pid: 42, began: 987_654, worked: 200, read: 7 }));
        process(&proc, 45, "/data/conf/zoo.cfg", "net:[1]");
        assert_eq!(found(), None, "which one is meant?");
    }

    #[test]
    fn a_link_is_an_established_connection_from_or_to_the_quorum_port() {
        let proc = TempDir::new().unwrap();
        assert_eq!(linked(proc.path(), 2888), None);
        let line = |local: &str, remote: &str, state: &str| {
            format!("  sl  local remote st\n   0: 0100007F:{local} 0200007F:{remote} {state} 00000000:00000000 00:0\n")
        };
        for (local, remote, state, want) in [
            ("C350", "0B48", "01", true),
            ("0B48", "C350", "01", true),
            ("C350", "0B48", "02", false),
            ("0B48", "0000", "0A", false),
            ("C350", "0F30", "01", false),
        ] {
            put(&proc, "self/net/tcp", &line(local, remote, state));
            assert_eq!(linked(proc.path(), 2888), Some(want), "{local} {remote} {state}");
        }
        put(&proc, "self/net/tcp6", &line("C350", "0B48", "01"));
        assert_eq!(linked(proc.path(), 2888), Some(true));
    }

    #[test]
    fn who_listens_on_a_port_is_known_by_the_socket_that_it_holds() {
        let proc = TempDir::new().unwrap();
        let listens = || listens(proc.path(), 42, 8080);
        assert_eq!(listens(), None);
        let line = |port: &str, state: &str, inode: u32| {
            format!(
                "   0: 0100007F:{port} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1\n"
            )
        };
        put(&proc, "self/net/tcp", &format!("  sl\n{}{}", line("1F90", "01", 5), line("1F91", "0A", 6)));
        put(&proc, "self/net/tcp6", &format!("  sl\n{}", line("1F90", "0A", 7)));
        assert_eq!(listens(), None, "what it holds cannot be seen");
        fs::create_dir_all(proc.path().join("42/fd")).unwrap();
        let hold = |file: &str, inode: u32| {
            std::os::unix::fs::symlink(format!("socket:[{inode}]"), proc.path().join(format!("42/fd/{file}"))).unwrap();
        };
        hold("3", 5);
        hold("4", 6);
        assert_eq!(listens(), Some(false), "another process listens");
        hold("5", 7);
        assert_eq!(listens(), Some(true));
        put(&proc, "self/net/tcp6", "  sl\n");
        assert_eq!(listens(), None, "nobody listens");
    }

    #[test]
    fn what_comes_in_over_loopback_does_not_count() {
        let proc = TempDir::new().unwrap();
        put(&proc, "self/net/dev", "Inter-| x\n face | x\n    lo: 100 1\n  eth0: 20 1\n  eth1:3 1\n");
        assert_eq!(received(proc.path()), Some(23));
    }
}
