//! What stands between the agents and their store, and counts.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use menagerie::archive::segment::Facts;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use zookeeper_files::ids::Zxid;

/// A segment that the store has.
#[derive(Clone)]
pub struct Stored {
    pub first: Zxid,
    pub last: Zxid,
    /// When the store's answer was here: from then on it can be read.
    pub at: Instant,
    pub bytes: usize,
}

#[derive(Default)]
struct Seen {
    requests: BTreeMap<&'static str, usize>,
    segments: Vec<Stored>,
    last: BTreeMap<String, Zxid>,
}

#[derive(Clone)]
struct Shared {
    store: SocketAddr,
    client: Client<HttpConnector, Body>,
    seen: Arc<Mutex<Seen>>,
}

pub struct Meter {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Meter {
    pub async fn before(store: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let shared = Shared { store, client, seen: Arc::default() };
        let seen = Arc::clone(&shared.seen);
        let router = Router::new().fallback(pass).with_state(shared);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen, task }
    }

    /// The requests by kind and the segments since it was asked last.
    pub fn take(&self) -> (BTreeMap<&'static str, usize>, Vec<Stored>) {
        let mut seen = self.seen.lock().unwrap();
        (std::mem::take(&mut seen.requests), std::mem::take(&mut seen.segments))
    }

    /// In how many chains the store has this transaction.
    pub fn copies(&self, zxid: Zxid) -> usize {
        self.seen.lock().unwrap().last.values().filter(|last| **last >= zxid).count()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn kind(method: &Method, uri: &Uri) -> &'static str {
    let below = |folder: &str| uri.path().contains(folder);
    match *method {
        Method::PUT if below("/log/") => "put of a segment",
        Method::PUT if below("/snap/") => "put of a part of a base",
        Method::PUT => "other put",
        Method::GET if uri.query().is_some_and(|query| query.contains("list-type=2")) => "list",
        Method::GET => "get",
        Method::HEAD => "head",
        _ => "other",
    }
}

async fn pass(State(shared): State<Shared>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let kind = kind(&parts.method, &parts.uri);
    *shared.seen.lock().unwrap().requests.entry(kind).or_default() += 1;
    let Ok(body) = to_bytes(body, usize::MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
    let facts = (kind == "put of a segment").then(|| Facts::read(&body).unwrap());
    let (bytes, path) = (body.len(), parts.uri.path_and_query().unwrap().as_str());
    parts.uri = format!("http://{}{path}", shared.store).parse::<Uri>().unwrap();
    let answer = shared.client.request(Request::from_parts(parts, Body::from(body))).await;
    let Ok(answer) = answer else { return StatusCode::BAD_GATEWAY.into_response() };
    if let Some(Facts { chain, first, last, .. }) = facts.filter(|_| answer.status().is_success()) {
        let (chain, at) = (chain.to_string(), Instant::now());
        let mut seen = shared.seen.lock().unwrap();
        seen.last.insert(chain, last);
        seen.segments.push(Stored { first, last, at, bytes });
    }
    answer.into_response()
}
