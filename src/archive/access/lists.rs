//! The client that takes no page of a web site for a list: what is no XML parses as an empty one, and a console's port "had no archive".

use std::pin::Pin;

use axum::http::{HeaderMap, header};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// What an answer to a list is called that is none.
const OTHERS: [&str; 2] = ["text/html", "application/json"];

/// That an answer is not a store's.
#[derive(Debug, thiserror::Error)]
#[error("what it answers is no list of a store but {0}: is its address that of a store, and not of its console?")]
struct NoList(&'static str);

/// Makes such clients.
#[derive(Debug)]
pub(super) struct Lists;

impl HttpConnector for Lists {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Checked(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Checked(HttpClient);

impl HttpService for Checked {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let lists = request.uri().query().is_some_and(is_list);
            let answer = self.0.execute(request).await?;
            match other(answer.headers()).filter(|_| lists && answer.status().is_success()) {
                Some(other) => Err(HttpError::new(HttpErrorKind::Decode, NoList(other))),
                None => Ok(answer),
            }
        })
    }
}

/// As S3 and Google, and as Azure asks for one.
fn is_list(query: &str) -> bool {
    query.split('&').any(|part| ["list-type=2", "comp=list"].contains(&part))
}

fn other(headers: &HeaderMap) -> Option<&'static str> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?.to_ascii_lowercase();
    OTHERS.into_iter().find(|other| text.starts_with(other))
}
