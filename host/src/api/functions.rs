//! `/functions`: deploy, read, change, delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::extract::{By, InApp, InPath, InQuery, Object, json, value_of};
use super::multipart::{FORM, Form};
use super::reception::bytes;
use super::{Api, butterbase};
use crate::auth::management::Principal;
use crate::deploy::packages::{LockedPackages, PackageVersions};
use crate::deploy::script::{JAVASCRIPT, Recipe};
use crate::deploy::{Deployed, Deployment, Expect, Mode};
use crate::error::{Code, Error};
use crate::ids::{AppName, FunctionId, FunctionName};
use crate::js::source::{DEFAULT_ENTRY, Source};
use crate::router::table::App;
use crate::settings::rate::RateLimit;
use crate::settings::{Access, Isolation, Settings, SettingsPatch};
use crate::store::functions::{self as store, FunctionVersion};
use crate::store::secrets::Changes;
use crate::store::{Reader, StoreError};

/// Bytes of a JSON body with a source in it: the source's own limit, with room for the escapes of JSON.
pub(super) const SOURCE_BODY_BYTES: usize = 2 * crate::js::source::MAX_BYTES;

/// The function of a route.
#[derive(Deserialize)]
pub(super) struct FunctionPath {
    pub(super) name: FunctionName,
}

/// A function as clients see it: the fields of FX3, and ours.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Function")]
pub(in crate::api) struct FunctionObject {
    id: FunctionId,
    app: AppName,
    name: FunctionName,
    version: u32,
    #[serde(flatten)]
    settings: Settings,
    kind: &'static str,
    world: String,
    size_bytes: u64,
    sha256: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: String,
    /// When its schedule is due next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_run: Option<Timestamp>,
    #[serde(flatten)]
    source: Option<SourceObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Value>>")]
    packages: Option<LockedPackages>,
}

/// What a JavaScript function was deployed from.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum SourceObject {
    /// As one text.
    Code { code: String },
    /// As files.
    Files { entry: String, files: BTreeMap<String, String> },
}

impl From<&Source> for SourceObject {
    fn from(source: &Source) -> Self {
        let text = |path: &str| source.text(path).unwrap_or_default().to_owned();
        let entry = source.entry().as_str();
        if entry == DEFAULT_ENTRY && source.paths().count() == 1 {
            return Self::Code { code: text(entry) };
        }
        let files = source.paths().map(|path| (path.to_owned(), text(path))).collect();
        Self::Files { entry: entry.to_owned(), files }
    }
}

impl From<FunctionVersion> for FunctionObject {
    fn from(version: FunctionVersion) -> Self {
        let kind = kind(&version);
        let next_run = version.settings.schedule().and_then(|schedule| schedule.next_after(Timestamp::now()));
        Self {
            id: version.id,
            app: version.app,
            name: version.name,
            version: version.version,
            kind,
            settings: version.settings,
            world: version.world,
            size_bytes: version.size_bytes,
            sha256: version.component.to_string(),
            created_at: version.created_at,
            updated_at: version.updated_at,
            created_by: version.created_by,
            next_run,
            source: None,
            packages: None,
        }
    }
}

/// How a version was deployed.
pub(super) fn kind(version: &FunctionVersion) -> &'static str {
    if version.world == JAVASCRIPT { JAVASCRIPT } else { "component" }
}

impl FunctionObject {
    /// What identifies the function.
    pub(super) fn id(&self) -> FunctionId {
        self.id
    }

    /// Its settings.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// With what it was made from, if that is a source.
    pub(super) fn new(version: FunctionVersion, recipe: Option<Recipe>) -> Self {
        let Some(Recipe { source, packages }) = recipe else { return Self::from(version) };
        Self { source: Some((&source).into()), packages: Some(packages), ..Self::from(version) }
    }
}

/// What the body of a deployment has beside settings.
#[derive(Default, Deserialize, JsonSchema)]
pub(in crate::api) struct SourceFields {
    code: Option<String>,
    files: Option<BTreeMap<String, String>>,
    entry: Option<String>,
    update_packages: Option<bool>,
    activate: Option<bool>,
    dry_run: Option<bool>,
}

fn mode(activate: Option<bool>, dry_run: Option<bool>) -> Mode {
    match (activate, dry_run) {
        (_, Some(true)) => Mode::DryRun,
        (Some(false), _) => Mode::Keep,
        (None | Some(true), None | Some(false)) => Mode::Activate,
    }
}

