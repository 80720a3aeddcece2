//! Paths of znodes, as bytes or as text.
//!
//! Clients see the root as `/`. On disk and here it is the empty path, so that every path begins with its parent's path.
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

/// The stored form of a path: the root's is empty.
pub fn key(path: &[u8]) -> &[u8] {
    if path == b"/" { b"" } else { path }
}

/// The client's form of a stored path.
pub fn shown(key: &[u8]) -> &[u8] {
    if key.is_empty() { b"/" } else { key }
}

/// The stored path of the parent; `None` for the root and for a text that is not a path.
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    path.iter().rposition(|&byte| byte == b'/').map(|slash| &path[..slash])
}

/// The rest of a path after `top`: empty if it is `top` itself, or a slash and more if it is below; `None` otherwise.
pub(crate) fn rest<'p>(path: &'p [u8], top: &[u8]) -> Option<&'p [u8]> {
    path.strip_prefix(top).filter(|rest| rest.first().is_none_or(|&byte| byte == b'/'))
}

/// Whether a path is `top` or below it. `top` has the stored form: see [`key`].
pub fn is_at_or_under(path: impl AsRef<[u8]>, top: impl AsRef<[u8]>) -> bool {
    rest(path.as_ref(), top.as_ref()).is_some()
}

/// The order of a tree walk: children come directly after their parent, so `/a/b` comes before `/a-b`.
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
