//! One HTTP GET with one time limit: from the operator to the agents, and from an agent to its server's `AdminServer`.
//!
//! Invariants: one connection per call, because a pooled one to a deleted pod costs a whole time limit; no redirect is
//! followed; an answer of more than [`LIMIT`] bytes, or of more than was allowed for it, is refused, or parsed as it
//! comes; only a 2xx is an answer.

use std::error::Error;
use std::io::{self, BufReader, Read};
use std::sync::LazyLock;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::model::bounded::words;

/// The longest answer that is read, in bytes: with seven agents that sent 4 MiB each, the operator of everybody's
/// ensembles was killed for its memory. The longest real answer has 255 servers, with 200 bytes each.
pub const LIMIT: usize = 64 << 10;

/// What stands before a token in the header `Authorization`.
pub const BEARER: &str = "Bearer ";

type Body = Empty<&'static [u8]>;

static CLIENT: LazyLock<Client<HttpConnector, Body>> =
    LazyLock::new(|| Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http());

/// Why a GET has no answer. Every text names the URL.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is no URL.
    #[error("GET {url}: not a URL: {reason}")]
    Url {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing listens there.
    #[error("GET {url}: connection refused")]
    Refused {
        /// What was asked for.
        url: String,
    },
    /// It took too long, whatever it was doing.
    #[error("GET {url}: no answer within {} ms", limit.as_millis())]
    Timeout {
        /// What was asked for.
        url: String,
        /// How long the call waited.
        limit: Duration,
    },
    /// The connection failed, or broke off.
    #[error("GET {url}: {reason}")]
    Broken {
        /// What was asked for.
        url: String,
        /// The innermost cause.
        reason: String,
    },
    /// The answer is not a success.
    #[error("GET {url}: HTTP {status}{}{text}", if text.is_empty() { "" } else { ": " })]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
        /// First line of the answer, empty when it is a page of HTML.
        text: String,
    },
    /// The answer is longer than it may be.
    #[error("GET {url}: more than {most} bytes")]
    TooLong {
        /// What was asked for.
        url: String,
        /// How long it may be.
        most: usize,
    },
    /// The answer is not the JSON that was expected.
    #[error("GET {url}: not the JSON that was expected: {reason}")]
    Json {
        /// What was asked for.
        url: String,
        /// Where it differs, cut: it quotes what was received.
        reason: String,
    },
}

/// The body of a 2xx answer to GET `url`, connection and body together within `limit`.
pub async fn get(url: &str, limit: Duration) -> Result<Vec<u8>, HttpError> {
    get_of(url, limit, LIMIT).await
}

async fn get_of(url: &str, limit: Duration, most: usize) -> Result<Vec<u8>, HttpError> {
    get_as(url, None, limit, most).await
}

/// The body of a 2xx answer of up to `most` bytes to GET `url` from somebody who has that token.
pub async fn get_as(url: &str, token: Option<&str>, limit: Duration, most: usize) -> Result<Vec<u8>, HttpError> {
    match timeout(limit, exchange(url, token, most)).await {
        Ok(answer) => answer,
        Err(_) => Err(HttpError::Timeout { url: url.to_owned(), limit }),
    }
}

/// The JSON of a 2xx answer to GET `url`.
pub async fn get_json<T: DeserializeOwned>(url: &str, limit: Duration) -> Result<T, HttpError> {
    get_json_of(url, limit, LIMIT).await
}

/// The JSON of a 2xx answer to GET `url` that may have up to `most` bytes.
pub async fn get_json_of<T: DeserializeOwned>(url: &str, limit: Duration, most: usize) -> Result<T, HttpError> {
    let body = get_of(url, limit, most).await?;
    serde_json::from_slice(&body).map_err(|error| not_expected(url, &error))
}

