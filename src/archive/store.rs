//! An archive's store: objects that are made once and read by name.
//!
//! Invariants: every request ends within its timeout; of a store and its clones one object is on its way at a time, and who asked first
//! is first, so that a segment waits for one part of a base at most; lists are small and wait for nothing; nothing is overwritten; what is there already is a question, and the answer
//! is read back ([`Put::Taken`]); no object is read that is larger than any of ours.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Certificate, ClientConfigKey, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode,
    PutOptions, PutPayload, RetryConfig,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::model::bounded::words;

use super::endpoint;
use super::target::Target;

/// How long one request may take with all its retries. A segment of 8 MiB needs 90 KB/s.
const PATIENCE: Duration = Duration::from_secs(90);
/// The library neither signs a retry anew nor renews a token for it, so that its own retries end soon; ours go on.
const RETRIES: usize = 3;
const RETRY_FOR: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// No object of ours is larger: 64 MiB of log, packed.
const LARGEST: u64 = 72 << 20;
/// How the store's own words begin.
const SAYS: &str = "the store says";
/// How many names one list may bring.
const MOST_NAMES: usize = 1_000_000;

/// Where an archive is, with the right to use it.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    target: Target,
    /// Host and port, where it is not Amazon's.
    address: Option<String>,
    /// Whether the store itself refuses a second object of one name.
    create_only: bool,
    /// Whose object is on its way. Who waits for it gets it in the order of asking.
    turn: Arc<Mutex<()>>,
}

/// The right to use an S3 store, and where it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// Its region; without one, `us-east-1`.
    pub region: Option<String>,
    /// Its address, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// The id of an access key and its secret; without them, the pod's own identity.
    pub keys: Option<(String, String)>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys are a secret.
        f.debug_struct("Access").field("region", &self.region).field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// An object, as the store lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was stored, in milliseconds since 1970 by the store's clock.
    pub stored: i64,
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is stored.
    Stored,
    /// An object of that name is there already, or a race is on: read it.
    Taken,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {target}: {why}")]
pub struct StoreError {
    /// What kind of answer that is.
    pub kind: StoreErrorKind,
    doing: String,
    target: String,
    why: String,
}

/// What a store's refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// There is no such folder or object.
    Missing,
    /// The store has no such bucket.
    NoBucket,
    /// There are no keys, and neither the pod nor the machine has an identity of its own.
    NoCredentials,
    /// A right is missing, or the credentials are wrong.
    Denied,
    /// It does not know what it was asked for.
    NotImplemented,
    /// It has more bytes than any object of ours.
    TooLarge,
    /// Where it is, is not said as it has to be.
    NoAddress,
    /// Anything else: no answer, an error of the store, a timeout.
    Unavailable,
}

impl StoreError {
    /// Whether it may be the object's alone that was asked for: one right is missing, or it is frozen, or none of ours.
    pub fn is_of_one_object(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Denied | StoreErrorKind::TooLarge)
    }
}

/// Where the library looks for credentials when there are no others: the metadata address of the machine, which most machines have not.
const METADATA: [&str; 2] = ["/latest/api/token", "/latest/meta-data/"];
const NO_CREDENTIALS: &str = "there are no credentials: set credentialsSecret, or give the pods' service account an identity that the store \
                              knows; the node's metadata address was asked and gives none";

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.target)
    }
}

impl Store {
    /// Opens a store with what the environment says of S3, for people. Asks it nothing yet.
    pub fn open(target: &Target) -> Result<Self, StoreError> {
        Self::new(target, AmazonS3Builder::from_env())
    }

    /// Opens a store with this access and nothing from the environment but the pod's own identity. Asks it nothing yet.
    pub fn open_with(target: &Target, access: &Access) -> Result<Self, StoreError> {
        let Access { region, endpoint, keys } = access;
        let mut builder = match keys {
            Some((id, secret)) => AmazonS3Builder::new().with_access_key_id(id).with_secret_access_key(secret),
            None => AmazonS3Builder::from_env(),
        };
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        Self::new(target, builder)
    }

