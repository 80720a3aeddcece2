//! Between the operator and the API server: counts the writes, and lets one of them go wrong.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::operator::Operator;
use super::plan::{FaultKind, FaultPlan, RecordedWrite, ZOOKEEPER};

/// Longer than any request of the operator but a watch.
const LONGEST_BODY: usize = 4 << 20;
/// The operator in the cluster: its rights are what counts, not the administrator's.
const AS_USER: &str = "system:serviceaccount:menagerie-system:menagerie";

/// The time that an answer has to arrive before its reader is killed.
const ANSWERED: Duration = Duration::from_millis(2);

/// The time that another operator has before the one that was stopped wakes up: enough for a step or two.
const ASLEEP: Duration = Duration::from_secs(3);

/// How watches flow.
#[derive(Clone, Copy, Default)]
struct Flow {
    muted: bool,
    cuts: u32,
}

#[derive(Default)]
struct Progress {
    armed: Vec<FaultPlan>,
    fired: Vec<FaultPlan>,
    counts: BTreeMap<String, u32>,
    writes: Vec<RecordedWrite>,
    last_write: Option<Instant>,
    /// The first answer to each LIST since the scenario began.
    lists: HashMap<String, Bytes>,
    stale: Option<BTreeSet<String>>,
    expired: Option<BTreeSet<String>>,
    dead: bool,
}

/// The proxy of one operator.
pub struct Proxy {
    client: Client,
    progress: Mutex<Progress>,
    flow: watch::Sender<Flow>,
    operator: Operator,
}

impl Proxy {
    /// Starts the proxy; the operator behind it is not started yet.
    pub async fn start(client: Client, namespace: &str) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let operator = Operator::new(namespace, listener.local_addr().unwrap().port());
        let (flow, _) = watch::channel(Flow::default());
        let proxy = Arc::new(Self { client, progress: Mutex::default(), flow, operator });
        let router = Router::new().fallback(handle).with_state(proxy.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        proxy
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operator behind it.
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Begins a scenario in which this goes wrong.
    pub fn begin(&self, armed: &[FaultPlan]) {
        *self.progress() = Progress { armed: armed.to_vec(), ..Progress::default() };
    }

    /// Ends it: the writes that came, and the plans that were reached.
    pub fn end(&self) -> (Vec<RecordedWrite>, Vec<FaultPlan>) {
        let progress = std::mem::take(&mut *self.progress());
        self.operator.end_late();
        // Watches that said nothing have nothing to say any more.
        if self.flow.borrow().muted {
            self.operator.kill();
            self.flow.send_modify(|flow| *flow = Flow { muted: false, cuts: flow.cuts + 1 });
            self.operator.start();
        }
        (progress.writes, progress.fired)
    }

    /// Starts the operator again if a plan has killed it.
    pub fn revive(&self) {
        if std::mem::take(&mut self.progress().dead) {
            self.operator.start();
        }
    }

    /// For how long nothing was written.
    pub fn quiet(&self) -> Duration {
        self.progress().last_write.map_or(Duration::MAX, |at| at.elapsed())
    }

    /// Counts a write, and gives what shall go wrong with it.
    fn count(&self, what: String) -> Option<FaultKind> {
        let mut progress = self.progress();
        let nth = progress.counts.entry(what.clone()).and_modify(|n| *n += 1).or_insert(1);
        let write = RecordedWrite { what, nth: *nth };
        progress.last_write = Some(Instant::now());
        progress.writes.push(write.clone());
        let at = progress.armed.iter().position(|plan| plan.write == write)?;
        let plan = progress.armed.remove(at);
        let kind = plan.kind;
        progress.fired.push(plan);
        Some(kind)
    }

    fn kill(&self) {
        self.operator.kill();
        self.progress().dead = true;
    }

    /// The operator does not notice how much time goes by, and another one acts meanwhile.
    async fn sleep_through(&self) {
        self.operator.stop_and_start_another();
        tokio::time::sleep(ASLEEP).await;
        self.operator.wake();
    }

    fn kill_after(self: &Arc<Self>, pause: Duration) {
        let proxy = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            proxy.kill();
        });
    }

    async fn forward(&self, request: &ProxiedRequest) -> Response {
        let mut upstream = Request::builder().method(request.method.clone()).uri(&request.target);
        for name in [header::ACCEPT, header::CONTENT_TYPE, header::USER_AGENT] {
            if let Some(value) = request.headers.get(&name) {
                upstream = upstream.header(name, value);
            }
        }
        let upstream = upstream
            .header("impersonate-user", AS_USER)
            .header("impersonate-group", "system:serviceaccounts")
            .header("impersonate-group", "system:authenticated");
        match self.client.send(upstream.body(request.body.to_vec().into()).unwrap()).await {
            Ok(answer) => {
                let (mut parts, body) = answer.into_parts();
                for name in [header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::CONNECTION] {
                    parts.headers.remove(name);
                }
                Response::from_parts(parts, Body::new(body))
            }
            Err(error) => failure(StatusCode::BAD_GATEWAY, "BadGateway", &error.to_string()),
        }
    }

    async fn write(self: &Arc<Self>, request: &ProxiedRequest, what: String) -> Response {
        let Some(kind) = self.count(what) else { return self.forward(request).await };
        match kind {
            FaultKind::KillBefore => {
                self.kill();
                nothing()
            }
            FaultKind::Conflict => {
                failure(StatusCode::CONFLICT, "Conflict", "the object has been modified; (injected)")
            }
            FaultKind::Throttled => {
                let mut answer =
                    failure(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "too many requests (injected)");
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                answer
            }
            FaultKind::WokenLate => {
                self.sleep_through().await;
                self.forward(request).await
            }
            FaultKind::KillAfterPassword(_) => unreachable!("of ZooKeeper only"),
            after => {
                let answer = whole(self.forward(request).await).await;
                match after {
                    FaultKind::KillCommitted => self.kill(),
                    FaultKind::KillAnswered => self.kill_after(ANSWERED),
                    FaultKind::StaleLists => {
                        self.progress().stale = Some(BTreeSet::new());
                        self.kill_after(ANSWERED);
                    }
                    FaultKind::ErrorAfterCommit => {
                        return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "it broke off (injected)");
                    }
                    FaultKind::SilenceAfterCommit => std::future::pending().await,
                    FaultKind::UnseenEvents => self.flow.send_modify(|flow| flow.muted = true),
                    FaultKind::ExpiredWatches => {
                        self.progress().expired = Some(BTreeSet::new());
                        self.flow.send_modify(|flow| flow.cuts += 1);
                    }
                    _ => {}
                }
                answer
            }
        }
    }
}

