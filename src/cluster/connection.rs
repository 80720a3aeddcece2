//! Which cluster is asked, and as whom.

use std::time::Duration;

use clap::Args;
use kube::{Client, Error};
use tokio::runtime;

use super::login::Session;
use super::paste::word;
use crate::cli::CommandError;
use crate::kubeconfig;
use crate::model::names::is_name;
use crate::operator::kit::timeout::ApiError;

const CONNECT: Duration = Duration::from_secs(10);

/// Which cluster and namespace.
#[derive(Args, Debug)]
pub(super) struct ClusterOptions {
    /// The namespace; without it, that of the kubeconfig's context
    #[arg(short, long, value_name = "NAMESPACE", value_parser = name)]
    namespace: Option<String>,
    /// The context of the kubeconfig; without it, the current one. KUBECONFIG names other files than ~/.kube/config, with ':' between them
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
    session: Session,
    pub(super) namespace: String,
    /// Where the API server is, and by which proxy it is reached.
    pub(super) address: String,
    context: Option<String>,
}

/// What was tried where a login failed.
pub(super) const LOG_IN: &str = "log in";

impl Cluster {
    /// Asks as whoever is logged in. A login that has expired is renewed first.
    pub(super) async fn client(&self) -> Result<Client, ApiError> {
        self.session.client().await.map_err(|error| ApiError::of(LOG_IN, Error::Service(error.into())))
    }

    /// The API server has refused who asks. Whether it was logged in again, so that another try may help.
    pub(super) async fn logs_in_again(&self) -> Result<bool, ApiError> {
        self.session.again().await.map_err(|error| ApiError::of(LOG_IN, Error::Service(error.into())))
    }

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

/// Reads the kubeconfig, and logs in as it says. Asks the API server nothing yet.
pub(super) async fn connect(options: &ClusterOptions) -> Result<Cluster, CommandError> {
    // Only the first counts, and all are the same.
    let _there_already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let unread = |error: String| {
        CommandError::Usage(format!(
            "no cluster: {error}. Is there a ~/.kube/config, or does KUBECONFIG name one? kubectl config get-contexts shows what is in it"
        ))
    };
    let mut config = kubeconfig::config(options.context.as_deref()).map_err(unread)?;
    config.connect_timeout = Some(CONNECT);
    let (server, default) = (&config.cluster_url, config.default_namespace.clone());
    let address = match &config.proxy_url {
        Some(proxy) => format!("{server}, reached by the proxy {}", kubeconfig::described(proxy)),
        None => server.to_string(),
    };
    let session = Session::begin(config).await;
    let session = session.map_err(|error| CommandError::Usage(format!("cannot log in: {error}")))?;
    let namespace = options.namespace.clone().unwrap_or(default);
    Ok(Cluster { session, namespace, address, context: options.context.clone() })
}
