//! What stands between an agent and its store and lets requests go wrong, each in one way.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::gateway::{KEY, SECRET};

/// What goes wrong with a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is stored, and the answer is an error of the store.
    StoredButError,
    /// It is stored, and the connection ends without an answer.
    StoredButCut,
    /// It is not stored, and the answer is that of a race.
    Race,
    /// It is not stored: the store asks to slow down.
    SlowDown,
}

/// What a store makes of the condition of a put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CreateOnly {
    #[default]
    Obeyed,
    /// It stores over what is there.
    Ignored,
    /// It knows no such header.
    NotImplemented,
    /// It is fake-gcs-server, which ignores it.
    FakeGcs,
    /// The same, as Google's own obeys it.
    Gcs,
}

/// What goes wrong until it is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The right to delete is missing, or all is locked.
    DeletesRefused,
    /// Some deletes are errors of the store.
    SomeDeletesFail,
    /// All deletes are.
    DeletesFail,
    /// Lists say that there is nothing.
    EmptyLists,
    /// Puts that say how to encrypt are refused: the status, the code and the words.
    Unencrypted(u16, &'static str, &'static str),
    /// The bucket locks its objects: puts without a checksum are refused.
    Locks,
    /// Puts with a checksum are refused, as by stores that do not know it.
    NoChecksums,
    /// All answers are a page of a console.
    Console,
    /// The store's clock says this.
    Clock(&'static str),
}

/// What becomes of all requests that have some words in them, until it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// They wait.
    Hold,
    /// The store asks to slow down.
    Refuse,
    /// A right is missing.
    Deny,
    /// Somebody has deleted it since it was listed.
    Gone,
}

type Rules = Arc<Mutex<Vec<(String, Rule)>>>;

#[derive(Clone)]
struct Shared {
    store: SocketAddr,
    client: Client<HttpConnector, Body>,
    faults: Arc<Mutex<Vec<Fault>>>,
    counts: Arc<Mutex<Vec<Method>>>,
    trouble: Arc<Mutex<Option<Trouble>>>,
    asked: Arc<Mutex<Vec<String>>>,
    puts: Arc<Mutex<Vec<HeaderMap>>>,
    rules: Rules,
    held: Arc<AtomicUsize>,
    create_only: CreateOnly,
}

pub struct Proxy {
    pub address: SocketAddr,
    faults: Arc<Mutex<Vec<Fault>>>,
    counts: Arc<Mutex<Vec<Method>>>,
    trouble: Arc<Mutex<Option<Trouble>>>,
    asked: Arc<Mutex<Vec<String>>>,
    puts: Arc<Mutex<Vec<HeaderMap>>>,
    rules: Rules,
    held: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub async fn before(store: SocketAddr) -> Self {
        Self::of_a_store(store, CreateOnly::Obeyed).await
    }

