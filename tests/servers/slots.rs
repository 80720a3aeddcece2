//! What the agent says of servers whose client port takes nobody, and whose numbers come from Prometheus.

use std::time::Duration;

use axum::Router;
use menagerie::http;
use menagerie::model::truth::ServerState;
use menagerie::model::{MemberTruth, Membership};
use tokio::net::{TcpListener, TcpStream};

use crate::ensemble::{Ensemble, leads, serves};

const SETTINGS: &str = "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider\n\
                        metricsProvider.httpPort=7000\nleaderServes=no\nmaxCnxns=5";

async fn recognised(version: &str, net: u8) {
    let mut ensemble = Ensemble::new(version, net, SETTINGS);
    for id in 1..=3 {
        ensemble.start(id);
    }
    let mut leaders = 0;
    for id in 1..=3 {
        let agent = ensemble.agent(id, 2888).await;
        let truth = ensemble.until(&agent, "it serves", serves).await;
        leaders += usize::from(leads(&truth));
        // Every place is taken, and the next connection is hung up on.
        let mut taken = Vec::new();
        for _ in 0..20 {
            // Of one that is hung up on at once, the connecting itself may fail.
            taken.extend(TcpStream::connect(ensemble.address(id, 2181)).await);
        }
        assert!(taken.len() >= 5, "{taken:?}");
        for _ in 0..20 {
            // One whose disk is slow in between is not ready, and not hung up on.
            match http::get(&format!("{agent}/ready"), Duration::from_secs(5)).await {
                Ok(line) => assert!(line.starts_with(b"serving as ")),
                Err(error) => assert!(error.to_string().contains(" within "), "{error}"),
            }
        }
        let ServerState::Serving(serving) = ensemble.until(&agent, "it serves", serves).await.server else { panic!() };
        let membership = Membership::parse(&serving.membership).unwrap();
        assert_eq!(membership.voters().count(), 3);
        assert!(membership.version.0 > 0, "{membership:?}");
    }
    assert_eq!(leaders, 1);
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn case_01_02_07_08_servers_that_take_no_client_are_recognised_3_9_5() {
    recognised("3.9.5", 21).await;
}

#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn case_01_02_07_08_servers_that_take_no_client_are_recognised_3_8_5() {
    recognised("3.8.5", 22).await;
}

/// A sidecar that starts first and speaks `AdminServer`'s language: a `ZooKeeper` of its own.
#[tokio::test]
#[ignore = "needs Java: dev/test servers"]
async fn what_another_process_says_on_the_port_of_the_admin_server_is_not_believed() {
    let mut ensemble = Ensemble::new("3.9.5", 27, "");
    let listener = TcpListener::bind(ensemble.address(1, 8080)).await.unwrap();
    let standalone =
        include_str!("../fixtures/admin/3.9.5/follower-server_stats.json").replace("follower", "standalone");
    let app = Router::new().fallback(move || async move { standalone });
    tokio::spawn(async move { axum::serve(listener, app).await });
    for id in 1..=3 {
        ensemble.start(id);
    }
    let (held, own) = (ensemble.agent(1, 2888).await, ensemble.agent(2, 2888).await);
    ensemble.until(&own, "it serves", serves).await;
    let said =
        |truth: &MemberTruth| matches!(&truth.server, ServerState::Silent { reason } if reason.contains("port 8080"));
    ensemble.until(&held, "who holds the port", said).await;
}
