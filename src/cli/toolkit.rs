//! Formats transactions like ZooKeeper's own `TxnLogToolkit`, for scripts that parse its output.

use crate::view::escape::push_0x;
use crate::view::time::Clock;
use crate::view::txn::push_number;
use zookeeper_files::jute::Text;
use zookeeper_files::log::{Acls, Create, Lifetime, Record, Txn};

/// Appends a transaction exactly as `TxnLogToolkit` prints it with `TZ=UTC` in English, even with a line break after
/// each ACL.
pub(crate) fn push_toolkit(record: &Record<'_>, clock: &mut Clock, to: &mut Vec<u8>) {
    let header = &record.header;
    clock.push_second(header.time, to);
    to.extend_from_slice(b" session ");
    push_0x(header.session.0.cast_unsigned(), to);
    to.extend_from_slice(b" cxid ");
    push_0x(i64::from(header.cxid).cast_unsigned(), to);
    to.extend_from_slice(b" zxid ");
    push_0x(header.zxid.0, to);
    to.push(b' ');
    to.extend_from_slice(record.txn.txn_type().name().as_bytes());
    to.push(b' ');
    push_txn(&record.txn, to);
    if to.last() != Some(&b'\n') {
        to.push(b'\n');
    }
}

fn push_txn(txn: &Txn<'_>, to: &mut Vec<u8>) {
    match *txn {
        Txn::Create(Create { path, data, acl, lifetime, parent_cversion, .. }) => {
            push_java(path.0, to);
            to.push(b',');
            push_java(data.unwrap_or_default(), to);
            to.push(b',');
            push_list(acl, to);
            if let Lifetime::Persistent | Lifetime::Ephemeral = lifetime {
                to.extend_from_slice(if lifetime == Lifetime::Ephemeral { b",true" } else { b",false" });
            }
            to.push(b',');
            push_number(parent_cversion.unwrap_or(-1).into(), to);
            if let Lifetime::Ttl(millis) = lifetime {
                to.push(b',');
                push_number(millis, to);
            }
        }
        Txn::SetData { path, data, version, .. } => {
            push_java(path.0, to);
            to.push(b',');
            push_java(data.unwrap_or_default(), to);
            to.push(b',');
            push_number(version.into(), to);
        }
        Txn::Multi(ops) => {
            for (number, (op, bytes)) in ops.raw().enumerate() {
                if number > 0 {
                    to.push(b';');
                }
                to.extend_from_slice(op.txn_type().name().as_bytes());
                to.push(b':');
                push_java(bytes, to);
            }
        }
        Txn::CloseSession { paths: None } => {}
        Txn::CloseSession { paths: Some(paths) } => {
            to.extend_from_slice(b"v{");
            for (number, path) in paths.iter().enumerate() {
                if number > 0 {
                    to.push(b',');
                }
                push_csv(path, to);
            }
            to.extend_from_slice(b"}\n");
        }
        Txn::Delete { path, .. } => {
            push_csv(path, to);
            to.push(b'\n');
        }
        Txn::SetAcl { path, acl, version } => {
            push_csv(path, to);
            to.extend_from_slice(b",v{");
            for (number, acl) in acl.iter().enumerate() {
                to.extend_from_slice(if number > 0 { b",s{" } else { b"s{" });
                push_acl(acl, to);
                to.push(b'}');
            }
            to.extend_from_slice(b"},");
            push_number(version.into(), to);
            to.push(b'\n');
        }
        Txn::Check { path, version } => {
            push_csv(path, to);
            to.push(b',');
            push_number(version.into(), to);
            to.push(b'\n');
        }
        Txn::CreateSession { timeout: number } | Txn::Error { code: number } => {
            push_number(number.into(), to);
            to.push(b'\n');
        }
    }
}

fn push_list(acls: Acls<'_>, to: &mut Vec<u8>) {
    if acls.is_null() {
        return to.extend_from_slice(b"null");
    }
    to.push(b'[');
    for (number, acl) in acls.iter().enumerate() {
        if number > 0 {
            to.extend_from_slice(b", ");
        }
        push_acl(acl, to);
        to.push(b'\n');
    }
    to.push(b']');
}

fn push_acl(acl: zookeeper_files::log::Acl<'_>, to: &mut Vec<u8>) {
    push_number(acl.perms.into(), to);
    to.extend_from_slice(b",s{");
    push_csv(acl.scheme, to);
    to.push(b',');
    push_csv(acl.id, to);
    to.push(b'}');
}

/// Appends bytes as Java decodes them: it replaces what is not UTF-8.
fn push_java(bytes: &[u8], to: &mut Vec<u8>) {
    if bytes.is_ascii() {
        to.extend_from_slice(bytes);
    } else {
        to.extend_from_slice(String::from_utf8_lossy(bytes).as_bytes());
    }
}

fn push_csv(text: Text<'_>, to: &mut Vec<u8>) {
    to.push(b'\'');
    for &byte in String::from_utf8_lossy(text.0).as_bytes() {
        match byte {
            0 | b'\n' | b'\r' | b'%' | b',' | b'}' => to.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            _ => to.push(byte),
        }
    }
}
