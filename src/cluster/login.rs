//! The program of a kubeconfig that logs its user in, and the client with what it gave.
//!
//! - It is started once, and again only when what it gave has expired or is refused: a watch asks every second.
//! - Nothing that is said has its arguments, its environment or its output, which may be secrets. Its own words go to standard error.

use std::io::{self, ErrorKind, IsTerminal as _};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::problem::cause;

/// A program may ask its user, and that may take a person's while.
const LOGIN: Duration = Duration::from_mins(2);
/// Between two starts: one that gives what has expired already is not started with each request.
const REST: Duration = Duration::from_secs(5);

/// It could not be logged in.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct LoginError(String);

/// Who asks the API server.
pub(super) struct Session {
    /// Without the program.
    config: Config,
    program: Option<ExecConfig>,
    now: Mutex<Logged>,
}

struct Logged {
    client: Client,
    expires: Option<Timestamp>,
    at: Instant,
}

impl Session {
    /// Logs in, where that is needed.
    pub(super) async fn begin(mut config: Config) -> Result<Self, LoginError> {
        let who = &config.auth_info;
        let known = who.token.is_some() || who.token_file.is_some() || who.password.is_some();
        // What stands in the kubeconfig comes first.
        let program = if known || who.auth_provider.is_some() { None } else { config.auth_info.exec.take() };
        let now = Mutex::new(logged(&config, program.as_ref()).await?);
        Ok(Self { config, program, now })
    }

    /// With what is valid now.
    pub(super) async fn client(&self) -> Result<Client, LoginError> {
        let mut now = self.now.lock().await;
        let over = now.expires.is_some_and(|expires| expires <= Timestamp::now());
        self.renewed(&mut now, over).await
    }

    /// The API server has refused what was given. Whether another try may help.
    pub(super) async fn again(&self) -> Result<bool, LoginError> {
        self.renewed(&mut *self.now.lock().await, true).await?;
        Ok(self.program.is_some())
    }

    async fn renewed(&self, now: &mut Logged, wanted: bool) -> Result<Client, LoginError> {
        if self.program.is_some() && wanted && now.at.elapsed() >= REST {
            let begun = logged(&self.config, self.program.as_ref()).await;
            // Also where it fails, it is given a rest.
            now.at = Instant::now();
            *now = begun?;
        }
        Ok(now.client.clone())
    }
}

async fn logged(config: &Config, program: Option<&ExecConfig>) -> Result<Logged, LoginError> {
    let (mut config, mut expires) = (config.clone(), None);
    if let Some(program) = program {
        let given = run(program).await.map_err(LoginError)?;
        expires = given.expires().map_err(LoginError)?;
        let encoded = |text: String| STANDARD.encode(text);
        if given.token.as_ref().is_some_and(|token| token.chars().any(char::is_control)) {
            return Err(LoginError("the kubeconfig's login gave a token with a control character in it".to_owned()));
        }
        config.auth_info.token = given.token.map(Into::into);
        if given.client_certificate_data.is_some() {
            config.auth_info.client_certificate_data = given.client_certificate_data.map(encoded);
            config.auth_info.client_key_data = given.client_key_data.map(|key| encoded(key).into());
        }
    }
    // Providers of older kubeconfigs are kube's, which waits for them.
    let made = tokio::task::spawn_blocking(move || Client::try_from(config));
    let client = match timeout(LOGIN, made).await {
        Ok(Ok(client)) => client.map_err(|error| LoginError(cause(&error)))?,
        Ok(Err(error)) => return Err(LoginError(error.to_string())),
        Err(_) => return Err(LoginError(late("the kubeconfig's login"))),
    };
    Ok(Logged { client, expires, at: Instant::now() })
}

fn late(what: &str) -> String {
    format!("{what} has not ended within {} s", LOGIN.as_secs())
}

#[derive(Deserialize)]
struct Credential {
    status: Option<Given>,
}

/// What a program gives.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Given {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

impl Given {
    fn expires(&self) -> Result<Option<Timestamp>, String> {
        let expires = self.expiration_timestamp.as_deref().filter(|time| !time.is_empty());
        let wrong = |_| "the kubeconfig's login gave an expirationTimestamp that is no time".to_owned();
        expires.map(str::parse).transpose().map_err(wrong)
    }
}