impl SourceFields {
    /// The source, if there is one.
    fn source(self) -> Result<Option<(Source, PackageVersions)>, Error> {
        let Self { code, files, entry, update_packages, .. } = self;
        let source = match (code, files, entry) {
            (None, None, None) if update_packages.is_none() => return Ok(None),
            (Some(code), None, None) => Source::from_code(code)?,
            (None, Some(files), entry) => Source::from_files(files, entry.as_deref().unwrap_or(DEFAULT_ENTRY))?,
            _ => return Err(Error::invalid("give either code, or files with the name of the entry among them")),
        };
        let versions = if update_packages == Some(true) { PackageVersions::Update } else { PackageVersions::Keep };
        Ok(Some((source, versions)))
    }
}

/// What a version is made of.
pub(in crate::api) enum Content {
    /// JavaScript, with the versions that its packages get.
    Source(Source, PackageVersions),
    /// A component.
    Component(Bytes),
}

/// What a deployment asks for.
pub(in crate::api) struct Draft {
    /// Changes to settings.
    pub(in crate::api) patch: SettingsPatch,
    /// Changes to the function's variables.
    pub(in crate::api) variables: Changes,
    /// What becomes of it.
    pub(in crate::api) mode: Mode,
    /// What the version is made of, if that is new.
    pub(in crate::api) content: Option<Content>,
}

impl Draft {
    /// A deployment as JSON describes it.
    pub(super) fn new(mut body: Map<String, Value>) -> Result<Self, Error> {
        let variables = butterbase::translate(&mut body)?;
        let names = ["code", "files", "entry", "update_packages", "activate", "dry_run"];
        let fields: Map<String, Value> = names.into_iter().filter_map(|name| body.remove_entry(name)).collect();
        let fields: SourceFields = value_of("", Value::Object(fields))?;
        let mode = mode(fields.activate, fields.dry_run);
        let patch = value_of("", Value::Object(body)).map_err(|mut error| {
            // Only settings are listed there.
            if error.message.contains("unknown field") {
                error.message = format!("{}; or of {}", error.message, names.join(", ")).into();
            }
            error
        })?;
        let content = fields.source()?.map(|(source, versions)| Content::Source(source, versions));
        Ok(Self { patch, variables, mode, content })
    }

    /// A deployment that names its function.
    pub(super) fn named(mut body: Map<String, Value>) -> Result<(FunctionName, Self), Error> {
        let name = body.remove("name").ok_or_else(|| Error::invalid("body: name is missing"))?;
        let name = name.as_str().ok_or_else(|| Error::invalid("body: name must be a string"))?.parse()?;
        Ok((name, Self::new(body)?))
    }

    /// With the component that came beside the description.
    fn add(&mut self, component: Option<Content>) -> Result<(), Error> {
        match (component, &self.content) {
            (None, _) => Ok(()),
            (Some(_), Some(_)) => Err(Error::invalid("body: give either a component, or code or files")),
            (Some(component), None) => {
                // An upload is meant to be used, whatever became of the version before.
                self.patch.enabled.get_or_insert(true);
                self.content = Some(component);
                Ok(())
            }
        }
    }

    /// Insists on something to run.
    pub(super) fn must_have_content(&self) -> Result<(), Error> {
        match self.content {
            Some(_) => Ok(()),
            None => Err(Error::invalid("body: code (or files) is missing")),
        }
    }

    /// Carries it out.
    pub(in crate::api) async fn deploy(
        self,
        api: &Api,
        app: &App,
        name: FunctionName,
        expect: Expect,
        by: &Principal,
    ) -> Result<(Deployed, Option<Recipe>), Error> {
        let by = by.label();
        let Self { patch, variables, mode, content } = self;
        let deployment = Deployment { app, name, patch, variables, expect, mode, by: &by };
        match content {
            Some(Content::Source(source, versions)) => {
                let (deployed, recipe) = api.deployer.source(deployment, source, versions).await?;
                Ok((deployed, Some(recipe)))
            }
            Some(Content::Component(bytes)) => Ok((api.deployer.component(deployment, bytes).await?, None)),
            None => {
                let deployed = api.deployer.settings(deployment).await?;
                let recipe = match &deployed {
                    Deployed::Checked { .. } => None,
                    Deployed::Created(version) | Deployed::Updated(version) => recipe_of(api, version).await?,
                };
                Ok((deployed, recipe))
            }
        }
    }
}

