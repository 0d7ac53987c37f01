//! `/functions`: what `supabase functions deploy --use-api`, `list`, `download` and `delete` call (SB4).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Api;
use super::super::extract::{By, InApp, InPath, InQuery, json};
use super::super::functions::{Content, Draft, SOURCE_BODY_BYTES, no_function};
use super::super::multipart::Form;
use crate::deploy::packages::PackageVersions;
use crate::deploy::script::{JAVASCRIPT, Recipe};
use crate::deploy::{Deployed, Expect, Mode};
use crate::error::{Code, Error};
use crate::ids::{FunctionId, FunctionName};
use crate::js::source::Source;
use crate::settings::{Access, SettingsPatch};
use crate::store::Reader;
use crate::store::functions::{self as store, FunctionVersion};
use crate::store::secrets::Changes;
use crate::tunables::MANAGEMENT_BODY_BYTES;

/// Why what the CLI bundles in a container is refused.
const NO_ESZIP: &str = "bundles in the eszip format cannot be run here: they hold modules for Deno. \
     Deploy the sources instead: supabase functions deploy --use-api";

/// A function as Supabase has it. Times in milliseconds since 1970.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SupabaseFunction")]
pub(in crate::api) struct SlugObject {
    id: FunctionId,
    slug: FunctionName,
    name: FunctionName,
    status: &'static str,
    version: u32,
    created_at: i64,
    updated_at: i64,
    verify_jwt: bool,
    import_map: bool,
    ezbr_sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint_path: Option<String>,
}

impl From<FunctionVersion> for SlugObject {
    fn from(version: FunctionVersion) -> Self {
        Self {
            id: version.id,
            slug: version.name.clone(),
            name: version.name,
            status: if version.settings.enabled { "ACTIVE" } else { "REMOVED" },
            version: version.version,
            created_at: version.created_at.as_millisecond(),
            updated_at: version.updated_at.as_millisecond(),
            verify_jwt: version.settings.access != Access::Public,
            import_map: false,
            ezbr_sha256: version.component.to_string(),
            entrypoint_path: None,
        }
    }
}

/// The function of a route.
#[derive(Deserialize)]
pub(super) struct SlugPath {
    slug: FunctionName,
}

/// What `verify_jwt` says about who may call.
fn access(verify_jwt: bool) -> Access {
    if verify_jwt { Access::Key } else { Access::Public }
}

/// `GET /functions`
pub(super) async fn list(State(api): State<Arc<Api>>, InApp(app): InApp) -> Result<Response, Error> {
    let name = app.name.clone();
    let versions = api.store.read(move |tx| store::list(tx, &name)).await?;
    Ok(Json(versions.into_iter().map(SlugObject::from).collect::<Vec<_>>()).into_response())
}

/// `GET /functions/{slug}`
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(SlugPath { slug }): InPath<SlugPath>,
) -> Result<Response, Error> {
    let name = app.name.clone();
    let version = api.store.read(move |tx| store::get(tx, &name, &slug)).await.map_err(no_function)?;
    Ok(Json(SlugObject::from(version)).into_response())
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::api) struct DeployQuery {
    slug: FunctionName,
    #[serde(default, rename = "bundleOnly")]
    bundle_only: bool,
}

/// The part `metadata`. What it says about import maps and static files is left to the files themselves: a `deno.json` beside the
/// entrypoint or above it is found.
#[derive(Deserialize)]
struct Metadata {
    entrypoint_path: String,
    verify_jwt: Option<bool>,
}