    pub async fn of_a_store(store: SocketAddr, create_only: CreateOnly) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self::at(listener, store, create_only)
    }

    /// At an address that the store was told of.
    pub fn at(listener: TcpListener, store: SocketAddr, create_only: CreateOnly) -> Self {
        let address = listener.local_addr().unwrap();
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let (faults, counts, trouble, asked, puts, rules, held) = Default::default();
        let shared = Shared { store, client, faults, counts, trouble, asked, puts, rules, held, create_only };
        let (faults, counts) = (Arc::clone(&shared.faults), Arc::clone(&shared.counts));
        let (asked, rules, held) = (Arc::clone(&shared.asked), Arc::clone(&shared.rules), Arc::clone(&shared.held));
        let (trouble, puts) = (Arc::clone(&shared.trouble), Arc::clone(&shared.puts));
        let router = Router::new().fallback(pass).with_state(shared);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, faults, counts, trouble, asked, puts, rules, held, task }
    }

    /// Lets the next puts go wrong like this, one after the other.
    pub fn next(&self, faults: &[Fault]) {
        self.faults.lock().unwrap().extend(faults.iter().rev());
    }

    /// From now on this goes wrong.
    pub fn trouble(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().unwrap() = trouble;
    }

    /// The methods of all requests since it was asked last.
    pub fn requests(&self) -> Vec<Method> {
        std::mem::take(&mut self.counts.lock().unwrap())
    }

    /// All requests so far, as `METHOD URI`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The headers of all puts so far.
    pub fn puts(&self) -> Vec<HeaderMap> {
        self.puts.lock().unwrap().clone()
    }

    /// How many requests wait, of those whose client waits still.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Does this with all requests of which `METHOD URI` has these words, in place of what was ruled before.
    pub fn rule(&self, rules: &[(&str, Rule)]) {
        *self.rules.lock().unwrap() = rules.iter().map(|(words, rule)| ((*words).to_owned(), *rule)).collect();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the store's trouble makes of a request, if anything.
fn troubled(trouble: Option<Trouble>, request: &Request) -> Option<Response> {
    let listed = request.uri().query().is_some_and(|query| query.contains("list-type=2"));
    match (trouble, request.method()) {
        (Some(Trouble::DeletesRefused), &Method::DELETE) => return Some(error(StatusCode::FORBIDDEN, "AccessDenied")),
        // By its name, so that trying again does not help.
        (Some(Trouble::SomeDeletesFail), &Method::DELETE) if request.uri().path().ends_with(['1', '3', '5', '7']) => {
            return Some(error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"));
        }
        (Some(Trouble::DeletesFail), &Method::DELETE) => {
            return Some(error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"));
        }
        (Some(Trouble::Unencrypted(status, code, words)), &Method::PUT)
            if request.headers().contains_key("x-amz-server-side-encryption") =>
        {
            let text = format!("<Error><Code>{code}</Code><Message>{words}</Message></Error>");
            return Some((StatusCode::from_u16(status).unwrap(), text).into_response());
        }
        (Some(Trouble::Locks), &Method::PUT) if !request.headers().contains_key("x-amz-checksum-sha256") => {
            let words = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters";
            let text = format!("<Error><Code>InvalidRequest</Code><Message>{words}</Message></Error>");
            return Some((StatusCode::BAD_REQUEST, text).into_response());
        }
        (Some(Trouble::NoChecksums), &Method::PUT)
            if request.headers().keys().any(|name| name.as_str().starts_with("x-amz-checksum")) =>
        {
            return Some(error(StatusCode::NOT_IMPLEMENTED, "NotImplemented"));
        }
        (Some(Trouble::Console), _) => {
            let page = [("content-type", "text/html; charset=utf-8")];
            return Some((page, "<html><body></body></html>").into_response());
        }
        (Some(Trouble::EmptyLists), &Method::GET) if listed => {
            let text = "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
            return Some((StatusCode::OK, text).into_response());
        }
        _ => {}
    }
    None
}

async fn pass(State(shared): State<Shared>, request: Request) -> Response {
    shared.counts.lock().unwrap().push(request.method().clone());
    let asked = format!("{} {}", request.method(), request.uri());
    shared.asked.lock().unwrap().push(asked.clone());
    if request.method() == Method::PUT {
        shared.puts.lock().unwrap().push(request.headers().clone());
    }
    let ruled = || {
        let rules = shared.rules.lock().unwrap();
        rules.iter().find(|(words, _)| words.split(' ').all(|word| asked.contains(word))).map(|(_, rule)| *rule)
    };
    if ruled() == Some(Rule::Hold) {
        shared.held.fetch_add(1, Ordering::Relaxed);
        let _held = Held(Arc::clone(&shared.held));
        while ruled() == Some(Rule::Hold) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    match ruled() {
        Some(Rule::Refuse) => return error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Some(Rule::Deny) => return error(StatusCode::FORBIDDEN, "AccessDenied"),
        Some(Rule::Gone) => return error(StatusCode::NOT_FOUND, "NoSuchKey"),
        Some(Rule::Hold) | None => {}
    }
    let fault = (request.method() == Method::PUT).then(|| shared.faults.lock().unwrap().pop()).flatten();
    let trouble = *shared.trouble.lock().unwrap();
    if let Some(answer) = troubled(trouble, &request) {
        return answer;
    }
    let (mut parts, body) = request.into_parts();
    // The client may break off.
    let Ok(body) = to_bytes(body, usize::MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
    match shared.create_only {
        CreateOnly::NotImplemented if parts.headers.contains_key("if-none-match") => {
            return error(StatusCode::NOT_IMPLEMENTED, "NotImplemented");
        }
        CreateOnly::Ignored if parts.headers.contains_key("if-none-match") => {
            return overwrite(shared.store, parts.uri.path(), body).await;
        }
        CreateOnly::Gcs if parts.headers.contains_key("x-goog-if-generation-match") => {
            let there = format!("http://{}{}", shared.store, parts.uri.path()).parse::<Uri>().unwrap();
            let asked = Request::get(there).header("host", &parts.headers["host"]).body(Body::empty()).unwrap();
            if shared.client.request(asked).await.is_ok_and(|answer| answer.status().is_success()) {
                return error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
            }
        }
        _ => {}
    }
    match fault {
        Some(Fault::Race) => return error(StatusCode::CONFLICT, "ConditionalRequestConflict"),
        Some(Fault::SlowDown) => return error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        _ => {}
    }
    let path = parts.uri.path_and_query().unwrap().as_str();
    // fake-gcs-server takes a plain put of the XML API only if it seems to be signed by its address, and answers it without an ETag.
    let fake = parts.method == Method::PUT && matches!(shared.create_only, CreateOnly::FakeGcs | CreateOnly::Gcs);
    let signed = if fake { "?X-Goog-Algorithm=none" } else { "" };
    parts.uri = format!("http://{}{path}{signed}", shared.store).parse::<Uri>().unwrap();
    let answer = shared.client.request(Request::from_parts(parts, Body::from(body))).await;
    match (fault, answer) {
        (Some(Fault::StoredButError), Ok(_)) => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        // Ends the connection: the body promises more than it brings.
        (Some(Fault::StoredButCut), Ok(_)) => {
            let mut headers = HeaderMap::new();
            headers.insert("content-length", "100".parse().unwrap());
            let cut = futures::stream::once(async { Err::<&[u8], _>(std::io::Error::other("cut")) });
            (headers, Body::from_stream(cut)).into_response()
        }
        (_, Ok(answer)) => {
            let mut answer = answer.into_response();
            if fake && answer.status().is_success() {
                answer.headers_mut().entry("etag").or_insert("\"fake\"".parse().unwrap());
            }
            if let (Some(Trouble::Clock(time)), Some(header)) = (trouble, answer.headers_mut().get_mut("last-modified"))
            {
                *header = time.parse().unwrap();
            }
            answer
        }
        (_, Err(_)) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// The header is signed, so that it cannot be taken away: stores it with a client of its own.
async fn overwrite(store: SocketAddr, path: &str, body: Bytes) -> Response {
    let (bucket, name) = path.trim_start_matches('/').split_once('/').unwrap();
    let client = AmazonS3Builder::new()
        .with_endpoint(format!("http://{store}"))
        .with_allow_http(true)
        .with_bucket_name(bucket)
        .with_access_key_id(KEY)
        .with_secret_access_key(SECRET)
        .build()
        .unwrap();
    let stored = client.put(&Path::from(name), PutPayload::from_bytes(body)).await.unwrap();
    ([("etag", stored.e_tag.unwrap())], "").into_response()
}

fn error(status: StatusCode, code: &str) -> Response {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>");
    (status, text).into_response()
}