/// A request of the operator.
struct ProxiedRequest {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl ProxiedRequest {
    /// Resource, name and subresource.
    fn path(&self) -> Vec<&str> {
        let path = self.target.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let after_version = if parts.first() == Some(&"api") { 2 } else { 3 };
        let rest = parts.get(after_version..).unwrap_or_default();
        if rest.first() == Some(&"namespaces") && rest.len() > 2 { rest[2..].to_vec() } else { rest.to_vec() }
    }

    fn watches(&self) -> bool {
        self.target.contains("watch=true") || self.target.contains("watch=1")
    }

    fn lists(&self) -> bool {
        self.method == Method::GET && self.path().len() == 1 && !self.watches()
    }

    /// What is written; members are not told apart where their order depends on who leads.
    fn write(&self) -> Option<String> {
        let path = self.path();
        if self.method == Method::GET {
            let metadata = |value: &HeaderValue| value.to_str().is_ok_and(|accept| accept.contains("PartialObject"));
            let whole = !self.headers.get(header::ACCEPT).is_some_and(metadata);
            return (whole && path.first() == Some(&"secrets") && path.len() == 2).then(|| ZOOKEEPER.to_owned());
        }
        let mut what = path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
        let of_members = ["pods", "persistentvolumeclaims"].contains(&path.first().copied().unwrap_or_default());
        if let (true, Some(name)) = (of_members, what.get_mut(1))
            && let Some((front, _)) = name.rsplit_once('-')
        {
            *name = format!("{front}-*");
        }
        // The name of an Event is made of its time.
        what.truncate(if path.first() == Some(&"events") { 1 } else { 3 });
        Some(format!("{} {}", self.method, what.join("/")))
    }
}

async fn handle(State(proxy): State<Arc<Proxy>>, upstream: Request) -> Result<Response, Infallible> {
    let (parts, body) = upstream.into_parts();
    let body = axum::body::to_bytes(body, LONGEST_BODY).await.unwrap_or_default();
    let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let request = ProxiedRequest { method: parts.method, target, headers: parts.headers, body };
    if proxy.progress().dead {
        return Ok(nothing());
    }
    Ok(match request.write() {
        Some(what) if what == ZOOKEEPER => zookeeper(&proxy, &request).await,
        Some(what) => {
            // A task of its own: it goes on when the connection of a killed operator breaks.
            let answer = tokio::spawn({
                let proxy = proxy.clone();
                async move { proxy.write(&request, what).await }
            });
            answer.await.unwrap_or_else(|_| nothing())
        }
        None if request.watches() => watch_through(&proxy, &request).await,
        None if request.lists() => list(&proxy, &request).await,
        None => proxy.forward(&request).await,
    })
}

async fn zookeeper(proxy: &Arc<Proxy>, request: &ProxiedRequest) -> Response {
    match proxy.count(ZOOKEEPER.to_owned()) {
        Some(FaultKind::KillAfterPassword(0)) => {
            proxy.kill();
            return nothing();
        }
        Some(FaultKind::KillAfterPassword(after)) => proxy.kill_after(Duration::from_millis(after)),
        Some(FaultKind::WokenLate) => proxy.sleep_through().await,
        _ => {}
    }
    proxy.forward(request).await
}

async fn list(proxy: &Proxy, request: &ProxiedRequest) -> Response {
    {
        let mut progress = proxy.progress();
        let first = progress.stale.as_mut().is_some_and(|done| done.insert(request.target.clone()));
        if let (true, Some(recorded)) = (first, progress.lists.get(&request.target)) {
            return json_answer(StatusCode::OK, recorded.clone());
        }
    }
    let answer = whole(proxy.forward(request).await).await;
    if !answer.status().is_success() {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    proxy.progress().lists.entry(request.target.clone()).or_insert_with(|| bytes.clone());
    Response::from_parts(parts, Body::from(bytes))
}

async fn watch_through(proxy: &Proxy, request: &ProxiedRequest) -> Response {
    let resource = request.path().join("/");
    if proxy.progress().expired.as_mut().is_some_and(|done| done.insert(resource)) {
        let gone = json!({"type": "ERROR", "object": status(StatusCode::GONE, "Expired", "too old resource version (injected)")});
        return json_answer(StatusCode::OK, format!("{gone}\n").into());
    }
    let mut flow = proxy.flow.subscribe();
    let opened = flow.borrow_and_update().cuts;
    let (parts, body) = proxy.forward(request).await.into_parts();
    let gated = stream::unfold((body.into_data_stream(), flow, opened), |(mut chunks, mut flow, opened)| async move {
        loop {
            let now = *flow.borrow_and_update();
            if now.cuts != opened {
                return None;
            }
            if now.muted {
                flow.changed().await.ok()?;
                continue;
            }
            tokio::select! {
                changed = flow.changed() => changed.ok()?,
                chunk = chunks.next() => return chunk.map(|chunk| (chunk, (chunks, flow, opened))),
            }
        }
    });
    Response::from_parts(parts, Body::from_stream(gated))
}

/// The answer with all of its body: what it answers for is done.
async fn whole(answer: Response) -> Response {
    let (parts, body) = answer.into_parts();
    match body.collect().await {
        Ok(body) => Response::from_parts(parts, Body::from(body.to_bytes())),
        Err(error) => failure(StatusCode::BAD_GATEWAY, "BadGateway", &error.to_string()),
    }
}

fn status(code: StatusCode, reason: &str, message: &str) -> serde_json::Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code.as_u16(), "reason": reason, "message": message,
    })
}

fn failure(code: StatusCode, reason: &str, message: &str) -> Response {
    json_answer(code, status(code, reason, message).to_string().into())
}

fn json_answer(code: StatusCode, body: Bytes) -> Response {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = code;
    let name: HeaderName = header::CONTENT_TYPE;
    answer.headers_mut().insert(name, HeaderValue::from_static("application/json"));
    answer
}

/// To somebody who is dead.
fn nothing() -> Response {
    failure(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "nobody hears this")
}