async fn run(program: &ExecConfig) -> Result<Given, String> {
    let name = program.command.as_deref().ok_or("the kubeconfig's login (exec) has no command")?;
    let what = format!("the kubeconfig's login, {name},");
    let interactive = match program.interactive_mode {
        Some(ExecInteractiveMode::Never) => false,
        Some(ExecInteractiveMode::Always) if !io::stdin().is_terminal() => {
            return Err(format!("{what} asks its user, and standard input is no terminal"));
        }
        _ => io::stdin().is_terminal(),
    };
    let mut spec = json!({"interactive": interactive});
    if let Some(cluster) = program.cluster.as_ref().filter(|_| program.provide_cluster_info) {
        spec["cluster"] = serde_json::to_value(cluster).map_err(|error| error.to_string())?;
    }
    let asked = json!({"apiVersion": program.api_version, "kind": "ExecCredential", "spec": spec});
    let mut command = Command::new(name);
    command.args(program.args.iter().flatten());
    let variables = program.env.iter().flatten();
    command.envs(variables.filter_map(|variable| Some((variable.get("name")?, variable.get("value")?))));
    command.env("KUBERNETES_EXEC_INFO", asked.to_string());
    command.stdin(if interactive { Stdio::inherit() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let hint = program.install_hint.as_deref().map(|hint| format!(". {hint}")).unwrap_or_default();
    let started = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("{what} is not there{hint}"),
        _ => format!("{what} cannot be started: {error}"),
    })?;
    let ended = timeout(LOGIN, started.wait_with_output()).await.map_err(|_| late(what.trim_end_matches(',')))?;
    let ended = ended.map_err(|error| format!("{what} cannot be waited for: {error}"))?;
    if !ended.status.success() {
        return Err(format!("{what} has failed ({})", ended.status));
    }
    // What it printed may be a token.
    let read = serde_saphyr::from_slice::<Credential>(&ended.stdout).ok().and_then(|credential| credential.status);
    let given = read.ok_or_else(|| format!("{what} has printed no ExecCredential with a status"))?;
    let pair = given.client_certificate_data.is_some() && given.client_key_data.is_some();
    if given.token.is_none() && !pair {
        return Err(format!("{what} has given neither a token nor a certificate with its key"));
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(script: &str) -> ExecConfig {
        let arguments = ["-c".to_owned(), script.to_owned(), "hunter2".to_owned()];
        let secret = [("name", "TOKEN"), ("value", "hunter3")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        ExecConfig {
            command: Some("/bin/sh".to_owned()),
            args: Some(arguments.into()),
            env: Some(vec![secret.into()]),
            ..ExecConfig::default()
        }
    }

    fn ran(program: &ExecConfig) -> Result<Given, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(program))
    }

    #[test]
    fn what_a_login_that_fails_was_started_with_and_has_printed_is_not_said() {
        for (script, words) in [
            ("echo $TOKEN $0; exit 3", "/bin/sh, has failed (exit status: 3)"),
            ("echo $TOKEN: [", "no ExecCredential"),
            ("echo '{status: {}}' # $TOKEN", "neither a token nor a certificate"),
        ] {
            let told = ran(&program(script)).err().unwrap();
            assert!(told.contains(words) && !told.contains("hunter"), "{told}");
        }
        let none = ExecConfig { command: Some("/none/login".to_owned()), ..program("") };
        let none = ExecConfig { install_hint: Some("Install it".to_owned()), ..none };
        assert_eq!(ran(&none).err().unwrap(), "the kubeconfig's login, /none/login, is not there. Install it");
    }

    #[test]
    fn a_login_is_told_what_is_asked_for_and_may_answer_in_yaml() {
        let script =
            "printf 'status:\\n  token: %s\\n' \"$TOKEN-$(echo $KUBERNETES_EXEC_INFO | grep -c ExecCredential)\"";
        assert_eq!(ran(&program(script)).unwrap().token.as_deref(), Some("hunter3-1"));
    }
}
