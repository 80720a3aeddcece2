//! The server's Java heap: what the spec asks for, what follows from the memory limit, and what the flags say.
//!
//! Invariant: a heap that takes the whole memory limit is refused, whichever field asks for it.

use super::invalid::Invalid;
use super::quantity;

const MIB: u64 = 1 << 20;
const DEFAULT_MIB: u64 = 512;
/// The least heap that the schema lets anybody ask for.
const LEAST_MIB: u64 = 32;
/// What a server needs beside its heap, as measured under load.
pub const BESIDE_HEAP_MIB: u64 = 128;

/// Flags that set the largest heap; the JVM uses the last one. The launcher turns `-mx` into `-Xmx`.
const LARGEST: [&str; 3] = ["-Xmx", "-mx", "-XX:MaxHeapSize="];
/// Flags that say with how much of it the JVM begins.
const INITIAL: [&str; 3] = ["-Xms", "-ms", "-XX:InitialHeapSize="];

/// The heap of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    /// What the operator passes as `-Xmx` and `-Xms`, in MiB; `None` if the user's flags set it.
    pub passed_mib: Option<u64>,
    /// What it comes to, in MiB.
    pub largest_mib: u64,
}

impl Heap {
    /// Reads it from `jvm.heap`, `jvm.flags` and the memory limit in bytes. Without the first two, it is the limit less
    /// a quarter, and less [`BESIDE_HEAP_MIB`] at least: `ZooKeeper` keeps its tree on the heap, and needs the rest for
    /// threads, direct buffers and the JVM itself.
    pub fn of(heap: Option<&str>, flags: &[String], limit: Option<u64>) -> Result<Self, Invalid> {
        let in_flags = |reason| Invalid { field: "jvm.flags", reason };
        if let Some(flag) = flags.iter().find(|flag| flag.contains("RAMPercentage")) {
            let name = flag.split('=').next().unwrap_or_default();
            return Err(in_flags(format!(
                "{name} is without effect: zkServer.sh always sets -Xmx, which wins; use jvm.heap"
            )));
        }
        let largest = last(flags, &LARGEST).map_err(in_flags)?;
        let initial = last(flags, &INITIAL).map_err(in_flags)?;
        let (asked, field) = match (heap, largest) {
            (Some(_), _) if largest.or(initial).is_some() => {
                return Err(in_flags(
                    "jvm.heap and a flag that sets the heap contradict each other: set one of them".to_owned(),
                ));
            }
            (Some(text), _) => {
                let invalid =
                    || Invalid { field: "jvm.heap", reason: format!("{text:?} is not a quantity of at least 1Mi") };
                (quantity::bytes(text).filter(|bytes| *bytes >= MIB).ok_or_else(invalid)?, "jvm.heap")
            }
            (None, Some(bytes)) => (bytes, "jvm.flags"),
            (None, None) => (left_of(limit) * MIB, "resources"),
        };
        if let Some(limit) = limit.filter(|limit| asked >= *limit) {
            let (asked, limit) = (asked / MIB, limit / MIB);
            let reason = format!(
                "a heap of {asked} MiB is not smaller than resources.limits.memory, which is {limit} MiB: the JVM needs memory besides its heap"
            );
            return Err(Invalid { field, reason });
        }
        if let Some(initial) = initial.filter(|initial| *initial > asked) {
            return Err(in_flags(format!(
                "the JVM would not start: its initial heap is {} MiB, and its largest heap {}",
                initial / MIB,
                asked / MIB
            )));
        }
        let largest_mib = asked / MIB;
        Ok(Self { passed_mib: largest.is_none().then_some(largest_mib), largest_mib })
    }
}

/// What a limit leaves for the heap.
fn left_of(limit: Option<u64>) -> u64 {
    limit
        .map(|bytes| bytes / MIB)
        .map_or(DEFAULT_MIB, |limit| (limit * 3 / 4).min(limit.saturating_sub(BESIDE_HEAP_MIB)).max(LEAST_MIB))
}

/// The largest heap in the flags of a pod, in MiB, whoever wrote them.
pub fn largest_mib<'a>(flags: impl IntoIterator<Item = &'a str>) -> Option<u64> {
    let of = |flag: &str| LARGEST.iter().find_map(|name| bytes(flag.strip_prefix(name)?));
    flags.into_iter().filter_map(of).last().map(|bytes| bytes / MIB)
}

/// The size in the last of these flags, or the flag that prevents the JVM from starting.
fn last(flags: &[String], names: &[&str]) -> Result<Option<u64>, String> {
    let mut last = None;
    for flag in flags {
        let Some(size) = names.iter().find_map(|name| flag.strip_prefix(name)) else { continue };
        last = Some(bytes(size).ok_or_else(|| {
            format!("the JVM would not start with {flag:?}: a size is a number with k, m or g behind it, such as 512m")
        })?);
    }
    Ok(last)
}

/// A size as the JVM writes it.
fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor = match &text[end..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => MIB,
        "g" | "G" => 1 << 30,
        "t" | "T" => 1 << 40,
        _ => return None,
    };
    text[..end].parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(limit: &str) -> Option<u64> {
        Heap::of(None, &[], quantity::bytes(limit)).unwrap().passed_mib
    }

    #[test]
    fn the_heap_follows_the_memory_limit_unless_it_is_said() {
        let heap = |heap: Option<&str>, flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
            Heap::of(heap, &flags, Some(2 << 30)).map(|heap| (heap.passed_mib, heap.largest_mib))
        };
        assert_eq!(heap(None, &[]), Ok((Some(1536), 1536)));
        assert_eq!(heap(Some("1Gi"), &[]), Ok((Some(1024), 1024)));
        assert_eq!(heap(None, &["-Xmx700m"]), Ok((None, 700)));
        assert_eq!(heap(None, &["-Xms700m"]), Ok((Some(1536), 1536)));
        assert!(heap(Some("lots"), &[]).is_err());
    }

    #[test]
    fn case_21_a_small_memory_limit_leaves_the_server_what_it_needs_beside_its_heap() {
        for (limit, mib) in [
            ("256Mi", 128),
            ("300Mi", 172),
            ("420Mi", 292),
            ("512Mi", 384),
            ("513Mi", 384),
            ("1Gi", 768),
            ("192Mi", 64),
            ("128Mi", 32),
            ("64Mi", 32),
        ] {
            assert_eq!(passed(limit), Some(mib), "{limit}");
        }
    }

    #[test]
    fn sizes_are_read_as_the_jvm_reads_them() {
        for (text, want) in [
            ("512m", Some(512 << 20)),
            ("1G", Some(1 << 30)),
            ("64k", Some(64 << 10)),
            ("7", Some(7)),
            ("2T", Some(2 << 40)),
        ] {
            assert_eq!(bytes(text), want, "{text}");
        }
        for text in ["", "m", "1Gi", "1.5g", "-1", "99999999999999999999g", "18446744073709551615t"] {
            assert_eq!(bytes(text), None, "{text}");
        }
        assert_eq!(largest_mib("-Xrs -Xmx192m -Xms192m -mx64m".split_whitespace()), Some(64));
        assert_eq!(largest_mib(["-Xrs"]), None);
    }
}
