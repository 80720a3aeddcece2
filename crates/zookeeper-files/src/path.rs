//! Paths of znodes, as bytes or as text: what is under what.
//!
//! To clients the root is `/`; on disk and here it is the empty path, so that every path begins with that of its parent.
//!
//! ```
//! use zookeeper_files::path::{is_at_or_under, key, parent, shown};
//!
//! assert!(is_at_or_under("/app/config", "/app") && is_at_or_under("/app", "/app"));
//! assert!(!is_at_or_under("/application", "/app"));
//! assert!(is_at_or_under("/app", key(b"/")), "the root is kept as the empty path");
//! assert_eq!(parent(b"/app/config"), Some(&b"/app"[..]));
//! assert_eq!(shown(b""), b"/");
//! ```

use std::cmp::Ordering;

/// The path under which a znode is kept: the root's is empty.
pub fn key(path: &[u8]) -> &[u8] {
    if path == b"/" { b"" } else { path }
}

/// The path as clients have it, of one as it is kept.
pub fn shown(key: &[u8]) -> &[u8] {
    if key.is_empty() { b"/" } else { key }
}

/// The parent's, as it is kept; `None` for the root and for what is no path.
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    path.iter().rposition(|&byte| byte == b'/').map(|slash| &path[..slash])
}

/// What stands behind `top` in a path at or under it: nothing at it, and a slash and more under it.
pub(crate) fn rest<'p>(path: &'p [u8], top: &[u8]) -> Option<&'p [u8]> {
    path.strip_prefix(top).filter(|rest| rest.first().is_none_or(|&byte| byte == b'/'))
}

/// Whether a path is that of `top` or of a znode below it. `top` is as it is kept: see [`key`].
pub fn is_at_or_under(path: impl AsRef<[u8]>, top: impl AsRef<[u8]>) -> bool {
    rest(path.as_ref(), top.as_ref()).is_some()
}

/// The order of a walk: `/a/b` comes before `/a-b`, as children come right after their parent.
pub(crate) fn by_walk(a: &[u8], b: &[u8]) -> Ordering {
    a.split(|&byte| byte == b'/').cmp(b.split(|&byte| byte == b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_under_those_that_end_where_a_name_does() {
        for (path, top) in [("/a/b", ""), ("/a/b", "/a"), ("/a/b", "/a/b"), ("", ""), ("/", "")] {
            assert!(is_at_or_under(path, top), "{path:?} {top:?}");
        }
        for (path, top) in [("/a", "/a/b"), ("/ab", "/a"), ("", "/a"), ("a", ""), ("/a", "/")] {
            assert!(!is_at_or_under(path, top), "{path:?} {top:?}");
        }
    }

    #[test]
    fn children_come_right_after_their_parent() {
        let mut paths = ["/a-b", "/a", "/a/b", "", "/a/b/c", "/b"].map(str::as_bytes);
        paths.sort_unstable_by(|a, b| by_walk(a, b));
        assert_eq!(paths, ["", "/a", "/a/b", "/a/b/c", "/a-b", "/b"].map(str::as_bytes));
    }
}