/// The JSON of a 2xx answer to GET `url`, parsed as it comes: only `T` is held, however long the answer is.
pub async fn scan_json<T>(url: &str, limit: Duration) -> Result<T, HttpError>
where
    T: DeserializeOwned + Send + 'static,
{
    let end = Instant::now() + limit;
    let late = || HttpError::Timeout { url: url.to_owned(), limit };
    let answer = timeout_at(end, ask(url, None)).await.map_err(|_| late())??;
    if !answer.status().is_success() {
        return Err(timeout_at(end, refusal(url, answer)).await.map_err(|_| late())?);
    }
    let arriving = Arriving { body: answer.into_body(), unread: Bytes::new(), end, runtime: Handle::current() };
    let parsed = tokio::task::spawn_blocking(move || serde_json::from_reader(BufReader::new(arriving)));
    match parsed.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) if error.io_error_kind() == Some(io::ErrorKind::TimedOut) => Err(late()),
        Ok(Err(error)) if error.is_io() => Err(HttpError::Broken { url: url.to_owned(), reason: error.to_string() }),
        Ok(Err(error)) => Err(not_expected(url, &error)),
        Err(stopped) => Err(HttpError::Broken { url: url.to_owned(), reason: stopped.to_string() }),
    }
}

/// A body as a parser reads it, on a thread that may block.
struct Arriving {
    body: Incoming,
    unread: Bytes,
    end: Instant,
    runtime: Handle,
}

impl Read for Arriving {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            // Made inside of it: a timer belongs to a runtime.
            match self.runtime.block_on(async { timeout_at(self.end, self.body.frame()).await }) {
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(None) => return Ok(0),
                Ok(Some(Err(error))) => return Err(io::Error::other(innermost(&error))),
                Ok(Some(Ok(frame))) => self.unread = frame.into_data().unwrap_or_default(),
            }
        }
        let some = self.unread.split_to(self.unread.len().min(into.len()));
        into[..some.len()].copy_from_slice(&some);
        Ok(some.len())
    }
}

async fn exchange(url: &str, token: Option<&str>, most: usize) -> Result<Vec<u8>, HttpError> {
    let answer = ask(url, token).await?;
    if answer.status().is_success() {
        Ok(whole(url, answer, most).await?.to_vec())
    } else {
        Err(refusal(url, answer).await)
    }
}

async fn ask(url: &str, token: Option<&str>) -> Result<Response<Incoming>, HttpError> {
    let mut request = Request::get(url);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("{BEARER}{token}"));
    }
    let request =
        request.body(Body::new()).map_err(|e| HttpError::Url { url: url.to_owned(), reason: innermost(&e) })?;
    CLIENT.request(request).await.map_err(|e| failure(url, &e))
}

async fn whole(url: &str, answer: Response<Incoming>, most: usize) -> Result<Bytes, HttpError> {
    match Limited::new(answer.into_body(), most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => Err(HttpError::TooLong { url: url.to_owned(), most }),
        Err(e) => Err(failure(url, e.as_ref())),
    }
}

async fn refusal(url: &str, answer: Response<Incoming>) -> HttpError {
    let status = answer.status().as_u16();
    match whole(url, answer, LIMIT).await {
        Ok(body) => HttpError::Status { url: url.to_owned(), status, text: first_line(&body) },
        Err(error) => error,
    }
}

fn not_expected(url: &str, error: &serde_json::Error) -> HttpError {
    HttpError::Json { url: url.to_owned(), reason: words(&error.to_string()) }
}

