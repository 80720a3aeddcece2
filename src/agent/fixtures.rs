//! What tests of several files begin with.

use tokio::net::TcpListener;

use super::seed::Seed;
use super::truth::Ports;
use crate::model::Charter;

/// The seed that a member with this charter is given.
pub fn seed(charter: &Charter) -> Seed {
    Seed::parse(&serde_json::to_string(charter).unwrap(), "tickTime=2000\n".into(), "pw").unwrap()
}

/// `host:port` at which nobody listens.
pub async fn free() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

/// Where no server is.
pub async fn nobody() -> Ports {
    Ports { admin: format!("http://{}", free().await), client: free().await, quorum: 2888 }
}
