//! A real S3 store, versitygw, which `dev/cluster build` makes. `MENAGERIE_STORES` names the folder with it.

use std::ffi::OsStr;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use menagerie::archive::access::s3::S3Access;
use menagerie::archive::access::{Access, Network};
use menagerie::archive::store::{Store, StoreError};
use menagerie::archive::target::Target;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

pub const KEY: &str = "test-key";
pub const SECRET: &str = "test-secret";
pub const BUCKET: &str = "backups";
pub const PREFIX: &str = "zookeeper/a";
/// However slow the machine is.
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Gateway {
    folder: TempDir,
    pub address: SocketAddr,
    process: Option<Child>,
    /// Its certificate and key, if it speaks TLS.
    tls: Option<(PathBuf, PathBuf)>,
}

impl Gateway {
    /// Runs one at an address of this machine.
    pub async fn start(address: IpAddr) -> Self {
        Self::start_as(address, None).await
    }

    /// With the files of a certificate and its key, it speaks TLS.
    pub async fn start_as(address: IpAddr, tls: Option<(PathBuf, PathBuf)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["data", "data/backups", "meta"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let free = TcpListener::bind((address, 0)).await.unwrap();
        let mut gateway = Self { folder, address: free.local_addr().unwrap(), process: None, tls };
        drop(free);
        gateway.run().await;
        gateway
    }

    pub async fn run(&mut self) {
        let stores = std::env::var("MENAGERIE_STORES")
            .expect("run this through `dev/test`, which names the folder with the stores");
        let path = |name: &str| self.folder.path().join(name);
        let tls = self.tls.iter().flat_map(|(certificate, key)| {
            [OsStr::new("--cert"), certificate.as_os_str(), OsStr::new("--key"), key.as_os_str()]
        });
        // In the environment: an argument would be seen by everybody.
        let process = Command::new(Path::new(&stores).join("versitygw"))
            .env("ROOT_ACCESS_KEY_ID", KEY)
            .env("ROOT_SECRET_ACCESS_KEY", SECRET)
            .arg("--port")
            .arg(self.address.to_string())
            .arg("--quiet")
            .args(tls)
            .arg("posix")
            .arg("--sidecar")
            .arg(path("meta"))
            .arg(path("data"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let begun = Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "versitygw does not listen on {}", self.address);
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Makes an object of [`store`](Self::store) so much older.
    pub fn age(&self, name: &str, by: Duration) {
        let path = self.folder.path().join("data").join(BUCKET).join(PREFIX).join(name);
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - by).unwrap();
    }

    pub fn store(&self) -> Store {
        store_at(self.address, SECRET, BUCKET).unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn store_at(address: SocketAddr, secret: &str, bucket: &str) -> Result<Store, StoreError> {
    let access = S3Access {
        keys: Some((KEY.to_owned(), secret.to_owned())),
        ..S3Access::at(&format!("http://{address}"), Network::default())
    };
    let target = Target::S3 { bucket: bucket.to_owned(), prefix: PREFIX.to_owned() };
    Store::open_with(&target, &Access::S3(access))
}