    fn new(target: &Target, builder: AmazonS3Builder) -> Result<Self, StoreError> {
        let failed = |error: object_store::Error| StoreError::of("open", &target.to_string(), &error);
        let mut address = None;
        let (objects, prefix): (Arc<dyn ObjectStore>, _) = match target {
            Target::File { folder } => {
                let store = LocalFileSystem::new_with_prefix(folder).map_err(failed)?.with_fsync(true);
                (Arc::new(store.with_automatic_cleanup(false)), "")
            }
            Target::S3 { bucket, prefix } => {
                let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_FOR, ..RetryConfig::default() };
                let client = ClientOptions::new().with_timeout(PATIENCE).with_connect_timeout(CONNECT);
                let http = builder.get_config_value(&AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
                let http = http.is_some_and(|value| value == "true");
                let of = |key| builder.get_config_value(&key).filter(|endpoint| !endpoint.is_empty());
                if let Some(endpoint) = of(AmazonS3ConfigKey::S3Endpoint).or_else(|| of(AmazonS3ConfigKey::Endpoint)) {
                    endpoint::check(endpoint::name(&endpoint), &endpoint, http).map_err(|why| StoreError {
                        kind: StoreErrorKind::NoAddress,
                        doing: "cannot open".to_owned(),
                        target: target.to_string(),
                        why,
                    })?;
                    address = endpoint::authority(&endpoint);
                }
                let client = trusting(client).map_err(failed)?.with_allow_http(http);
                let builder = builder.with_bucket_name(bucket).with_retry(retry).with_client_options(client);
                // Many a store has no bulk delete, and the library panics if an answer to one names a strange object.
                let builder = builder.with_disable_bulk_delete(true);
                (Arc::new(builder.build().map_err(failed)?), prefix.as_str())
            }
        };
        let (prefix, turn) = (Path::from(prefix), Arc::default());
        Ok(Self { objects, prefix, target: target.clone(), address, create_only: true, turn })
    }

