//! A second kind: what it has of its own is here, and all else is the kit. The API server is in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::{Json, Router};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType};
use kube::{Client, CustomResource, Resource as _, ResourceExt as _};
use prometheus_client::registry::Registry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::{Span, info_span};

use super::managed::{Managed, once};
use super::memory::{Memories, Memory};
use super::notes::Notes;
use super::pace::{After, Pace};
use super::pass::PassError;
use super::read::{Owner, live};
use super::timeout::ApiError;
use super::write::{Fence, apply};
use super::{Kit, events, metrics, status};
use crate::model::observed::{Kind, ObjectKey};
use crate::model::{Hindrance, Live};
use crate::plan::{ConditionStatus, UntimedCondition};
use crate::render::Rendered;

// The custom resource.

/// A tenant gets a `ConfigMap` that says where its part of the tree is.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[kube(group = "menagerie.dev", version = "v1alpha1", kind = "Tenant", namespaced, status = "TenantStatus")]
struct TenantSpec {
    path: String,
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
struct TenantStatus {
    conditions: Vec<Condition>,
}

// Its own `observe`.

struct Seen {
    path: String,
    config: Option<Live>,
    refused: Option<String>,
}

async fn observe(context: &Context, tenant: &Tenant) -> Result<Seen, ApiError> {
    let (name, uid) = (tenant.metadata.name.as_deref().unwrap(), tenant.metadata.uid.as_deref().unwrap());
    let owner = Owner { kind: "Tenant", label: "menagerie.dev/tenant", name, uid };
    let hindrances = context.memories.with("ns", name, |memory| memory.notes.hindrances(Instant::now()));
    let refused = hindrances.into_values().find_map(|hindrance| match hindrance {
        Hindrance::Refused { words, .. } => Some(words),
        Hindrance::Overruled(_) => None,
    });
    let config = live(&context.kit.client, "ns", &config(name), owner, false).await?;
    Ok(Seen { path: tenant.spec.path.clone(), config, refused })
}

fn config(tenant: &str) -> ObjectKey {
    ObjectKey { kind: Kind::ConfigMap, name: format!("{tenant}-config") }
}

// Its own `plan`.

#[derive(Debug, PartialEq)]
enum Step {
    Rest,
    Apply(Value),
    Wait(String),
}

fn plan(seen: &Seen) -> Step {
    match (&seen.config, &seen.refused) {
        (_, Some(words)) => Step::Wait(words.clone()),
        (None, None) => Step::Apply(json!({"path": seen.path})),
        (Some(_), None) => Step::Rest,
    }
}

// Its own `act`.

async fn act(context: &Context, tenant: &Tenant, step: &Step) -> Result<(), ApiError> {
    let Step::Apply(data) = step else { return Ok(()) };
    let name = tenant.metadata.name.as_deref().unwrap();
    let owner = tenant.controller_owner_ref(&());
    let key = config(name);
    let json = json!({
        "apiVersion": key.kind.resource().api_version, "kind": key.kind.as_str(), "data": data,
        "metadata": {"name": key.name, "ownerReferences": [owner]},
    });
    let object = Rendered { key, json };
    let answer = apply(&context.kit.client, "ns", &object, Fence::Absent).await;
    let now = Instant::now();
    context.memories.with("ns", name, |memory| memory.notes.answered(&object, Vec::new(), answer.as_ref(), now));
    answer.map(|_| ())
}

// And how they are put together.

struct Context {
    kit: Kit,
    memories: Memories<Memory>,
}

impl Managed for Context {
    type Object = Tenant;
    type Error = ApiError;
    const WORD: &'static str = "tenant";
    const OF_UNDECODABLE: &'static [(&'static str, ConditionStatus)] = &[("Ready", ConditionStatus::False)];

    fn kit(&self) -> &Kit {
        &self.kit
    }

    fn span(namespace: &str, name: &str, generation: Option<i64>) -> Span {
        info_span!("pass", namespace, tenant = name, generation)
    }

    fn pace(&self, namespace: &str, name: &str, look: impl FnOnce(&mut Pace) -> Duration) -> Duration {
        self.memories.with(namespace, name, |memory| look(&mut memory.pace))
    }

    async fn pass(&self, tenant: &Tenant) -> Result<Action, PassError<ApiError>> {
        pass(self, tenant).await
    }

    fn is_outdated(error: &ApiError) -> bool {
        error.is_outdated()
    }

    fn forget(&self, namespace: &str, name: &str) {
        self.memories.forget(namespace, name);
    }
}

async fn pass(context: &Context, tenant: &Tenant) -> Result<Action, PassError<ApiError>> {
    let seen = observe(context, tenant).await?;
    let step = plan(&seen);
    let outcome = act(context, tenant, &step).await;
    let (after, status, message) = match &step {
        Step::Rest => (After::Rest, ConditionStatus::True, String::new()),
        Step::Apply(_) => (After::Apply, ConditionStatus::False, "the ConfigMap is written".to_owned()),
        Step::Wait(words) => (After::Wait("Refused"), ConditionStatus::False, words.clone()),
    };
    let condition = UntimedCondition { name: "Ready", status, reason: "Config", message: message.clone() };
    let before = tenant.status.clone().unwrap_or_default();
    let conditions = status::conditions(&before.conditions, &[condition], tenant.metadata.generation);
    if conditions != before.conditions {
        let event = Event {
            type_: EventType::Normal,
            reason: "Config".into(),
            note: Some(message),
            action: "Apply".into(),
            secondary: None,
        };
        context.kit.events.say(&event, &tenant.object_ref(&())).await;
        status::write::<Tenant>(&context.kit.client, &tenant.metadata, &TenantStatus { conditions }).await?;
    }
    outcome.map_err(PassError::Act)?;
    let tenants = context.memories.count();
    Ok(Action::requeue(context.pace("ns", &tenant.name_any(), |pace| pace.after(after, tenants))))
}

