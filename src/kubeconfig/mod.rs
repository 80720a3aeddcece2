//! Which API server is asked, and as whom: the files of a kubeconfig, read as `kubectl` reads them.
//!
//! Invariants: no error has a line of a kubeconfig, which holds credentials; a pod's own account is never used by a proxy.

mod proxy;

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Config;
use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, KubeconfigError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};

pub(crate) use proxy::described;
use proxy::{Environment, proxy};

/// So many names are said in the place of one that there is not.
const NAMED: usize = 12;

impl Environment {
    fn read() -> Self {
        let first = |names: [&str; 2]| {
            let mut all = names.into_iter().filter_map(|name| env::var(name).ok());
            all.find(|value| !value.is_empty()).unwrap_or_default()
        };
        Self {
            https: first(["HTTPS_PROXY", "https_proxy"]),
            http: first(["HTTP_PROXY", "http_proxy"]),
            no: first(["NO_PROXY", "no_proxy"]),
        }
    }
}

/// The API server that the kubeconfig says, or the one of the pod that this runs in.
pub(crate) fn config(context: Option<&str>) -> Result<Config, String> {
    // Whoever has a kubeconfig means its cluster, also where it cannot be read: a pod's own account may see another one.
    if context.is_some() || is_there() {
        return asked_for(&files(), context, &Environment::read());
    }
    let mut config = Config::incluster().map_err(|error| error.to_string())?;
    // Its address is the cluster's own. HTTPS_PROXY of a pod is for what is outside, and not all who set it name the cluster in NO_PROXY.
    config.proxy_url = None;
    Ok(config)
}

/// Whether `KUBECONFIG` names a file, or there may be the one that it is by default.
fn is_there() -> bool {
    let named = env::var_os("KUBECONFIG").is_some_and(|files| !files.is_empty());
    named || by_default().is_some_and(|file| file.try_exists().unwrap_or(true))
}

fn by_default() -> Option<PathBuf> {
    env::home_dir().map(|home| home.join(".kube").join("config"))
}

fn files() -> Vec<PathBuf> {
    let named = env::var_os("KUBECONFIG").unwrap_or_default();
    let named: Vec<PathBuf> = env::split_paths(&named).filter(|file| !file.as_os_str().is_empty()).collect();
    if named.is_empty() { by_default().into_iter().collect() } else { named }
}

fn asked_for(files: &[PathBuf], context: Option<&str>, environment: &Environment) -> Result<Config, String> {
    let (context, cluster, mut user) = chosen(read(files)?, context)?;
    let server = cluster.server.as_deref().filter(|server| !server.is_empty());
    let server = server.ok_or_else(|| format!("the cluster {} has no server", context.cluster))?;
    let server: hyper::Uri =
        server.parse().map_err(|error| format!("the server of cluster {}: {error}", context.cluster))?;
    if let Some(exec) = user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        exec.cluster = Some((&cluster).try_into().map_err(|error: KubeconfigError| words(&error))?);
    }
    let mut config = Config::new(server);
    config.default_namespace =
        context.namespace.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned());
    config.root_cert = authority(&cluster).map_err(|why| format!("the CA of cluster {}: {why}", context.cluster))?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or_default();
    config.disable_compression = cluster.disable_compression.unwrap_or_default();
    config.tls_server_name = said(cluster.tls_server_name);
    config.proxy_url = proxy(cluster.proxy_url.as_deref(), &config.cluster_url, environment)?;
    config.auth_info = credentials(user)?;
    Ok(config)
}

