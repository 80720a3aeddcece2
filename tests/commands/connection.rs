//! How the commands on a cluster reach it: by a proxy or by none, and as whom.

use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::api_server::ApiServer;
use super::proxy_server::ProxyServer;
use super::tls_server::{HOST, TlsServer};
use super::*;

const LIST: [&str; 2] = ["backup", "list"];

fn api() -> ApiServer {
    let api = ApiServer::start();
    api.has("prod", "zookeeperbackups/one", &json!({"spec": {"ensemble": "zk"}}));
    api
}

#[test]
fn the_proxy_that_a_kubeconfig_names_leads_to_its_cluster() {
    let api = api();
    let proxy = ProxyServer::to(api.address);
    for (scheme, asked) in
        [("http://me:hunter2@", "CONNECT api.invalid:8080 HTTP/1.1\r\n"), ("socks5://", "SOCKS api.invalid")]
    {
        let cluster = json!({"server": "http://api.invalid:8080", "proxy-url": format!("{scheme}{}", proxy.address)});
        let config = api.kubeconfig("proxied", &cluster, &json!({}));
        // It counts whatever the environment says.
        let (code, all, told) = ApiServer::ended(api.command(&LIST).env("KUBECONFIG", &config).env("NO_PROXY", "*"));
        assert_eq!((code, all.lines().count()), (0, 2), "{told}");
        let last = proxy.asked().pop().unwrap();
        assert!(last.starts_with(asked), "{last}");
        assert_eq!(last.contains("Basic bWU6aHVudGVyMg=="), scheme.starts_with("http"), "{last}");
    }
}

#[test]
fn the_environments_proxy_leads_to_a_cluster_that_no_proxy_does_not_name() {
    let api = api();
    let proxy = ProxyServer::to(api.address);
    let config = api.kubeconfig("away", &json!({"server": "https://api.invalid:6443"}), &json!({}));
    for (name, address) in
        [("HTTPS_PROXY", format!("http://me:hunter2@{}", proxy.address)), ("https_proxy", proxy.address.to_string())]
    {
        let before = proxy.asked().len();
        let mut command = api.command(&LIST);
        command.env("KUBECONFIG", &config).env(name, address).env("NO_PROXY", "other.invalid,,");
        let (code, _, told) = ApiServer::ended(&mut command);
        assert!(proxy.asked()[before].starts_with("CONNECT api.invalid:6443 "), "{:?}", proxy.asked());
        let by = format!("https://api.invalid:6443/, reached by the proxy http://{}", proxy.address);
        assert!(code == 2 && told.contains(&by) && !told.contains("hunter2"), "{told}");
        let before = proxy.asked().len();
        let (code, _, told) = ApiServer::ended(command.env("NO_PROXY", ".invalid"));
        assert!(code == 2 && !told.contains("proxy") && proxy.asked().len() == before, "{told}");
    }
    // This machine's own addresses are reached by none.
    let (code, _, told) = ApiServer::ended(api.command(&LIST).env("HTTPS_PROXY", "http://127.0.0.1:1"));
    assert_eq!(code, 0, "{told}");
    let wrong = api.kubeconfig("wrong", &json!({"server": "https://a", "proxy-url": "ftp://me:hunter2@p"}), &json!({}));
    let (code, _, told) = ApiServer::ended(api.command(&LIST).env("KUBECONFIG", wrong));
    assert!(
        code == 2 && told.contains("proxy-url of the kubeconfig is no address") && !told.contains("hunter2"),
        "{told}"
    );
}

#[test]
fn a_cluster_is_known_by_the_ca_of_its_kubeconfig_also_behind_a_proxy() {
    let (api, server) = (ApiServer::start(), TlsServer::start());
    let proxy = ProxyServer::to(server.address);
    let here = format!("https://{}", server.address);
    let data = STANDARD.encode(&server.pem);
    fs::write(api.folder.path().join("ca.crt"), &server.pem).unwrap();
    let listed = |cluster: Value| {
        let config = api.kubeconfig("tls", &cluster, &json!({}));
        let mut command = api.command(&LIST);
        command.env("KUBECONFIG", config).env("HTTPS_PROXY", proxy.address.to_string());
        let (code, _, told) = ApiServer::ended(&mut command);
        assert!(code == 2 || told.contains("there is no ZooKeeperBackup in namespace prod"), "{told}");
        (code, told)
    };
    let away = "https://api.invalid:6443";
    assert_eq!(listed(json!({"server": away, "certificate-authority-data": data})).0, 0);
    assert_eq!(proxy.asked().len(), 1);
    // A path is read from where the kubeconfig is.
    assert_eq!(listed(json!({"server": away, "certificate-authority": "ca.crt"})).0, 0);
    assert_eq!(listed(json!({"server": here, "certificate-authority": "ca.crt", "tls-server-name": HOST})).0, 0);
    assert_eq!(listed(json!({"server": here, "insecure-skip-tls-verify": true})).0, 0);
    assert_eq!(proxy.asked().len(), 2);
    let (code, told) = listed(json!({"server": here, "tls-server-name": HOST}));
    assert!(code == 2 && told.contains("certificate"), "{told}");
    let (code, told) = listed(json!({"server": here, "certificate-authority": "none.crt"}));
    assert!(code == 2 && told.contains("the CA of cluster c: ") && told.contains("none.crt"), "{told}");
    let (code, told) = listed(json!({"server": here, "certificate-authority-data": "aHVudGVyMg=="}));
    assert!(code == 2 && told.contains("it has no certificate as PEM"), "{told}");
}