/// Reads the body of a deployment: JSON, or a form with the same JSON as its part `metadata` and the source, or the component, as files.
async fn description(api: &Api, request: Request) -> Result<(Map<String, Value>, Option<Content>), Error> {
    if media_type(&request) != FORM {
        let Object(body) = json(request, SOURCE_BODY_BYTES).await?;
        return Ok((body, None));
    }
    let mut form = Form::read(request, SOURCE_BODY_BYTES.max(api.max_component_bytes)).await?;
    let metadata = form.take("metadata")?.ok_or_else(|| Error::invalid("body: the part metadata is missing"))?;
    let mut body: Object = serde_json::from_slice(&metadata.content)
        .map_err(|error| Error::invalid(format!("body: metadata: {error}")))?;
    let component = form.take("component")?.map(|part| part.content);
    if component.as_ref().is_some_and(|component| component.len() > api.max_component_bytes) {
        let message = format!("component: must have at most {} bytes", api.max_component_bytes);
        return Err(Error::new(Code::TooLarge, message));
    }
    let files = form.into_files()?;
    if !files.is_empty() {
        if component.is_some() {
            return Err(Error::invalid("body: give either the part component, or files of a source"));
        }
        let files = files.into_iter().map(|(path, text)| (path, text.into())).collect();
        body.0.insert("files".to_owned(), Value::Object(files));
    }
    Ok((body.0, component.map(Content::Component)))
}

/// Settings in the query of an upload.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct UploadQuery {
    description: Option<String>,
    enabled: Option<bool>,
    access: Option<UploadAccess>,
    timeout_seconds: Option<u32>,
    memory_limit_mb: Option<u32>,
    fuel: Option<u64>,
    isolation: Option<Isolation>,
    instance_requests: Option<u32>,
    allow_net: Option<bool>,
    allow_env: Option<bool>,
    allow_service_role: Option<bool>,
    allow_read: Option<bool>,
    allow_write: Option<bool>,
    http_trigger: Option<bool>,
    cron_schedule: Option<String>,
    cron_timezone: Option<String>,
    websocket_event: Option<String>,
    rate_limit: Option<RateLimit>,
    activate: Option<bool>,
    dry_run: Option<bool>,
}

/// The policies that fit into a query.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum UploadAccess {
    Public,
    Key,
    Authenticated,
}

impl From<UploadQuery> for SettingsPatch {
    fn from(query: UploadQuery) -> Self {
        Self {
            description: query.description.map(Some),
            // An upload is meant to be used, whatever became of the version before.
            enabled: Some(query.enabled.unwrap_or(true)),
            access: query.access.map(|access| match access {
                UploadAccess::Public => Access::Public,
                UploadAccess::Key => Access::Key,
                UploadAccess::Authenticated => Access::Authenticated,
            }),
            timeout_seconds: query.timeout_seconds,
            memory_limit_mb: query.memory_limit_mb,
            fuel: query.fuel,
            isolation: query.isolation,
            instance_requests: query.instance_requests,
            allow_net: query.allow_net,
            allow_env: query.allow_env,
            allow_service_role: query.allow_service_role,
            allow_read: query.allow_read,
            allow_write: query.allow_write,
            http_trigger: query.http_trigger,
            cron_schedule: query.cron_schedule.map(Some),
            cron_timezone: query.cron_timezone.map(Some),
            websocket_event: query.websocket_event.map(Some),
            rate_limit: query.rate_limit.map(Some),
            ..Self::default()
        }
    }
}

/// `GET /functions`
pub(super) async fn list(State(api): State<Arc<Api>>, InApp(app): InApp) -> Result<Response, Error> {
    let name = app.name.clone();
    // Made there: when a schedule is due next takes its time.
    let objects = |versions: Vec<_>| versions.into_iter().map(FunctionObject::from).collect::<Vec<_>>();
    let functions = api.store.read(move |tx| store::list(tx, &name).map(objects)).await?;
    Ok(Json(functions).into_response())
}

/// What a version was made from, as it is stored, if that is a source.
fn stored_recipe(tx: &Reader<'_>, version: &FunctionVersion) -> Result<Option<Vec<u8>>, StoreError> {
    (version.world == JAVASCRIPT).then(|| store::component_bytes(tx, version.component)).transpose()
}

/// What a version that was just made active was made from, if that is a source.
pub(super) async fn recipe_of(api: &Api, version: &FunctionVersion) -> Result<Option<Recipe>, Error> {
    let version = version.clone();
    let bytes = api.store.read(move |tx| stored_recipe(tx, &version)).await?;
    bytes.map(|bytes| Recipe::stored(&bytes)).transpose()
}

