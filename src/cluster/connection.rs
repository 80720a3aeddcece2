//! Which cluster is asked, and as whom.

use std::env;
use std::time::Duration;

use clap::Args;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use tokio::runtime;

use super::paste::word;
use crate::cli::CommandError;
use crate::model::names::is_name;

/// A kubeconfig may name a program that logs its user in, and that may take a person's while.
const LOGIN: Duration = Duration::from_mins(2);
const CONNECT: Duration = Duration::from_secs(10);

/// Which cluster and namespace.
#[derive(Args, Debug)]
pub(super) struct ClusterOptions {
    /// The namespace; without it, that of the kubeconfig's context
    #[arg(short, long, value_name = "NAMESPACE", value_parser = name)]
    namespace: Option<String>,
    /// The context of the kubeconfig; without it, the current one. KUBECONFIG names another file than ~/.kube/config
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
}

/// Parses the name of an object. It becomes a part of the address that is asked.
pub(super) fn name(text: &str) -> Result<String, String> {
    let known = is_name(text);
    known.then(|| text.to_owned()).ok_or_else(|| {
        "a name has small letters, digits, '-' and '.', and begins and ends with none of the last two".to_owned()
    })
}

/// A namespace of a cluster.
pub(super) struct Cluster {
    pub(super) client: Client,
    pub(super) namespace: String,
    /// Where the API server is.
    pub(super) address: String,
    context: Option<String>,
}

impl Cluster {
    /// With what another command finds the same namespace.
    pub(super) fn arguments(&self) -> String {
        let context = self.context.as_ref().map(|context| format!(" --context {}", word(context))).unwrap_or_default();
        format!("--namespace {}{context}", word(&self.namespace))
    }
}

/// Runs what a command has to wait for.
pub(super) fn run<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(CommandError::Output)?;
    let done = runtime.block_on(work);
    // It waits for no login that hangs.
    runtime.shutdown_background();
    done
}

/// Whether `KUBECONFIG` names a file, or there may be the one that it is by default.
fn has_kubeconfig() -> bool {
    let named = env::var_os("KUBECONFIG").is_some_and(|files| !files.is_empty());
    let by_default = || env::home_dir().map(|home| home.join(".kube").join("config"));
    named || by_default().is_some_and(|file| file.try_exists().unwrap_or(true))
}

/// Reads the kubeconfig, and logs in as it says. Asks the API server nothing yet.
pub(super) async fn connect(options: &ClusterOptions) -> Result<Cluster, CommandError> {
    // Only the first counts, and all are the same.
    let _there_already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let unread = |error: String| {
        CommandError::Usage(format!(
            "no cluster: {error}. Is there a ~/.kube/config, or does KUBECONFIG name one? kubectl config get-contexts shows what is in it"
        ))
    };
    // Whoever has a kubeconfig means its cluster, also where it cannot be read: a pod's own account may see another one.
    let mut config = if options.context.is_some() || has_kubeconfig() {
        let asked = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
        Config::from_kubeconfig(&asked).await.map_err(|error| unread(error.to_string()))?
    } else {
        Config::incluster().map_err(|error| unread(error.to_string()))?
    };
    config.connect_timeout = Some(CONNECT);
    let (address, default) = (config.cluster_url.to_string(), config.default_namespace.clone());
    let login = tokio::task::spawn_blocking(move || Client::try_from(config));
    let client = match tokio::time::timeout(LOGIN, login).await {
        Ok(Ok(client)) => client.map_err(|error| unread(error.to_string()))?,
        Ok(Err(error)) => return Err(unread(error.to_string())),
        Err(_) => return Err(unread(format!("the kubeconfig's login has not ended within {} s", LOGIN.as_secs()))),
    };
    let namespace = options.namespace.clone().unwrap_or(default);
    Ok(Cluster { client, namespace, address, context: options.context.clone() })
}