fn failure(url: &str, error: &(dyn Error + 'static)) -> HttpError {
    let refused = chain(error)
        .any(|e| e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused));
    let url = url.to_owned();
    if refused { HttpError::Refused { url } } else { HttpError::Broken { url, reason: innermost(error) } }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e| e.source())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default().trim();
    if line.starts_with('<') { String::new() } else { words(line) }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const SHORT: Duration = Duration::from_secs(5);

    /// A server that gives each connection the same bytes, then closes it or holds it open.
    async fn server(answer: Vec<u8>, hold: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                tokio::spawn(async move {
                    let _ = socket.read(&mut [0; 1024]).await;
                    let _ = socket.write_all(&answer).await;
                    if hold {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        url
    }

    fn reply(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[tokio::test]
    async fn an_answer_of_success_is_its_body() {
        let url = server(reply("200 OK", "[1,2]"), false).await;
        assert_eq!(get(&url, SHORT).await.unwrap(), b"[1,2]");
        assert_eq!(get_json::<Vec<u8>>(&url, SHORT).await.unwrap(), [1, 2]);
        let error = get_json::<String>(&url, SHORT).await.unwrap_err();
        assert!(matches!(error, HttpError::Json { .. }), "{error}");
    }

    #[tokio::test]
    async fn any_other_status_is_an_error_and_redirects_are_not_followed() {
        for (status, body, text) in [
            ("503 Service Unavailable", "electing\nmore", "HTTP 503: electing"),
            ("500 Server Error", "<html>\n<head>", "HTTP 500"),
            ("302 Found", "", "HTTP 302"),
        ] {
            let url = server(reply(status, body), false).await;
            assert_eq!(get(&url, SHORT).await.unwrap_err().to_string(), format!("GET {url}: {text}"));
        }
    }

    #[tokio::test]
    async fn refused_and_silent_are_told_apart() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = get(&format!("http://{closed}/"), SHORT).await.unwrap_err();
        assert!(matches!(error, HttpError::Refused { .. }), "{error}");

        let url = server(Vec::new(), true).await;
        let limit = Duration::from_millis(50);
        let error = get(&url, limit).await.unwrap_err();
        assert_eq!(error.to_string(), format!("GET {url}: no answer within 50 ms"));
    }

    #[tokio::test]
    async fn a_body_that_trickles_is_under_the_same_limit() {
        let url = server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec(), true).await;
        let error = get(&url, Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, HttpError::Timeout { .. }), "{error}");
    }

    #[tokio::test]
    async fn case_r02_four_megabytes_of_one_agent_are_no_answer() {
        let url = server(reply("200 OK", &format!("\"{}\"", "x".repeat(4_000_000))), false).await;
        let error = get_json::<String>(&url, SHORT).await.unwrap_err();
        assert_eq!(error.to_string(), format!("GET {url}: more than 65536 bytes"));
        // What is not understood is quoted by serde, whole.
        let url = server(reply("200 OK", &format!("\"{}\"", "x".repeat(60_000))), false).await;
        let error = get_json::<u8>(&url, SHORT).await.unwrap_err().to_string();
        assert!(error.len() < 500, "{}", error.len());
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_or_never_ends_is_no_answer() {
        let url = server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec(), false).await;
        let error = get(&url, SHORT).await.unwrap_err();
        assert!(matches!(error, HttpError::Broken { .. }), "{error}");

        let url = server(reply("200 OK", &"x".repeat(LIMIT + 1)), false).await;
        let error = get(&url, SHORT).await.unwrap_err();
        assert!(matches!(error, HttpError::TooLong { .. }), "{error}");
    }

    #[tokio::test]
    async fn of_a_long_answer_only_what_is_asked_for_is_held() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Wanted {
            state: String,
        }
        let filler = "\"max_read_per_namespace\": 1.0,\n".repeat(LIMIT);
        let url = server(reply("200 OK", &format!("{{{filler}\"state\": \"leader\"}}")), false).await;
        assert_eq!(scan_json::<Wanted>(&url, SHORT).await.unwrap(), Wanted { state: "leader".to_owned() });
    }

    #[tokio::test]
    async fn an_answer_parsed_as_it_comes_fails_as_one_that_is_read_whole() {
        let url = server(reply("500 Server Error", "electing"), false).await;
        let error = scan_json::<String>(&url, SHORT).await.unwrap_err();
        assert!(matches!(error, HttpError::Status { status: 500, .. }), "{error}");

        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n\"hal".to_vec();
        let url = server(half.clone(), true).await;
        let error = scan_json::<String>(&url, Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, HttpError::Timeout { .. }), "{error}");

        let url = server(half, false).await;
        let error = scan_json::<String>(&url, SHORT).await.unwrap_err();
        assert!(matches!(error, HttpError::Broken { .. }), "{error}");

        let url = server(reply("200 OK", "[1,"), false).await;
        let error = scan_json::<Vec<u8>>(&url, SHORT).await.unwrap_err();
        assert!(matches!(error, HttpError::Json { .. }), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_url_or_no_http_is_named() {
        for url in ["", "http://", "not a url", "127.0.0.1:1", "https://127.0.0.1:1/"] {
            let error = get(url, SHORT).await.unwrap_err();
            assert!(error.to_string().starts_with(&format!("GET {url}: ")), "{error}");
        }
        let url = server(b"imok".to_vec(), false).await;
        assert!(matches!(get(&url, SHORT).await.unwrap_err(), HttpError::Broken { .. }));
    }
}