#[test]
fn the_operator_reaches_its_cluster_though_a_proxy_for_others_is_in_its_environment() {
    let api = api();
    let mut command = api.command(&["operator", "--image", "menagerie", "--listen", "127.0.0.1:0"]);
    command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("NO_PROXY", "a,,b").stderr(Stdio::piped());
    let mut operator = command.spawn().unwrap();
    let begun = Instant::now();
    let listed = || api.asked().iter().any(|asked| asked.ends_with("/zookeeperensembles"));
    while !listed() && begun.elapsed() < Duration::from_secs(20) && operator.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(50));
    }
    operator.kill().unwrap();
    let told = text(&operator.wait_with_output().unwrap().stderr);
    assert!(listed(), "{told}");
}

#[test]
fn of_several_kubeconfigs_those_that_are_not_there_are_passed_over_and_one_that_is_wrong_is_named() {
    let api = api();
    let [config, none, bad] = ["config", "none", "bad"].map(|name| api.folder.path().join(name).display().to_string());
    let (code, all, told) = ApiServer::ended(api.command(&LIST).env("KUBECONFIG", format!("{none}:{config}:")));
    assert_eq!((code, all.lines().count()), (0, 2), "{told}");
    fs::write(&bad, "users:\n- name: u\n  user: {token: hunter2, exec: 7}\n").unwrap();
    let (code, _, told) = ApiServer::ended(api.command(&LIST).env("KUBECONFIG", format!("{config}:{bad}")));
    assert!(code == 2 && told.contains(&format!("no cluster: {bad}: line ")) && !told.contains("hunter2"), "{told}");
}

/// A program that logs in: it notes that it was started, and says what is in the file for that start, or in the last one.
fn login(api: &ApiServer, answers: &[String]) -> PathBuf {
    let folder = api.folder.path().display();
    for (number, answer) in (1..).zip(answers) {
        fs::write(api.folder.path().join(format!("answer-{number}")), answer).unwrap();
    }
    let script = format!(
        "echo started >> {folder}/starts\nn=$(wc -l < {folder}/starts)\n[ $n -gt {last} ] && n={last}\n. {folder}/answer-$n\n",
        last = answers.len()
    );
    let program = api.folder.path().join("login");
    fs::write(&program, script).unwrap();
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh", "args": [program, "--secret", "hunter2"],
        "env": [{"name": "SECRET", "value": "hunter3"}], "interactiveMode": "IfAvailable", "provideClusterInfo": true,
    });
    api.kubeconfig("logged", &json!({"server": format!("http://{}", api.address)}), &json!({"exec": exec}))
}

fn gives(token: &str, seconds: i64) -> String {
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let status = json!({"token": token, "expirationTimestamp": expires.to_string()});
    format!(
        "echo '{}'",
        json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})
    )
}

fn starts(api: &ApiServer) -> usize {
    fs::read_to_string(api.folder.path().join("starts")).map_or(0, |starts| starts.lines().count())
}

fn running(times: usize) -> impl Iterator<Item = Value> {
    let of = |phase: &str| json!({"phase": phase, "observedGeneration": 1, "conditions": [{"type": "Completed", "reason": phase, "message": "m"}]});
    (0..times).map(move |_| of("Running")).chain([of("Completed")])
}

#[test]
fn a_login_is_started_once_for_as_long_as_what_it_gave_is_valid() {
    // kube starts it with each request in the last minute of a token; one that has expired when it comes is given a rest.
    for (seconds, most) in [(3600, 1), (40, 1), (-5, 2)] {
        let api = api();
        api.wants("t");
        let config = login(&api, &[gives("t", seconds)]);
        api.goes("zookeeperbackups/one", running(3));
        let (code, told, said) = ApiServer::ended(api.command(&["backup", "watch", "one"]).env("KUBECONFIG", config));
        assert_eq!((code, said.as_str()), (0, ""), "{told}");
        assert!((1..=most).contains(&starts(&api)), "{} starts with {seconds} s", starts(&api));
    }
}

#[test]
fn a_login_that_the_api_server_refuses_while_something_is_watched_is_renewed() {
    let api = api();
    api.wants("one");
    let config = login(&api, &[gives("one", 3600), gives("two", 3600)]);
    api.goes("zookeeperbackups/one", running(3));
    let mut command = api.command(&["backup", "watch", "one"]);
    let child = command.env("KUBECONFIG", config).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while api.asked().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    api.wants("two");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), starts(&api)), (Some(0), 2), "{}", text(&output.stderr));
}

#[test]
fn a_login_that_fails_is_named_with_its_status_and_nothing_that_it_was_given() {
    for (answer, words) in [
        ("echo told you >&2; echo $SECRET $*; exit 7", "login, /bin/sh, has failed (exit status: 7)"),
        ("echo $SECRET", "has printed no ExecCredential"),
    ] {
        let api = api();
        let config = login(&api, &[answer.to_owned()]);
        let (code, _, told) = ApiServer::ended(api.command(&LIST).env("KUBECONFIG", config));
        assert!(
            code == 2 && told.contains("cannot log in: the kubeconfig's login, ") && told.contains(words),
            "{told}"
        );
        assert!(!told.contains("hunter") && told.contains("told you") == answer.contains("told you"), "{told}");
    }
}
