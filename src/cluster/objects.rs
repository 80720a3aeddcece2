//! Objects of a namespace, each call within a time limit. They are read without their types: those of another release may have more.

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject};
use serde::Serialize;
use serde_json::Value;

use super::connection::Cluster;
use super::problem::{is_missing, told};
use crate::api::ZooKeeperEnsemble;
use crate::cli::CommandError;
use crate::operator::kit::timeout::{ApiError, within};

/// Who has written what is in the object.
const MANAGER: &str = "menagerie-command";
/// Objects in one answer.
const PAGE: u32 = 200;
/// More pages than anybody has backups.
const PAGES: usize = 100;
/// So many are named in the place of one that there is not.
const NAMED: usize = 12;

/// A kind of custom resource.
pub(super) trait Kind: Resource<DynamicType = (), Scope = NamespaceResourceScope> {}

impl<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>> Kind for K {}

/// The name of an object.
pub(super) fn name_of(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}

impl Cluster {
    async fn api<K: Kind>(&self) -> Result<Api<DynamicObject>, ApiError> {
        Ok(Api::namespaced_with(self.client().await?, &self.namespace, &ApiResource::erase::<K>(&())))
    }

    /// What became of a call, and what to do about it.
    fn answered<K: Kind, T>(&self, answer: Result<T, ApiError>) -> Result<T, CommandError> {
        answer.map_err(|error| told::<K>(self, &error))
    }

    /// Reads one.
    pub(super) async fn get<K: Kind>(&self, name: &str) -> Result<DynamicObject, ApiError> {
        let api = self.api::<K>().await?;
        within(format!("read {} {name}", K::kind(&())), api.get(name)).await
    }

    /// Reads one, or says which there are.
    pub(super) async fn read<K: Kind>(&self, name: &str) -> Result<DynamicObject, CommandError> {
        match self.get::<K>(name).await {
            Err(error) if is_missing(&error) => Err(self.missing::<K>(name).await),
            answer => self.answered::<K, _>(answer),
        }
    }

    /// That there is none of that name, and which there are.
    pub(super) async fn missing<K: Kind>(&self, name: &str) -> CommandError {
        let (kind, namespace) = (K::kind(&()), &self.namespace);
        let none = format!("there is no {kind} {name} in namespace {namespace}");
        let few = ListParams::default().limit(PAGE);
        let here = named::<K>(self.api::<K>().await, &few).await;
        // Whoever may read one and not list them has the name alone.
        let Ok(here) = here else { return CommandError::Usage(format!("{none}: is that its name?")) };
        let mut names: Vec<String> = here.into_iter().filter_map(|object| object.name).collect();
        if !names.is_empty() {
            return CommandError::Usage(format!("{none}: it has {}", listed(&mut names)));
        }
        let all = self.client().await.map(|client| Api::all_with(client, &ApiResource::erase::<K>(&())));
        let called = |object: ObjectMeta| Some(format!("{}/{}", object.namespace?, object.name?));
        let elsewhere = named::<K>(all, &few).await;
        let elsewhere = elsewhere.map(|list| list.into_iter().filter_map(called).collect::<Vec<_>>());
        CommandError::Usage(match elsewhere {
            Ok(mut names) if !names.is_empty() => {
                format!("{none}, which has none. Name another --namespace: there is {}", listed(&mut names))
            }
            Ok(_) => format!("{none}, and none in any other"),
            Err(_) => format!("{none}, which has none: is it the namespace that you mean (--namespace)?"),
        })
    }

