//! An API server in memory: objects by their addresses, and what becomes of a status from one look to the next. It stands for no rule of
//! Kubernetes: those are asked of a real one in `tests/e2e`.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

const BASE: &str = "/apis/menagerie.dev/v1alpha1";

#[derive(Default)]
struct Objects {
    all: BTreeMap<String, Value>,
    /// What a status becomes, one look after the other.
    next: BTreeMap<String, VecDeque<Value>>,
    /// Logs of pods.
    logs: BTreeMap<String, String>,
    /// So many lists are no longer kept, and so many have more behind them.
    lists: (u32, u32),
    /// What is answered whatever is asked.
    refusal: Option<(u16, String)>,
    /// Who asks without it is not known.
    token: Option<String>,
    asked: Vec<String>,
}

/// One that runs until its test ends.
pub struct ApiServer {
    objects: Arc<Mutex<Objects>>,
    pub address: SocketAddr,
    pub folder: tempfile::TempDir,
}

/// What in the environment of a test changes how a command reaches its cluster, or what it shows.
const SURROUNDINGS: [&str; 12] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "CI",
    "NO_COLOR",
    "AWS_ACCESS_KEY_ID",
    "GOOGLE_SERVICE_ACCOUNT",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "KUBERNETES_SERVICE_HOST",
];

impl ApiServer {
    pub fn start() -> Self {
        let objects: Arc<Mutex<Objects>> = Arc::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&objects));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
            });
        });
        let api = Self { objects, address, folder: tempfile::tempdir().unwrap() };
        api.kubeconfig("config", &json!({"server": format!("http://{address}")}), &json!({}));
        api
    }

    /// A kubeconfig of that name, with which a cluster is reached as somebody.
    pub fn kubeconfig(&self, name: &str, cluster: &Value, user: &Value) -> PathBuf {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "c", "cluster": cluster},
                         {"name": "away", "cluster": {"server": "http://127.0.0.1:1"}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "prod"}},
                         {"name": "away", "context": {"cluster": "away", "user": "u"}}],
        });
        let file = self.folder.path().join(name);
        fs::write(&file, config.to_string()).unwrap();
        file
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_menagerie"));
        command.args(arguments).env("KUBECONFIG", self.folder.path().join("config"));
        for variable in SURROUNDINGS {
            command.env_remove(variable);
        }
        command
    }

    /// The exit code, and what is said on both outputs.
    pub fn said(&self, arguments: &[&str]) -> (i32, String, String) {
        Self::ended(&mut self.command(arguments))
    }

    /// The same of a command that was changed.
    pub fn ended(command: &mut Command) -> (i32, String, String) {
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    /// An object of this namespace, such as `zookeeperbackups/one`.
    pub fn has(&self, namespace: &str, object: &str, rest: &Value) {
        let name = object.rsplit('/').next().unwrap();
        let mut object_at = json!({
            "apiVersion": "menagerie.dev/v1alpha1", "kind": "Some",
            "metadata": {"name": name, "namespace": namespace, "uid": "u-1", "generation": 1},
        });
        object_at.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let address = format!("{BASE}/namespaces/{namespace}/{object}");
        self.objects.lock().unwrap().all.insert(address, object_at);
    }

    /// An ensemble with an archive.
    pub fn has_ensemble(&self, name: &str) {
        let spec = json!({"spec": {"archive": {"s3": {"bucket": "b"}}}});
        self.has("prod", &format!("zookeeperensembles/{name}"), &spec);
    }

    /// What the status of an object becomes with each look at it.
    pub fn goes(&self, object: &str, statuses: impl IntoIterator<Item = Value>) {
        let address = format!("{BASE}/namespaces/prod/{object}");
        self.objects.lock().unwrap().next.insert(address, statuses.into_iter().collect());
    }

    /// The log of a pod, which is of a Job of the object with that uid.
    pub fn logs(&self, pod: &str, of: &str, log: &str) {
        let owned = |name: &str, uid: &str, kind: &str, by: &str, owner: &str| {
            let owners = json!([{"apiVersion": "v1", "kind": kind, "name": by, "uid": owner, "controller": true}]);
            json!({"metadata": {"name": name, "namespace": "prod", "uid": uid, "ownerReferences": owners}})
        };
        let mut objects = self.objects.lock().unwrap();
        objects.logs.insert(pod.to_owned(), log.to_owned());
        let address = format!("/api/v1/namespaces/prod/pods/{pod}");
        objects.all.insert(address, owned(pod, "p-1", "Job", "job", "j-1"));
        let address = "/apis/batch/v1/namespaces/prod/jobs/job".to_owned();
        objects.all.insert(address, owned("job", "j-1", "ZooKeeperRestore", "undo", of));
    }

    /// Takes the Jobs away.
    pub fn forgets_jobs(&self) {
        self.objects.lock().unwrap().all.retain(|address, _| !address.contains("/jobs/"));
    }

    /// So many answers to lists are that they are gone, and so many after them have more behind them.
    pub fn lists(&self, gone: u32, more: u32) {
        self.objects.lock().unwrap().lists = (gone, more);
    }

    /// Knows nobody who has not this token.
    pub fn wants(&self, token: &str) {
        self.objects.lock().unwrap().token = Some(token.to_owned());
    }

    pub fn refuses(&self, code: u16, body: &str) {
        self.objects.lock().unwrap().refusal = Some((code, body.to_owned()));
    }

    pub fn object(&self, object: &str) -> Option<Value> {
        self.objects.lock().unwrap().all.get(&format!("{BASE}/namespaces/prod/{object}")).cloned()
    }

    /// Methods and paths of all that was asked.
    pub fn asked(&self) -> Vec<String> {
        self.objects.lock().unwrap().asked.clone()
    }
}