/// Objects by their addresses. Of what is applied there is nothing that was there before.
#[derive(Clone, Default)]
struct ApiServer(Arc<Mutex<Objects>>);

#[derive(Default)]
struct Objects {
    at: BTreeMap<String, Value>,
    writes: Vec<String>,
    policy: bool,
}

async fn answer(State(server): State<ApiServer>, request: Request) -> (StatusCode, Json<Value>) {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut objects = server.0.lock().unwrap();
    let no = |code: StatusCode, reason: &str, message: &str| {
        let status = json!({"status": "Failure", "code": code.as_u16(), "reason": reason, "message": message});
        (code, Json(status))
    };
    let path = parts.uri.path().to_owned();
    if parts.method == Method::GET {
        let found = objects.at.get(&path).cloned();
        return found
            .map_or_else(|| no(StatusCode::NOT_FOUND, "NotFound", "not found"), |found| (StatusCode::OK, Json(found)));
    }
    let mut written: Value = serde_json::from_slice(&body).unwrap();
    if objects.policy && path.contains("/configmaps/") {
        return no(StatusCode::FORBIDDEN, "Forbidden", "denied by policy");
    }
    objects.writes.push(format!("{} {path}", parts.method));
    let version = objects.writes.len().to_string();
    if let Some(whole) = path.strip_suffix("/status") {
        let object = objects.at.get_mut(whole).unwrap();
        if written["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
            return no(StatusCode::CONFLICT, "Conflict", "the object has been modified");
        }
        object["status"] = written["status"].take();
        object["metadata"]["resourceVersion"] = json!(version);
        return (StatusCode::OK, Json(object.clone()));
    }
    written["metadata"]["uid"] = json!("made");
    objects.at.insert(path, written.clone());
    (StatusCode::OK, Json(written))
}

const TENANT: &str = "/apis/menagerie.dev/v1alpha1/namespaces/ns/tenants/t";
const CONFIG: &str = "/api/v1/namespaces/ns/configmaps/t-config";

#[tokio::test]
async fn a_second_kind_needs_its_own_observe_plan_and_act_and_nothing_else() {
    let server = ApiServer::default();
    let client = Client::new(Router::new().fallback(answer).with_state(server.clone()), "ns");
    let mut registry = Registry::default();
    let kit = Kit {
        events: events::Events::new(client.clone(), "test", None),
        metrics: metrics::Metrics::registered(&mut registry),
        client,
    };
    let context = Context { kit, memories: Memories::default() };
    let once = || once(&context, "ns", "t", Some(1));
    let objects = || server.0.lock().unwrap();
    objects().at.insert(
        TENANT.into(),
        json!({
            "apiVersion": "menagerie.dev/v1alpha1", "kind": "Tenant", "spec": {"path": "/t"},
            "metadata": {"name": "t", "namespace": "ns", "uid": "u", "resourceVersion": "7"},
        }),
    );

    objects().policy = true;
    let refused = once().await;
    assert!(matches!(refused, Err(PassError::Act(_))), "{refused:?}");
    assert!(once().await.is_ok(), "what is refused is known, and not tried again at once");
    assert_eq!(objects().at[TENANT]["status"]["conditions"][0]["message"], "denied by policy");

    objects().policy = false;
    context.memories.with("ns", "t", |memory| memory.notes = Notes::default());
    assert!(once().await.is_ok());
    assert_eq!(objects().at[CONFIG]["data"], json!({"path": "/t"}));
    once().await.unwrap();
    assert_eq!(objects().at[TENANT]["status"]["conditions"][0]["status"], "True");
    let writes = objects().writes.len();
    assert_eq!(once().await.unwrap(), Action::requeue(Duration::from_secs(15)));
    assert_eq!(objects().writes.len(), writes, "at rest nothing is written");

    objects().at.get_mut(TENANT).unwrap()["spec"]["path"] = json!(7);
    assert_eq!(once().await.unwrap(), Action::requeue(Duration::from_mins(1)));
    let said = objects().at[TENANT]["status"]["conditions"][0]["message"].as_str().unwrap().to_owned();
    assert!(said.contains("cannot be decoded") && said.contains("spec.path"), "{said}");
    assert_eq!(context.memories.count(), 1, "it may be corrected");

    // Another object's address.
    for name in ["t/status", "t?x=1", "../tenants/t", "t "] {
        let read = super::read::fresh::<Tenant>(&context.kit.client, ("tenant", "ns", name), &[]).await.unwrap();
        assert!(matches!(read, super::read::Fresh::Gone), "{name}");
    }

    objects().at.remove(TENANT);
    assert_eq!((once().await.unwrap(), context.memories.count()), (Action::await_change(), 0));
    assert!(metrics::text(&registry).contains(r#"reconciles_total{kind="error"} 1"#));
    assert!(objects().writes.iter().any(|write| write.starts_with("POST /apis/events.k8s.io/")));
}