    /// Reads the ensemble that something is to be made for: what cannot be is said at once, and not waited for. Without an archive there is
    /// only what else may be done; if that is nothing, none is needed.
    pub(super) async fn archiving(&self, name: &str, otherwise: &str) -> Result<(), CommandError> {
        let ensemble = match self.get::<ZooKeeperEnsemble>(name).await {
            // Whoever may make backups need not see ensembles: the operator says what is wrong.
            Err(ApiError::Refused { status, .. }) if status.code == 403 => return Ok(()),
            Err(error) if is_missing(&error) => return Err(self.missing::<ZooKeeperEnsemble>(name).await),
            answer => self.answered::<ZooKeeperEnsemble, _>(answer)?,
        };
        if !otherwise.is_empty() && ensemble.data["spec"]["archive"].is_null() {
            let text = format!(
                "ensemble {name} has no spec.archive: give it one (docs/archive.md; its members restart for it), or {otherwise}"
            );
            return Err(CommandError::Usage(text));
        }
        Ok(())
    }

    /// Creates one, and gives it as the API server has it.
    pub(super) async fn create<K: Kind + Serialize>(&self, object: &K) -> Result<DynamicObject, CommandError> {
        let object = serde_json::to_value(object).and_then(serde_json::from_value::<DynamicObject>);
        let object = object.map_err(|error| CommandError::Usage(error.to_string()))?;
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let what = format!("create the {}", K::kind(&()));
        let api = self.answered::<K, _>(self.api::<K>().await)?;
        let answer = within(what, api.create(&params, &object)).await;
        self.answered::<K, _>(answer)
    }

    /// Changes fields of one.
    pub(super) async fn change<K: Kind>(&self, name: &str, fields: &Value) -> Result<DynamicObject, CommandError> {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let what = format!("change {} {name}", K::kind(&()));
        let api = self.answered::<K, _>(self.api::<K>().await)?;
        let answer = within(what, api.patch(name, &params, &Patch::Merge(fields))).await;
        self.answered::<K, _>(answer)
    }

    /// Deletes the one that was read. What is still there of it, if a finalizer holds it.
    pub(super) async fn delete<K: Kind>(&self, read: &DynamicObject) -> Result<Option<DynamicObject>, CommandError> {
        let name = name_of(read);
        let preconditions = Preconditions { uid: read.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        let api = self.answered::<K, _>(self.api::<K>().await)?;
        let answer = within(format!("delete {} {name}", K::kind(&())), api.delete(name, &params)).await;
        // It answers with the object as it is still there, or with a status once it is gone.
        let left = self.answered::<K, _>(answer)?.left();
        Ok(left.filter(|object| object.metadata.finalizers.as_ref().is_some_and(|holders| !holders.is_empty())))
    }

    /// All of a kind, the oldest first, and whether there are more.
    pub(super) async fn list<K: Kind>(&self) -> Result<(Vec<DynamicObject>, bool), CommandError> {
        let mut answer = self.pages::<K>().await;
        // The API server keeps a list that is read in pages for some minutes.
        if matches!(&answer, Err(ApiError::Refused { status, .. }) if status.code == 410) {
            answer = self.pages::<K>().await;
        }
        let (mut all, more) = self.answered::<K, _>(answer)?;
        all.sort_by_key(|object| object.metadata.creation_timestamp.as_ref().map(|time| time.0));
        Ok((all, more))
    }

    async fn pages<K: Kind>(&self) -> Result<(Vec<DynamicObject>, bool), ApiError> {
        let (mut all, mut wanted) = (Vec::new(), ListParams::default().limit(PAGE));
        let api = self.api::<K>().await?;
        for _ in 0..PAGES {
            let page = within(format!("list {}s", K::kind(&())), api.list(&wanted)).await?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|more| !more.is_empty()) {
                Some(more) => wanted = wanted.continue_token(&more),
                None => return Ok((all, false)),
            }
        }
        Ok((all, true))
    }
}

async fn named<K: Kind>(
    api: Result<Api<DynamicObject>, ApiError>,
    few: &ListParams,
) -> Result<Vec<ObjectMeta>, ApiError> {
    let list = within(format!("list {}s", K::kind(&())), api?.list_metadata(few)).await?;
    Ok(list.items.into_iter().map(|object| object.metadata).collect())
}

/// The first of these names.
fn listed(names: &mut [String]) -> String {
    names.sort_unstable();
    let more = if names.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", "))
}
