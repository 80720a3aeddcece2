//! The hash of a plan, by which it is approved. Pure.

use crate::restore::hash::{Digest, Sum};
use crate::restore::operation::{Operation, sum_acl, sum_limits};
use crate::restore::options::{Access, Existing, Lineage, Options};
use crate::restore::undo::Left;
use crate::restore::wanted::{Wanted, WantedZnode};

/// The hash of what is wanted, what will be done, and why. What is only told is not in it: a counter goes on while others write.
pub fn hash(wanted: &Wanted, options: &Options, operations: &[Operation]) -> Digest {
    let mut sum = Sum::default();
    sum.text("menagerie restore plan 4").zxid(wanted.zxid);
    for top in [wanted.scope.sources(), &wanted.scope.targets()] {
        sum.count(top.len());
        for top in top {
            sum.text(&top.path).number(top.subtree.into());
        }
    }
    let (kind, than) = match options.existing {
        Existing::Keep => ("keep", 0),
        Existing::KeepNewer { than } => ("keep newer", than.0),
        Existing::Overwrite => ("overwrite", 0),
        Existing::Undo { of } => ("undo", of.0),
    };
    sum.text(kind).number(than.cast_signed()).number(options.delete_extra.into());
    sum.text(match options.lineage {
        Lineage::Same => "same",
        Lineage::Other => "other",
        Lineage::Unknown => "unknown",
    });
    sum.text(match options.access {
        Access::Super => "super",
        Access::Anyone => "anyone",
    });
    if options.raise_counters {
        sum.text("raise counters");
    }
    // Without, they are only told.
    if options.quotas {
        sum.text("quotas").count(wanted.quotas.len());
        for (of, limits) in &wanted.quotas {
            sum_limits(limits.as_ref(), sum.text(of));
        }
    }
    sum.count(wanted.znodes.len());
    for (path, WantedZnode { kind, data, acl, czxid, ctime, counter }) in &wanted.znodes {
        sum.text(path).digest(Digest::of(data)).zxid(*czxid).number(*ctime).number(*counter);
        kind.sum(&mut sum);
        sum.number(acl.is_some().into());
        if let Some(acl) = acl {
            sum_acl(acl, &mut sum);
        }
    }
    if !wanted.left.is_empty() {
        sum.count(wanted.left.len());
    }
    for (path, left) in &wanted.left {
        sum.text(path);
        match left {
            Left::Gone => _ = sum.text("gone"),
            Left::There(znode) => znode.sum(sum.text("there")),
        }
    }
    sum.count(operations.len());
    for operation in operations {
        operation.sum(&mut sum);
    }
    sum.finish()
}
