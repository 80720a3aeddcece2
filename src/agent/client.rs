//! The client of an agent: for the operator, for founders that ask each other at a birth, and for backups that read a member's files.

use std::io;
use std::time::Duration;

use crate::archive::seal::{Keys, OpenError, Sealed, sealed_length};
use crate::http::{self, HttpError};
use crate::model::layout::{AGENT_PORT, FILES_PATH, MEMBER_PATH};
use crate::model::{MemberTruth, address};

use super::files::{CHUNK, FileFacts, LIST, chunk_name, key, unpacked};

/// An agent answers in milliseconds; a node that was cut off never answers.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// If nobody listens at a birth, the connection is refused at once; only a lost packet takes this long.
pub const PATIENCE_AT_BIRTH: Duration = Duration::from_secs(1);
/// For a list or a chunk of a file: the agent waits for its disk for 2 s.
const PATIENCE_FOR_FILES: Duration = Duration::from_secs(10);
/// The longest list: 10,000 names.
const LONGEST_LIST: usize = 2 << 20;

/// What the member on that host says about itself, within that time and [`http::LIMIT`].
pub async fn member(host: &str, patience: Duration) -> Result<MemberTruth, HttpError> {
    http::get_json(&format!("http://{}{MEMBER_PATH}", address::with_port(host, AGENT_PORT)), patience).await
}

/// Reads a member's files, for those who know the super user's password.
pub struct FilesReader {
    agent: String,
    keys: Keys,
    token: String,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// There is no such file any more.
    #[error("{0} is gone")]
    Gone(String),
    /// The agent is older than these questions.
    #[error(
        "the agent is of an older release, and does not give its member's files: wait until all members run this one (RestartPending of the ensemble)"
    )]
    Older,
    /// The agent has another password.
    #[error(
        "the agent does not take the super user's password: the Secret was changed, and this pod does not have the new one yet; it is tried again"
    )]
    Password,
    /// It did not answer as it should.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// What it answered is not from who has the key.
    #[error("something has answered in the agent's place about {0} (a proxy or a mesh?): {1}")]
    Forged(String, OpenError),
    /// It cannot be unpacked.
    #[error("the answer about {0} cannot be unpacked: {1}")]
    Packing(String, io::Error),
    /// It is no list.
    #[error("the list of files cannot be read: {0}")]
    List(serde_json::Error),
}

impl FilesReader {
    /// Of the agent at `HOST:PORT`; `None` if no key comes of the password.
    pub fn new(agent: &str, password: &str) -> Option<Self> {
        let keys = key(password)?;
        let token = keys.id().ok()?.to_string();
        Some(Self { agent: agent.to_owned(), keys, token })
    }

    /// All logs and snapshots.
    pub async fn list(&self) -> Result<Vec<FileFacts>, FilesError> {
        let plain = match self.get(FILES_PATH, LIST, LONGEST_LIST).await {
            Err(FilesError::Gone(_)) => return Err(FilesError::Older),
            plain => plain?,
        };
        serde_json::from_slice(&plain).map_err(FilesError::List)
    }

    /// Up to [`CHUNK`] bytes of a file; none behind its end.
    pub async fn chunk(&self, name: &str, from: u64) -> Result<Vec<u8>, FilesError> {
        self.get(&format!("{FILES_PATH}/{name}/{from}"), &chunk_name(name, from), CHUNK).await
    }

    async fn get(&self, path: &str, name: &str, most: usize) -> Result<Vec<u8>, FilesError> {
        let url = format!("http://{}{path}", self.agent);
        // What cannot be packed becomes a little longer.
        let longest =
            usize::try_from(sealed_length(zstd::zstd_safe::compress_bound(most) as u64)).unwrap_or(usize::MAX);
        let bytes = match http::get_as(&url, Some(&self.token), PATIENCE_FOR_FILES, longest).await {
            Err(HttpError::Status { status: 404, .. }) => return Err(FilesError::Gone(name.to_owned())),
            Err(HttpError::Status { status: 401, .. }) => return Err(FilesError::Password),
            bytes => bytes?,
        };
        let sealed = Sealed { bytes: &bytes, length: bytes.len() as u64 };
        let opened = self.keys.open(name, sealed).map_err(|why| FilesError::Forged(name.to_owned(), why))?;
        unpacked(&opened, most).map_err(|error| FilesError::Packing(name.to_owned(), error))
    }
}