    /// The same, for a store that would overwrite: each put looks first. Two that put one name within a moment are not told apart.
    #[must_use]
    pub fn looking_first(self) -> Self {
        Self { create_only: false, ..self }
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Stores an object under a name that has none.
    pub async fn put(&self, name: &str, object: Bytes) -> Result<Put, StoreError> {
        let mode = if self.create_only { PutMode::Create } else { PutMode::Overwrite };
        let options = PutOptions { mode, ..PutOptions::default() };
        let path = self.path(name);
        let put = async {
            if !self.create_only {
                match self.objects.head(&path).await {
                    Ok(_) => return Ok(Put::Taken),
                    Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            match self.objects.put_opts(&path, PutPayload::from_bytes(object), options).await {
                Ok(_) => Ok(Put::Stored),
                // Azure before object_store 0.14.2 said the second for the first; S3 says 409 where two write at once.
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    Ok(Put::Taken)
                }
                Err(error) => Err(error),
            }
        };
        let _turn = self.turn.lock().await;
        self.bounded("store", name, put).await
    }

    /// Reads an object, or its first bytes; `None` if there is none.
    pub async fn get(&self, name: &str, first: Option<usize>) -> Result<Option<Bytes>, StoreError> {
        let path = self.path(name);
        let range = first.map(|first| GetRange::Bounded(0..first as u64));
        let get = async {
            let options = GetOptions { range, ..GetOptions::default() };
            let result = match self.objects.get_opts(&path, options).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                other => other?,
            };
            if result.range.end - result.range.start > LARGEST {
                return Ok(Some(Err(result.meta.size)));
            }
            result.bytes().await.map(|bytes| Some(Ok(bytes)))
        };
        let _turn = self.turn.lock().await;
        let too_large = |size| {
            let why = format!("it has {size} bytes, and no object of an archive has more than {LARGEST}");
            StoreError { kind: StoreErrorKind::TooLarge, ..self.failed("read", name, &why) }
        };
        self.bounded("read", name, get).await?.transpose().map_err(too_large)
    }

    /// The names of the folders in a folder.
    pub async fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let path = self.path(folder);
        let listed = self.bounded("list", folder, self.objects.list_with_delimiter(Some(&path))).await?;
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// The names of all objects below a folder, in the order of names.
    pub async fn names(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        self.each(folder, |name| names.push(name)).await?;
        names.sort_unstable();
        Ok(names)
    }

    /// The greatest name below a folder of those that count, in constant memory.
    pub async fn greatest(&self, folder: &str, counts: impl Fn(&str) -> bool) -> Result<Option<String>, StoreError> {
        let mut greatest: Option<String> = None;
        self.each(folder, |name| {
            if counts(&name) && greatest.as_ref().is_none_or(|greatest| name > *greatest) {
                greatest = Some(name);
            }
        })
        .await?;
        Ok(greatest)
    }

    async fn each(&self, folder: &str, mut take: impl FnMut(String)) -> Result<(), StoreError> {
        self.entries(folder, MOST_NAMES, |object| take(object.name)).await
    }

    /// Each object below a folder, in whatever order the store has them. Every page of the list has a time limit of its own, and one of
    /// more than `most` objects is an error.
    pub async fn entries(&self, folder: &str, most: usize, mut take: impl FnMut(Listed)) -> Result<(), StoreError> {
        let path = self.path(folder);
        let mut listing = self.objects.list(Some(&path));
        let mut number = 0;
        while let Some(object) = self.bounded("list", folder, listing.try_next()).await? {
            number += 1;
            if number > most {
                return Err(self.failed("list", folder, &format!("it has more than {most} objects")));
            }
            if let Some(name) = self.name(&object.location) {
                take(Listed { name, bytes: object.size, stored: object.last_modified.timestamp_millis() });
            }
        }
        Ok(())
    }

    /// What the store says of an object; `None` if there is none. Unlike a list, it is never old.
    pub async fn look(&self, name: &str) -> Result<Option<Listed>, StoreError> {
        let path = self.path(name);
        let head = async {
            match self.objects.head(&path).await {
                Ok(object) => Ok(Some(object)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let object = self.bounded("read", name, head).await?;
        Ok(object.map(|object| {
            let (bytes, stored) = (object.size, object.last_modified.timestamp_millis());
            Listed { name: name.to_owned(), bytes, stored }
        }))
    }

    /// Deletes an object. One that is not there is deleted.
    pub async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        let delete = async {
            match self.objects.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        };
        self.bounded("delete", name, delete).await
    }

    /// Forgets a folder in which nothing is left. Only a file system knows of such a one.
    pub(super) fn forget_folder(&self, folder: &str) {
        if let Target::File { folder: root } = &self.target {
            // It stays if there is anything in it.
            let _ = std::fs::remove_dir(root.join(folder));
        }
    }

    /// An answer that is none, or none that can be.
    pub(super) fn failed(&self, doing: &str, name: &str, why: &str) -> StoreError {
        let target = format!("{}/{name}", self.target);
        let kind = StoreErrorKind::Unavailable;
        StoreError { kind, doing: format!("cannot {doing}"), target, why: why.to_owned() }
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.parts().chain(Path::from(name).parts()).collect()
    }

    fn name(&self, path: &Path) -> Option<String> {
        let parts: Vec<_> = path.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned()).collect();
        Some(parts.join("/"))
    }

    async fn bounded<T>(
        &self,
        doing: &str,
        name: &str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        let what = format!("{}/{name}", self.target);
        let Ok(done) = timeout(PATIENCE, work).await else {
            return Err(self.failed(doing, name, &format!("no answer within {} s", PATIENCE.as_secs())));
        };
        done.map_err(|error| StoreError::of(doing, &what, &error).at(self.address.as_deref()))
    }
}

/// Trusts whom the system trusts. The operator's image has no system: there, whom Mozilla trusts.
fn trusting(client: ClientOptions) -> object_store::Result<ClientOptions> {
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    let there =
        ["/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/pki"].iter().any(|path| std::path::Path::new(path).exists());
    if named || there {
        return Ok(client);
    }
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    roots
        .map(|root| Certificate::from_der(root))
        .try_fold(client.with_no_system_certificates(true), |client, root| Ok(client.with_root_certificate(root?)))
}

impl StoreError {
    fn of(doing: &str, target: &str, error: &object_store::Error) -> Self {
        use object_store::Error::{NotFound, NotImplemented, PermissionDenied, Unauthenticated};
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            let text = next.to_string();
            if !why.contains(&text) {
                why = format!("{why}: {text}");
            }
            cause = next.source();
        }
        // Of a file: the library has no kind for that.
        let forbidden = target.starts_with("file://") && is_forbidden(error);
        // A refused list is a generic error, with the store's answer in its text.
        let kind = match error {
            _ if METADATA.iter().any(|path| why.contains(path)) => StoreErrorKind::NoCredentials,
            _ if why.contains("<Code>NoSuchBucket</Code>") => StoreErrorKind::NoBucket,
            NotFound { .. } => StoreErrorKind::Missing,
            NotImplemented { .. } => StoreErrorKind::NotImplemented,
            PermissionDenied { .. } | Unauthenticated { .. } => StoreErrorKind::Denied,
            _ if forbidden => StoreErrorKind::Denied,
            _ if why.contains("403 Forbidden") || why.contains("401 Unauthorized") => StoreErrorKind::Denied,
            _ if why.contains("501 Not Implemented") => StoreErrorKind::NotImplemented,
            _ if why.contains("404 Not Found") => StoreErrorKind::Missing,
            _ => StoreErrorKind::Unavailable,
        };
        let why = said(&why).or_else(|| asked(error)).unwrap_or(why);
        let why = match kind {
            StoreErrorKind::NoCredentials => format!("{NO_CREDENTIALS}: {why}"),
            _ => why,
        };
        Self { kind, doing: format!("cannot {doing}"), target: target.to_owned(), why: words(&why) }
    }

    /// The same with where the store was looked for, if it did not answer.
    fn at(self, address: Option<&str>) -> Self {
        match address {
            Some(address) if self.kind == StoreErrorKind::Unavailable && !self.why.starts_with(SAYS) => {
                Self { target: format!("{} at {address}", self.target), ..self }
            }
            _ => self,
        }
    }
}

/// Whether the system denies it.
fn is_forbidden(error: &object_store::Error) -> bool {
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(cause) = next {
        let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if kind == Some(std::io::ErrorKind::PermissionDenied) {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Why a request failed, the innermost cause first: its address and its retries come before the cause in the library's words, and
/// [`words`] would cut the cause off. `None` where no address is in them.
fn asked(error: &object_store::Error) -> Option<String> {
    let mut texts = Vec::new();
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    if !texts.iter().any(|text| text.contains("://")) {
        return None;
    }
    let mut causes: Vec<&str> = Vec::new();
    for text in texts.iter().rev().filter(|text| !text.contains("://")) {
        if !text.trim().is_empty() && !causes.iter().any(|inner| text.contains(inner)) {
            causes.push(text);
        }
    }
    if !causes.is_empty() {
        return Some(causes.join(", "));
    }
    let innermost = texts.last()?.split_whitespace().filter(|word| !word.contains("://"));
    Some(innermost.collect::<Vec<_>>().join(" "))
}

/// What the store itself says in its answer: S3's code and message.
fn said(text: &str) -> Option<String> {
    let tag = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(value, _)| value)
    };
    let (code, message) = (tag("Code")?, tag("Message").unwrap_or_default());
    let clock =
        if code == "RequestTimeTooSkewed" { " (the clock of this machine or of the store is wrong)" } else { "" };
    Some(format!("{SAYS} {}: {}{clock}", unescaped(code), unescaped(message)))
}

/// Text of XML as it is meant.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        // No entity of one character is longer than `#1114111`.
        let entity = after.find(';').filter(|&end| end <= 8).map(|end| (&after[..end], &after[end + 1..]));
        let known = entity.and_then(|(name, after)| Some((character(name)?, after)));
        let (character, after) = known.unwrap_or(('&', after));
        plain.push(character);
        rest = after;
    }
    plain.push_str(rest);
    plain
}

