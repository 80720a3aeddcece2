//! What the API server refuses, with what can be done about it.

use std::error::Error;

use kube::Resource as _;
use kube::client::AuthError;
use kube::core::Status;

use super::connection::Cluster;
use super::login::LoginError;
use super::objects::Kind;
use crate::api::ZooKeeperRestore;
use crate::cli::CommandError;
use crate::operator::kit::timeout::ApiError;

/// What went wrong, and what to do about it.
pub(super) fn told<K: Kind>(cluster: &Cluster, error: &ApiError) -> CommandError {
    if let Some(login) = login(error) {
        return CommandError::Usage(format!("cannot log in: {login}"));
    }
    let text = cause(error);
    let hint = match error {
        ApiError::Refused { status, .. } => of_answer::<K>(status),
        ApiError::Timeout { .. } => {
            ". A write may have been carried out all the same: look before you try again".to_owned()
        }
        ApiError::Kube { .. } => {
            format!(
                ". Is the API server up at {}, and is that the one that you mean (KUBECONFIG, --context)?",
                cluster.address
            )
        }
    };
    let words = if hint.is_empty() { text.as_str() } else { text.trim_end_matches('.') };
    CommandError::Usage(format!("{words}{hint}"))
}

/// An error with what is behind it, in a line. Of a login nothing is said that may be a secret.
pub(super) fn cause(error: &(dyn Error + 'static)) -> String {
    if let Some(login) = login(error) {
        return login;
    }
    let mut text = error.to_string();
    for inner in behind(error).skip(1) {
        let words = inner.to_string();
        // Some say what is inside of them, and some do not.
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
    }
    text
}

fn behind<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Why nobody is logged in, if that is what is wrong. kube says with which arguments a program was started, and what it printed.
fn login(error: &(dyn Error + 'static)) -> Option<String> {
    behind(error).find_map(|error| {
        if let Some(error) = error.downcast_ref::<LoginError>() {
            return Some(error.to_string());
        }
        Some(match error.downcast_ref::<AuthError>()? {
            AuthError::AuthExecRun { out, .. } => format!("the kubeconfig's login has failed ({})", out.status),
            AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_) => {
                "the kubeconfig's login has printed what cannot be read".to_owned()
            }
            error => error.to_string(),
        })
    })
}

/// Whether there is no object of that name, in a cluster that has its kind.
pub(super) fn is_missing(error: &ApiError) -> bool {
    let ApiError::Refused { status, .. } = error else { return false };
    status.code == 404 && status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}

fn of_answer<K: Kind>(status: &Status) -> String {
    let details = status.details.as_ref();
    let kind = K::kind(&());
    match status.code {
        401 => ". It does not take your credentials: log in again, or name another --context".to_owned(),
        403 if status.message.contains(" cannot get ") || status.message.contains(" cannot list ") => {
            ". Who may view the namespace may read it: kubectl auth can-i --list shows what you may do".to_owned()
        }
        403 if status.message.contains(" cannot ") && K::kind(&()) == ZooKeeperRestore::kind(&()) => {
            ". A restore changes every znode that it names: that is for who is admin of the namespace, or is bound to the ClusterRole menagerie-restore".to_owned()
        }
        403 if status.message.contains(" cannot ") => ". Who may edit the namespace may do that".to_owned(),
        404 if details.is_some_and(|details| details.kind == "namespaces") => {
            ". Name one that is there with --namespace".to_owned()
        }
        404 if details.is_none_or(|details| details.name.is_empty()) => format!(
            ". The cluster does not know {kind}: is it the one that you mean (--context), and is the operator installed there (menagerie crd | kubectl apply --server-side -f -)?"
        ),
        409 if status.reason == "AlreadyExists" => ". Take another --name, or leave it away".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{ExitStatus, Output};

    use super::*;

    #[test]
    fn of_a_login_that_kube_has_started_neither_the_arguments_nor_the_output_is_said() {
        let output =
            Output { status: ExitStatus::from_raw(3 << 8), stdout: b"hunter2".into(), stderr: b"hunter2".into() };
        let failed = AuthError::AuthExecRun { cmd: "gcloud --secret hunter2".to_owned(), out: Box::new(output) };
        let error = ApiError::of("read it", kube::Error::Auth(failed));
        assert_eq!(cause(&error), "the kubeconfig's login has failed (exit status: 3)");
        let other = ApiError::of("read it", kube::Error::Service("no route".into()));
        assert!(
            cause(&other).starts_with("failed to read it") && cause(&other).contains("no route"),
            "{}",
            cause(&other)
        );
    }
}