/// Who asks, with what of it is said. A token is sent as it stands in its file, but for what an editor leaves at the end.
fn credentials(mut user: AuthInfo) -> Result<AuthInfo, String> {
    for text in [&mut user.username, &mut user.token_file, &mut user.client_certificate, &mut user.client_key] {
        *text = said(text.take());
    }
    user.client_certificate_data = said(user.client_certificate_data.take());
    let secret = |text: Option<SecretString>| text.filter(|text| !text.expose_secret().is_empty());
    user.password = secret(user.password.take());
    user.client_key_data = secret(user.client_key_data.take());
    // As for kubectl, the file's counts.
    if let Some(file) = &user.token_file {
        let text = fs::read_to_string(file).map_err(|error| format!("tokenFile {file}: {error}"))?;
        user.token = None;
        if text.trim() != text {
            (user.token, user.token_file) = (Some(text.trim().to_owned().into()), None);
        }
    }
    user.token = secret(user.token.take());
    if user.token.as_ref().is_some_and(|token| token.expose_secret().chars().any(char::is_control)) {
        return Err("the token has a line break or another control character in it".to_owned());
    }
    Ok(user)
}

/// All files as one: of two with the same name, the first file's counts. As for `kubectl`, a file that is not there is none.
fn read(files: &[PathBuf]) -> Result<Kubeconfig, String> {
    let mut all: Option<Kubeconfig> = None;
    for file in files {
        let wrong = |error: KubeconfigError| format!("{}: {}", file.display(), words(&error));
        let mut one = match Kubeconfig::read_from(file) {
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == ErrorKind::NotFound => continue,
            read => read.map_err(wrong)?,
        };
        one.current_context = said(one.current_context);
        all = Some(match all {
            Some(before) => before.merge(one).map_err(wrong)?,
            None => one,
        });
    }
    let named = || files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
    all.ok_or_else(|| format!("there is no file {}", named()))
}

/// What is wrong, without what is written there: the parser shows the lines around it, and these may be a token's.
fn words(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        KubeconfigError::Parse(error) => match error.location() {
            Some(at) => format!("line {} is not as in a kubeconfig", at.line()),
            None => "is no kubeconfig".to_owned(),
        },
        error => error.to_string(),
    }
}

/// What is empty is not said, as for `kubectl`: templates and `kubectl config` write it.
fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn chosen(all: Kubeconfig, context: Option<&str>) -> Result<(Context, Cluster, AuthInfo), String> {
    let current = all.current_context.filter(|name| !name.is_empty());
    let name = context.map(str::to_owned).or(current).ok_or("it has no current-context: name one with --context")?;
    let mut names: Vec<&str> = all.contexts.iter().map(|named| named.name.as_str()).take(NAMED).collect();
    names.sort_unstable();
    let none = || match names.as_slice() {
        [] => format!("there is no context {name}, and no other"),
        names => format!("there is no context {name}: it has {}", names.join(", ")),
    };
    let found = all.contexts.iter().find(|named| named.name == name).and_then(|named| named.context.clone());
    let context = found.ok_or_else(none)?;
    let cluster = all.clusters.into_iter().find(|named| named.name == context.cluster);
    let cluster = cluster.and_then(|named| named.cluster);
    let cluster =
        cluster.ok_or_else(|| format!("context {name} names the cluster {}, which it has not", context.cluster))?;
    // As for kubectl, nobody in particular may be asking.
    let user = all.auth_infos.into_iter().find(|named| Some(&named.name) == context.user.as_ref());
    Ok((context, cluster, user.and_then(|named| named.auth_info).unwrap_or_default()))
}

