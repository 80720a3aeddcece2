//! The operator as a process of this machine, which can be killed at any moment.

use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::json;
use tempfile::TempDir;

/// Lines of its log that a failure shows.
const TAIL: usize = 60;

/// One operator for one namespace.
pub struct Operator {
    namespace: String,
    folder: TempDir,
    child: Mutex<Option<Child>>,
    /// One that was stopped for a while, and then goes on beside it.
    late: Mutex<Option<Child>>,
}

impl Operator {
    /// Not started yet; it will speak to the API server through that port of this machine.
    pub fn new(namespace: &str, proxy: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://127.0.0.1:{proxy}")}}],
            "users": [{"name": "proxy", "user": {}}],
        });
        fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        Self { namespace: namespace.to_owned(), folder, child: Mutex::new(None), late: Mutex::new(None) }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Starts it, or another one after it was killed.
    pub fn start(&self) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log: File = OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_menagerie"))
            .args(["operator", "--namespaces", &self.namespace, "--selector", "menagerie.dev/by=crash"])
            .args(["--image", "docker.io/menagerie/operator:dev", "--image-pull-policy", "IfNotPresent"])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let before = self.child.lock().unwrap_or_else(PoisonError::into_inner).replace(child);
        assert!(before.is_none(), "the operator runs already");
    }

    /// SIGKILL, and back when it is gone.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGSTOP, and starts another one.
    pub fn stop_and_start_another(&self) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(child) = child else { return };
        signal(&child, "STOP");
        self.end_late();
        *self.late.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        self.start();
    }

    /// SIGCONT to the one that was stopped.
    pub fn wake(&self) {
        if let Some(late) = &*self.late.lock().unwrap_or_else(PoisonError::into_inner) {
            signal(late, "CONT");
        }
    }

    /// SIGKILL to the one that was stopped.
    pub fn end_late(&self) {
        if let Some(mut late) = self.late.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = late.kill();
            let _ = late.wait();
        }
    }

    /// Whether it ended by itself: it never should.
    pub fn ended(&self) -> Option<String> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.as_mut()?.try_wait().unwrap().map(|status| format!("the operator ended by itself: {status}"))
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
        self.end_late();
    }
}

fn signal(child: &Child, signal: &str) {
    let status = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(status.success(), "kill -{signal}: {status}");
}