fn failure(code: u16, reason: &str, message: &str, details: &Value) -> String {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "details": details, "code": code,
    });
    status.to_string()
}

/// As a server says that somebody may not do something.
pub fn forbidden(what: &str) -> String {
    failure(403, "Forbidden", what, &json!({"group": "menagerie.dev"}))
}

async fn answer(
    State(objects): State<Arc<Mutex<Objects>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut objects = objects.lock().unwrap();
    let path = uri.path().to_owned();
    objects.asked.push(format!("{method} {path}"));
    let known = |token: &String| headers.get("authorization").is_some_and(|given| *given == format!("Bearer {token}"));
    let (code, body) = match &objects.refusal {
        _ if objects.token.as_ref().is_some_and(|token| !known(token)) => {
            (401, failure(401, "Unauthorized", "Unauthorized", &json!({})))
        }
        Some((code, body)) => (*code, body.clone()),
        None => answered(&mut objects, &method, &path, &body),
    };
    let kind = if body.starts_with('{') { "application/json" } else { "text/plain" };
    (StatusCode::from_u16(code).unwrap(), [("content-type", kind)], body).into_response()
}

fn answered(objects: &mut Objects, method: &Method, path: &str, body: &[u8]) -> (u16, String) {
    if let Some(pod) = path.strip_suffix("/log") {
        let log = objects.logs.get(pod.rsplit('/').next().unwrap());
        let missing = || failure(404, "NotFound", "pods not found", &json!({"name": "p", "kind": "pods"}));
        return log.map_or_else(|| (404, missing()), |log| (200, log.clone()));
    }
    let name = path.rsplit('/').next().unwrap().to_owned();
    let listed = name.starts_with("zookeeper");
    match (method.as_str(), listed) {
        ("GET", true) if objects.lists.0 > 0 => {
            objects.lists.0 -= 1;
            (410, failure(410, "Expired", "the list is no longer kept", &json!({})))
        }
        ("GET", true) => {
            let more = if objects.lists.1 > 0 { json!({"continue": "more"}) } else { json!({}) };
            objects.lists.1 = objects.lists.1.saturating_sub(1);
            let of_it = |address: &String| {
                address.contains(&format!("/{name}/")) && (!path.contains("/namespaces/") || address.starts_with(path))
            };
            let items: Vec<&Value> =
                objects.all.iter().filter(|(address, _)| of_it(address)).map(|(_, it)| it).collect();
            let list = json!({"apiVersion": "v1", "kind": "List", "metadata": more, "items": items});
            (200, list.to_string())
        }
        ("POST", _) => {
            let mut object: Value = serde_json::from_slice(body).unwrap();
            if let Some(begin) = object["metadata"]["generateName"].as_str().map(str::to_owned) {
                object["metadata"]["name"] = json!(format!("{begin}abcde"));
            }
            object["metadata"]["uid"] = json!("u-1");
            object["metadata"]["generation"] = json!(1);
            let address = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
            if objects.all.contains_key(&address) {
                return (409, failure(409, "AlreadyExists", "already exists", &json!({"name": "x"})));
            }
            objects.all.insert(address, object.clone());
            (201, object.to_string())
        }
        (method, _) => {
            let next = objects.next.get_mut(path).and_then(VecDeque::pop_front);
            let Some(object) = objects.all.get_mut(path) else {
                let plural = path.rsplit('/').nth(1).unwrap();
                let words = format!("{plural}.menagerie.dev \"{name}\" not found");
                let details = json!({"name": name, "group": "menagerie.dev", "kind": plural});
                return (404, failure(404, "NotFound", &words, &details));
            };
            if method == "PATCH" {
                let change: Value = serde_json::from_slice(body).unwrap();
                object["spec"].as_object_mut().unwrap().extend(change["spec"].as_object().unwrap().clone());
                object["metadata"]["generation"] = json!(2);
            }
            if let Some(status) = next.filter(|_| method == "GET") {
                object["status"] = status;
            }
            let held = object["metadata"]["finalizers"].as_array().is_some_and(|holders| !holders.is_empty());
            if method == "DELETE" && held {
                object["metadata"]["deletionTimestamp"] = json!("2026-11-28T10:00:00Z");
            }
            let text = object.to_string();
            if method == "DELETE" && !held {
                objects.all.remove(path);
            }
            (200, text)
        }
    }
}