/// The certificates by which the API server's is known.
fn authority(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, String> {
    let pem = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
        (Some(data), _) if !data.is_empty() => {
            let data: String = data.split_ascii_whitespace().collect();
            STANDARD.decode(data).map_err(|_| "certificate-authority-data is no base64".to_owned())?
        }
        (_, Some(file)) if !file.is_empty() => fs::read(file).map_err(|error| format!("{file}: {error}"))?,
        _ => return Ok(None),
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(Some(found.iter().map(|one| one.to_vec()).collect())),
        _ => Err("it has no certificate as PEM".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(https: &str, no: &str) -> Environment {
        Environment { https: https.to_owned(), no: no.to_owned(), ..Environment::default() }
    }

    fn written(folder: &tempfile::TempDir, name: &str, content: &str) -> PathBuf {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        file
    }

    fn kubeconfig(server: &str) -> String {
        json!({
            "current-context": "a",
            "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u", "namespace": "prod"}}],
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
        })
        .to_string()
    }

    #[test]
    fn a_file_that_is_not_there_is_passed_over_and_all_of_them_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("none");
        let first = written(&folder, "first", &kubeconfig("https://one"));
        let second = written(&folder, "second", &kubeconfig("https://two"));
        let read = |files: &[&PathBuf]| {
            let files: Vec<PathBuf> = files.iter().map(|file| (*file).clone()).collect();
            asked_for(&files, None, &Environment::default())
        };
        let config = read(&[&none, &second, &first]).unwrap();
        assert_eq!(
            (config.cluster_url.to_string().as_str(), config.default_namespace.as_str()),
            ("https://two/", "prod")
        );
        assert_eq!(read(&[&none]).unwrap_err(), format!("there is no file {}", none.display()));
    }

    #[test]
    fn an_error_names_the_file_and_has_nothing_of_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let good = written(&folder, "good", &kubeconfig("https://one"));
        let bad = written(&folder, "bad", "users:\n- name: u\n  user: {token: hunter2, exec: [hunter3]}\n");
        let told = asked_for(&[good, bad.clone()], None, &Environment::default()).unwrap_err();
        assert!(told.starts_with(&format!("{}: line ", bad.display())) && !told.contains("hunter"), "{told}");
        let directory = asked_for(&[folder.path().to_owned()], None, &Environment::default()).unwrap_err();
        assert!(directory.starts_with(&folder.path().display().to_string()), "{directory}");
    }

    #[test]
    fn a_context_that_is_not_there_is_said_with_those_that_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = [written(&folder, "config", &kubeconfig("https://one"))];
        let told = asked_for(&file, Some("b"), &Environment::default()).unwrap_err();
        assert_eq!(told, "there is no context b: it has a");
    }

    #[test]
    fn the_environments_proxy_counts_for_a_cluster_and_not_where_no_proxy_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = [written(&folder, "config", &kubeconfig("https://api.example.org:6443"))];
        let by = |https: &str, no: &str| {
            let config = asked_for(&file, None, &environment(https, no)).unwrap();
            config.proxy_url.as_ref().map(described)
        };
        assert_eq!(by("http://p:3128", "other.org").as_deref(), Some("http://p:3128"));
        assert_eq!(by("http://p:3128", "a, ,.example.org,"), None, "kube's own parser refuses an empty entry");
    }

    fn user(json: serde_json::Value) -> Result<AuthInfo, String> {
        credentials(serde_json::from_value(json).unwrap())
    }

    /// Templates and `kubectl config` write empty fields, and editors a line break.
    #[test]
    fn what_is_empty_is_not_said_and_a_token_is_sent_without_the_line_break_behind_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "of the file\n").unwrap();
        let read = user(json!({"token": "old", "tokenFile": file.path()})).unwrap();
        assert_eq!((read.token.unwrap().expose_secret(), read.token_file), ("of the file", None));
        let read = user(json!({
            "token": "", "tokenFile": "", "username": "", "password": "", "client-certificate-data": "", "client-key-data": ""
        }))
        .unwrap();
        assert!(read.token.is_none() && read.token_file.is_none() && read.username.is_none());
        assert!(read.password.is_none() && read.client_certificate_data.is_none() && read.client_key_data.is_none());
        for broken in ["a\nb", "a\r"] {
            let error = user(json!({"token": broken})).unwrap_err();
            assert!(error.contains("control character") && !error.contains(broken), "{error}");
        }
    }

    #[test]
    fn an_empty_current_context_in_the_first_file_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let files =
            [written(&folder, "a", "current-context: \"\"\n"), written(&folder, "b", "current-context: there\n")];
        assert_eq!(super::read(&files).unwrap().current_context.as_deref(), Some("there"));
    }
}
