//! A store that speaks GCS, fake-gcs-server, which `dev/cluster build` makes, with a proxy before it. `MENAGERIE_STORES` names the
//! folder with it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use menagerie::archive::access::gcs::GcsAccess;
use menagerie::archive::access::{Access, Network};
use menagerie::archive::store::{Store, StoreError};
use menagerie::archive::target::Target;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use super::gateway::{BUCKET, PREFIX};
use super::proxy::{CreateOnly, Proxy};

/// However slow the machine is.
const PATIENCE: Duration = Duration::from_mins(1);
/// What fake-gcs-server takes: no token is asked for with it. The address in it leads nowhere, and must not count.
pub const KEY: &str = r#"{"private_key": "-", "private_key_id": "-", "client_email": "-", "gcs_base_url": "https://store.invalid", "disable_oauth": true}"#;

pub struct FakeGcs {
    pub proxy: Proxy,
    process: Child,
    _folder: TempDir,
}

impl FakeGcs {
    pub async fn start(create_only: CreateOnly) -> Self {
        let stores = std::env::var("MENAGERIE_STORES")
            .expect("run this through `dev/test`, which names the folder with the stores");
        let listen = async || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (listener, free) = (listen().await, listen().await);
        let (public, address) = (listener.local_addr().unwrap(), free.local_addr().unwrap());
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let process = Command::new(Path::new(&stores).join("fake-gcs-server"))
            .args(["-backend", "memory", "-scheme", "http", "-log-level", "error", "-host", "127.0.0.1"])
            .args(["-port", &address.port().to_string(), "-public-host", &public.to_string()])
            .arg("-data")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { proxy: Proxy::at(listener, address, create_only), process, _folder: folder };
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "fake-gcs-server does not listen on {address}");
            sleep(Duration::from_millis(20)).await;
        }
        started
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.proxy.address)
    }

    pub fn store(&self) -> Store {
        self.bucket(BUCKET).unwrap()
    }

    pub fn bucket(&self, bucket: &str) -> Result<Store, StoreError> {
        let (endpoint, key) = (Some(self.endpoint()), Some(KEY.to_owned()));
        let access = Access::Gcs(GcsAccess { endpoint, key, network: Network::default() });
        Store::open_with(&Target::Gcs { bucket: bucket.to_owned(), prefix: PREFIX.to_owned() }, &access)
    }
}

impl Drop for FakeGcs {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
