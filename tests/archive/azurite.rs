//! A store that speaks Azure Blob Storage, azurite, which `dev/cluster build` installs, with a proxy before it. `MENAGERIE_STORES` names
//! the folder with it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use menagerie::archive::access::azure::AzureAccess;
use menagerie::archive::access::{Access, Network};
use menagerie::archive::store::{Store, StoreError};
use menagerie::archive::target::Target;
use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};
use object_store::client::HttpRequestBody;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use super::gateway::{BUCKET, PREFIX};
use super::proxy::Proxy;

pub const ACCOUNT: &str = "menagerie";
/// `test-secret`.
pub const KEY: &str = "dGVzdC1zZWNyZXQ=";
/// However slow the machine is.
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Azurite {
    pub proxy: Proxy,
    process: Child,
    _folder: TempDir,
}

impl Azurite {
    /// With a container of the name of all our buckets.
    pub async fn start() -> Self {
        let stores = std::env::var("MENAGERIE_STORES")
            .expect("run this through `dev/test`, which names the folder with the stores");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new(Path::new(&stores).join("azurite-blob"))
            // In the environment: an argument would be seen by everybody. It is of an older version of the protocol than the library.
            .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"))
            .args(["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--blobHost", "127.0.0.1"])
            .args(["--blobPort", &address.port().to_string(), "--location"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { proxy: Proxy::before(address).await, process, _folder: folder };
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "azurite does not listen on {address}");
            sleep(Duration::from_millis(50)).await;
        }
        create_container(address).await;
        started
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.proxy.address)
    }

    pub fn store(&self) -> Store {
        self.open(BUCKET, KEY).unwrap()
    }

    pub fn open(&self, container: &str, key: &str) -> Result<Store, StoreError> {
        let (endpoint, key) = (Some(self.endpoint()), Some(key.to_owned()));
        let access = Access::Azure(AzureAccess { endpoint, key, network: Network::default() });
        let (account, container, prefix) = (ACCOUNT.to_owned(), container.to_owned(), PREFIX.to_owned());
        Store::open_with(&Target::Azure { account, container, prefix }, &access)
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// The library makes none.
async fn create_container(address: SocketAddr) {
    let uri = format!("http://{address}/{ACCOUNT}/{BUCKET}?restype=container");
    let mut signed = Request::put(uri).header("content-length", "0").body(HttpRequestBody::empty()).unwrap();
    let key = AzureCredential::AccessKey(AzureAccessKey::try_new(KEY).unwrap());
    AzureAuthorizer::new(&key, ACCOUNT).try_authorize(&mut signed).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let answer = client.request(signed.map(|_| Body::empty())).await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}