/// `POST /functions/deploy?slug=`: sources with metadata, as a form.
pub(super) async fn deploy(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InQuery(DeployQuery { slug, bundle_only }): InQuery<DeployQuery>,
    By(principal): By,
    request: Request,
) -> Result<Response, Error> {
    let mut form = Form::read(request, SOURCE_BODY_BYTES).await?;
    let metadata = form.take("metadata")?.ok_or_else(|| Error::invalid("body: the part metadata is missing"))?;
    let Metadata { entrypoint_path, verify_jwt } = serde_json::from_slice(&metadata.content)
        .map_err(|error| Error::invalid(format!("body: metadata: {error}")))?;
    let source = Source::from_files(form.into_files()?, &entrypoint_path)?;
    let is_new = app.function(&slug).is_none();
    let access = verify_jwt.or(is_new.then_some(true)).map(access);
    let draft = Draft {
        patch: SettingsPatch { enabled: Some(true), access, ..SettingsPatch::default() },
        variables: Changes::new(),
        mode: if bundle_only { Mode::DryRun } else { Mode::Activate },
        content: Some(Content::Source(source, PackageVersions::Keep)),
    };
    let (deployed, _) = draft.deploy(&api, &app, slug, Expect::Any, &principal).await?;
    let version = match deployed {
        Deployed::Checked { name, .. } => return Ok(Json(serde_json::json!({ "slug": name })).into_response()),
        Deployed::Created(version) | Deployed::Updated(version) => version,
    };
    let object = SlugObject { entrypoint_path: Some(entrypoint_path), ..version.into() };
    Ok((StatusCode::CREATED, Json(object)).into_response())
}

/// `POST /functions` and `PUT /functions`: bundles.
pub(super) async fn eszip() -> Error {
    Error::new(Code::UnsupportedMediaType, NO_ESZIP)
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SupabaseFunctionChange")]
pub(in crate::api) struct SlugChange {
    verify_jwt: Option<bool>,
}

/// `PATCH /functions/{slug}`
pub(super) async fn patch(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(SlugPath { slug }): InPath<SlugPath>,
    By(principal): By,
    request: Request,
) -> Result<Response, Error> {
    let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes());
    if content_type.is_some_and(|value| value.starts_with(b"application/vnd.denoland.eszip")) {
        return Err(eszip().await);
    }
    let SlugChange { verify_jwt } = json(request, MANAGEMENT_BODY_BYTES).await?;
    let patch = SettingsPatch { access: verify_jwt.map(access), ..SettingsPatch::default() };
    let draft = Draft { patch, variables: Changes::new(), mode: Mode::Activate, content: None };
    let (deployed, _) = draft.deploy(&api, &app, slug, Expect::Existing, &principal).await.map_err(no_function)?;
    match deployed {
        Deployed::Created(version) | Deployed::Updated(version) => Ok(Json(SlugObject::from(version)).into_response()),
        Deployed::Checked { .. } => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// `DELETE /functions/{slug}`
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(SlugPath { slug }): InPath<SlugPath>,
) -> Result<Response, Error> {
    api.deployer.delete(&app, slug).await.map_err(no_function)?;
    Ok(StatusCode::OK.into_response())
}

/// `GET /functions/{slug}/body`: the sources, as a form.
pub(super) async fn body(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    InPath(SlugPath { slug }): InPath<SlugPath>,
) -> Result<Response, Error> {
    let name = app.name.clone();
    let read = move |tx: &Reader<'_>| {
        let version = store::get(tx, &name, &slug)?;
        let bytes = (version.world == JAVASCRIPT).then(|| store::component_bytes(tx, version.component)).transpose()?;
        Ok(bytes)
    };
    let bytes = api.store.read(read).await.map_err(no_function)?;
    let bytes =
        bytes.ok_or_else(|| Error::new(Code::NotFound, "the function is a component: it has no sources here"))?;
    let Recipe { source, .. } = Recipe::stored(&bytes)?;
    let boundary = format!("caddis-{}", uuid::Uuid::new_v4().simple());
    let mut form = String::new();
    let metadata = serde_json::json!({ "deno2_entrypoint_path": source.entry().as_str() }).to_string();
    form.push_str(&part(&boundary, "name=\"metadata\"", "application/json", &metadata));
    for path in source.paths() {
        // A path has no control characters; quotes and backslashes are escaped as browsers do.
        let name = path.replace('"', "%22");
        let disposition = format!("name=\"file\"; filename=\"{name}\"");
        form.push_str(&part(
            &boundary,
            &disposition,
            "application/octet-stream",
            source.text(path).unwrap_or_default(),
        ));
    }
    form.push_str(&format!("--{boundary}--\r\n"));
    Ok(([(CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))], form).into_response())
}

fn part(boundary: &str, disposition: &str, content_type: &str, content: &str) -> String {
    format!(
        "--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: {content_type}\r\n\r\n{content}\r\n"
    )
}