/// A function with its source.
pub(super) async fn read(api: &Api, app: &App, name: FunctionName) -> Result<FunctionObject, Error> {
    let app = app.name.clone();
    let read = move |tx: &Reader<'_>| {
        let version = store::get(tx, &app, &name)?;
        let bytes = stored_recipe(tx, &version)?;
        Ok((version, bytes))
    };
    let (version, bytes) = api.store.read(read).await.map_err(no_function)?;
    Ok(FunctionObject::new(version, bytes.map(|bytes| Recipe::stored(&bytes)).transpose()?))
}

/// `GET /functions/{name}`
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(path): InPath<FunctionPath>,
) -> Result<Response, Error> {
    Ok(Json(read(&api, &app, path.name).await?).into_response())
}

/// `POST /functions`: JavaScript or TypeScript (FX2), or a component in a form. As there, a new function is disabled unless the body
/// says otherwise.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    By(principal): By,
    request: Request,
) -> Result<Response, Error> {
    let (body, component) = description(&api, request).await?;
    let (name, mut draft) = Draft::named(body)?;
    // As the reference has it: somebody says when it may be called.
    draft.patch.enabled.get_or_insert(false);
    draft.add(component)?;
    draft.must_have_content()?;
    let (deployed, recipe) = draft.deploy(&api, &app, name, Expect::New, &principal).await?;
    Ok(answer(deployed, recipe))
}

/// `PUT /functions/{name}`: a component, or settings and source as JSON or as a form (FX6).
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
    InQuery(query): InQuery<BTreeMap<String, String>>,
    By(principal): By,
    request: Request,
) -> Result<Response, Error> {
    let draft = match media_type(&request) {
        "application/wasm" => {
            let InQuery(query) = upload_query(&request)?;
            let (mode, patch) = (mode(query.activate, query.dry_run), SettingsPatch::from(query));
            let content = Some(Content::Component(bytes(request, api.max_component_bytes).await?));
            Draft { patch, variables: Changes::new(), mode, content }
        }
        "application/json" | FORM => {
            if let Some(name) = query.keys().next() {
                return Err(Error::invalid(format!("query: {name} belongs into the JSON here")));
            }
            let (body, component) = description(&api, request).await?;
            let mut draft = Draft::new(body)?;
            draft.add(component)?;
            draft
        }
        other => {
            let message = format!(
                "Content-Type must be application/wasm (a component), application/json (settings and source) or {FORM}, got {other:?}"
            );
            return Err(Error::new(Code::UnsupportedMediaType, message));
        }
    };
    let expect = if matches!(draft.content, Some(Content::Component(_))) { Expect::Any } else { Expect::Existing };
    let (deployed, recipe) = draft.deploy(&api, &app, name, expect, &principal).await.map_err(no_function)?;
    Ok(answer(deployed, recipe))
}

/// What a deployment that would be in order would be.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CheckedFunction")]
pub(in crate::api) struct CheckedObject {
    dry_run: bool,
    name: FunctionName,
    #[serde(flatten)]
    settings: Settings,
}

fn answer(deployed: Deployed, recipe: Option<Recipe>) -> Response {
    answer_as(|function| function, deployed, recipe)
}

/// The answer to a deployment, with the function in these words.
pub(super) fn answer_as<T: Serialize>(
    words: impl FnOnce(FunctionObject) -> T,
    deployed: Deployed,
    recipe: Option<Recipe>,
) -> Response {
    let (status, version) = match deployed {
        Deployed::Checked { name, settings } => {
            return Json(CheckedObject { dry_run: true, name, settings }).into_response();
        }
        Deployed::Created(version) => (StatusCode::CREATED, version),
        Deployed::Updated(version) => (StatusCode::OK, version),
    };
    (status, Json(words(FunctionObject::new(version, recipe)))).into_response()
}

/// `DELETE /functions/{name}`
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(FunctionPath { name }): InPath<FunctionPath>,
) -> Result<Response, Error> {
    api.deployer.delete(&app, name).await.map_err(no_function)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn upload_query(request: &Request) -> Result<InQuery<UploadQuery>, Error> {
    match axum::extract::Query::try_from_uri(request.uri()) {
        Ok(axum::extract::Query(query)) => Ok(InQuery(query)),
        Err(rejection) => Err(Error::invalid(format!("query: {}", rejection.body_text()))),
    }
}

/// The media type without its parameters.
fn media_type(request: &Request) -> &str {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Says what was not found.
pub(super) fn no_function(error: impl Into<Error>) -> Error {
    let error = error.into();
    match error.code {
        Code::NotFound => Error::new(Code::NotFound, "there is no such function in this app"),
        _ => error,
    }
}
