//! Objects of a kind in a list, and deleted by their names.

use std::io;

use clap::Args;
use kube::core::DynamicObject;

use super::connection::{Cluster, ClusterOptions, connect, name};
use super::objects::Kind;
use super::table::columns;
use super::teller::{say, say_aside};
use crate::cli::{CommandError, Exit, Output, Printer, print_message};

/// Which ones are listed.
#[derive(Args, Debug)]
pub(super) struct ListOptions {
    /// Only those of this ensemble
    #[arg(value_name = "ENSEMBLE", value_parser = name)]
    ensemble: Option<String>,
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Which ones are deleted.
#[derive(Args, Debug)]
pub(super) struct DeleteOptions {
    /// Their names
    #[arg(required = true, value_name = "NAME", value_parser = name)]
    names: Vec<String>,
    #[command(flatten)]
    cluster: ClusterOptions,
}

/// A kind that is listed, in so many columns.
pub(super) trait Listed<const N: usize>: Kind {
    /// The heads of the columns.
    const HEADS: [&'static str; N];

    /// One of them in columns.
    fn row(object: &DynamicObject) -> [String; N];

    /// One of them as a line of JSON.
    fn json(object: &DynamicObject, to: &mut Printer) -> io::Result<()>;

    /// What deleting it leaves, behind what became of it.
    fn what_stays(object: &DynamicObject) -> String;
}

/// Lists those of a namespace, the oldest first.
pub(super) async fn list<K: Listed<N>, const N: usize>(options: &ListOptions) -> Result<Exit, CommandError> {
    let ListOptions { ensemble, cluster, output } = options;
    let cluster = connect(cluster).await?;
    let (mut all, cut) = cluster.list::<K>().await?;
    let of_it = |object: &DynamicObject| ensemble.as_ref().is_none_or(|name| object.data["spec"]["ensemble"] == **name);
    all.retain(of_it);
    let mut to = Printer::new();
    match output {
        Output::Json => all.iter().try_for_each(|object| K::json(object, &mut to))?,
        Output::Human if all.is_empty() => {
            let of_it = ensemble.as_ref().map(|name| format!(" of ensemble {name}")).unwrap_or_default();
            say_aside(&format!("there is no {}{of_it} in namespace {}", K::kind(&()), cluster.namespace));
        }
        Output::Human => {
            let rows: Vec<_> = all.iter().map(K::row).collect();
            to.buffer.extend_from_slice(columns(K::HEADS, &rows).as_bytes());
        }
    }
    if cut {
        print_message(
            "note",
            "there are more than these, and older ones may be among them: the list was read no further",
        );
    }
    to.flush()?;
    Ok(Exit::Sound)
}

/// Deletes them, and says of each what stays, or why it is not deleted.
pub(super) async fn delete<K: Listed<N>, const N: usize>(options: &DeleteOptions) -> Result<Exit, CommandError> {
    let DeleteOptions { names, cluster } = options;
    let cluster = connect(cluster).await?;
    let (mut done, mut left, mut written) = (Vec::new(), Vec::new(), Ok(()));
    for name in names {
        match delete_one::<K, N>(&cluster, name).await {
            Ok(what) => {
                done.push(name.as_str());
                // Whoever reads no further has asked for the others to be deleted all the same.
                written = written.and_then(|()| say(&format!("{name} {what}")));
            }
            Err(error) if names.len() == 1 => return Err(error),
            Err(error) => {
                left.push(name.as_str());
                print_message("error", &error.to_string());
            }
        }
    }
    let (done, of) = (done.join(", "), names.len());
    written.map_err(|error| CommandError::Usage(format!("{done}: deleted; cannot write what stays: {error}")))?;
    if left.is_empty() {
        return Ok(Exit::Sound);
    }
    Err(CommandError::Usage(format!("{} of {of} are not deleted: {}", left.len(), left.join(", "))))
}

async fn delete_one<K: Listed<N>, const N: usize>(cluster: &Cluster, name: &str) -> Result<String, CommandError> {
    let object = cluster.read::<K>(name).await?;
    let held = cluster.delete::<K>(&object).await?;
    let stays = K::what_stays(&object);
    Ok(match held.and_then(|object| object.metadata.finalizers) {
        Some(holders) => {
            format!("deleting (held by finalizers {}: it goes when they are taken away){stays}", holders.join(", "))
        }
        None => format!("deleted{stays}"),
    })
}

/// When an object was created.
pub(super) fn created(object: &DynamicObject) -> String {
    object.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string()).unwrap_or_default()
}