fn character(entity: &str) -> Option<char> {
    let number = match entity {
        "amp" => return Some('&'),
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        other => other.strip_prefix('#')?,
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    char::from_u32(code.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_store_are_its_own_code_and_message() {
        let text = "Generic S3 error: GET http://h/b?x - Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?><Error><Code>RequestTimeTooSkewed</Code><Message>too far</Message></Error>";
        let source = text.to_owned().into();
        let error = StoreError::of("list", "s3://b", &object_store::Error::Generic { store: "S3", source });
        assert_eq!(error.kind, StoreErrorKind::Denied);
        let want = "cannot list s3://b: the store says RequestTimeTooSkewed: too far (the clock of this machine or of the store is wrong)";
        assert_eq!(error.to_string(), want);
        assert_eq!(said("connection refused"), None);
    }

    #[test]
    fn what_a_store_escapes_is_said_as_it_is_meant() {
        let text = "<Code>InvalidArgument</Code><Message>&#34;a&#x26;&#38;b&quot; &lt;&gt;&apos;&amp;lt; &nbsp; & &#xD800; &#99999999999; &;</Message>";
        let want = "the store says InvalidArgument: \"a&&b\" <>'&lt; &nbsp; & &#xD800; &#99999999999; &;";
        assert_eq!(said(text).unwrap(), want);
    }

    #[test]
    fn a_store_that_does_not_answer_is_named_by_its_address() {
        let error = |text: &str| {
            let source = text.to_owned().into();
            let error = object_store::Error::Generic { store: "S3", source };
            StoreError::of("list", "s3://b", &error).at(Some("minio:9000")).to_string()
        };
        assert_eq!(
            error("connection refused"),
            "cannot list s3://b at minio:9000: Generic S3 error: connection refused"
        );
        assert!(error("500: <Code>InternalError</Code>").starts_with("cannot list s3://b: the store says"));
    }

    #[test]
    fn a_file_that_may_not_be_read_is_refused_and_a_connection_that_the_system_forbids_is_not() {
        let kind = |target: &str| {
            let source = Box::new(std::io::Error::from(std::io::ErrorKind::PermissionDenied));
            StoreError::of("read", target, &object_store::Error::Generic { store: "any", source }).kind
        };
        assert_eq!(kind("file:///archive/a"), StoreErrorKind::Denied);
        assert_eq!(kind("s3://archive/a"), StoreErrorKind::Unavailable);
    }

    /// One error around another.
    #[derive(Debug)]
    struct Around(String, Option<Box<Around>>);

    impl fmt::Display for Around {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }
    }

    impl Error for Around {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|inner| inner as &dyn Error)
        }
    }

    /// Both agent and founder said that the store does not answer.
    #[test]
    fn who_has_no_credentials_is_told_so_and_not_of_an_address_that_nobody_has_set() {
        let url = "http://169.254.169.254/latest/api/token";
        let text = format!(
            "Error performing PUT {url} in 30s, after 3 retries, max_retries: 3, retry_timeout: 30s  - HTTP error: error sending request"
        );
        let error =
            StoreError::of("store", "s3://b/x", &object_store::Error::Generic { store: "S3", source: text.into() });
        assert_eq!(error.kind, StoreErrorKind::NoCredentials);
        assert!(
            error.to_string().starts_with("cannot store s3://b/x: there are no credentials: set credentialsSecret"),
            "{error}"
        );
        assert!(!error.to_string().contains("169.254"), "{error}");
    }

    #[test]
    fn a_bucket_that_is_not_there_is_told_from_a_store_that_does_not_answer() {
        let text = "Client error with status 404 Not Found: <?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";
        let not_found = object_store::Error::NotFound { path: "x".to_owned(), source: text.into() };
        let listed = object_store::Error::Generic { store: "S3", source: text.into() };
        for error in [not_found, listed] {
            let error = StoreError::of("store", "s3://b/x", &error);
            assert_eq!(error.kind, StoreErrorKind::NoBucket);
            assert_eq!(
                error.to_string(),
                "cannot store s3://b/x: the store says NoSuchBucket: The specified bucket does not exist"
            );
        }
    }

    /// It was cut within the address of the request: nobody saw whether it was the name, the port or the certificate.
    #[test]
    fn the_innermost_cause_of_a_failed_request_comes_before_what_is_cut() {
        let url = format!("http://minio.storage.svc:9000/backups?delimiter=%2F&prefix={}", "4c52".repeat(100));
        let texts = [
            "Error performing list request".to_owned(),
            format!(
                "Error performing GET {url} in 45s, after 3 retries, max_retries: 3, retry_timeout: 30s  - HTTP error"
            ),
            "HTTP error: error sending request".to_owned(),
            "error sending request".to_owned(),
            format!("error sending request for url ({url})"),
            "client error (Connect)".to_owned(),
            "dns error".to_owned(),
            "failed to lookup address information: Name or service not known".to_owned(),
        ];
        let chain = texts.into_iter().rev().fold(None, |inner, text| Some(Box::new(Around(text, inner))));
        let error = object_store::Error::Generic { store: "S3", source: chain.unwrap() };
        let error = StoreError::of("list", "s3://backups/4c52", &error).to_string();
        let want = "cannot list s3://backups/4c52: failed to lookup address information: Name or service not known, dns error, ";
        assert!(error.starts_with(want), "{error}");
        assert!(!error.contains("://minio") && !error.contains("retries"), "{error}");
    }

    #[test]
    fn a_cause_with_an_address_in_it_is_said_without_the_address() {
        let source = "GET http://h/b?x - Server returned status 500".to_owned().into();
        let error = StoreError::of("list", "s3://b", &object_store::Error::Generic { store: "S3", source });
        assert!(!error.to_string().contains("http://h"), "{error}");
        assert!(error.to_string().contains("Server returned status 500"), "{error}");
    }
}
