//! Every operation, with the types of its handler.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Document, Operation};
use crate::api::apps::{AppObject, NewApp};
use crate::api::butterbase::{ButterbaseObject, LogObject, LogsQuery};
use crate::api::database::{AppliedObject, Migrations, Query};
use crate::api::executions::{ExecutionObject, ExecutionsQuery};
use crate::api::export::ExportQuery;
use crate::api::functions::{CheckedObject, FunctionObject, SourceFields, UploadQuery};
use crate::api::keys::{KeyObject, NewKey, NewToken, ProjectObject, TokenObject as UserTokenObject};
use crate::api::presented::PresentedObject;
use crate::api::secrets::VariableObject;
use crate::api::stats::{AppStatsQuery, StatsObject, StatsQuery};
use crate::api::supabase;
use crate::api::test_call::{TestAnswer, TestCall};
use crate::api::tokens::{TokenObject, Wanted};
use crate::api::versions::{Rollback, VersionObject};
use crate::ids::{FunctionName, VariableName};
use crate::settings::SettingsPatch;
use crate::settings::app::AppPatch;

/// What a deployment has in its JSON.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewFunction")]
#[expect(dead_code, reason = "handlers take the parts of it one by one; together they are only described")]
struct NewFunction {
    name: FunctionName,
    #[serde(flatten)]
    change: FunctionChange,
}

/// What an update has in its JSON.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "see NewFunction")]
struct FunctionChange {
    #[serde(flatten)]
    source: SourceFields,
    #[serde(flatten)]
    settings: SettingsPatch,
    #[serde(rename = "envVars")]
    env_vars: Option<Variables>,
}

/// Values to set, and names to remove.
type Variables = BTreeMap<VariableName, Option<String>>;

/// Percentages by version.
type Traffic = BTreeMap<u32, u8>;

const WASM: &str = "application/wasm";
const FORM: &str = "multipart/form-data";

/// What a registry, a source or a name that is taken can make of a deployment.
const DEPLOYMENT: [u16; 2] = [409, 502];

pub(super) fn all(document: &mut Document) {
    host(document);
    for prefix in ["/api/v1", "/v1/{app}"] {
        functions(document, prefix);
        executions(document, prefix);
        variables_and_keys(document, prefix);
        database(document, prefix);
    }
    supabase_projects(document);
}

fn host(d: &mut Document) {
    let ready = || Operation::new("Whether the host lives").open().answers_nothing(200);
    d.add("get", "/healthz", ready());
    d.add("get", "/readyz", ready());
    let this = Operation::new("This document").open().answers_with(200, super::JSON, json!({ "type": "object" }));
    d.add("get", "/openapi.json", this);
    let text = json!({ "type": "string" });
    d.add("get", "/metrics", Operation::new("Counters for Prometheus").answers_with(200, "text/plain", text));
    for path in ["/auth/v1/user", "/projects/{app}/auth/v1/user"] {
        let user = Operation::new("Whose a user's token is, as Supabase's clients ask").open();
        let user = user.answers_with(200, super::JSON, json!({ "type": "object" }));
        let error = json!({ "type": "object", "required": ["msg"] });
        let user =
            [401, 403].into_iter().fold(user, |user, status| user.answers_with(status, super::JSON, error.clone()));
        d.add("get", path, user.errors(&[400, 404, 405]));
    }
    let list = Operation::new("List apps").answers::<Vec<AppObject>>(200, d);
    d.add("get", "/api/v1/apps", list);
    let create = Operation::new("Create an app").json::<NewApp>(d).answers::<AppObject>(201, d).errors(&[409]);
    d.add("post", "/api/v1/apps", create);
    let get = Operation::new("Get an app").answers::<AppObject>(200, d);
    d.add("get", "/api/v1/apps/{app}", get);
    let change = Operation::new("Change an app").json::<AppPatch>(d).answers::<AppObject>(200, d);
    d.add("patch", "/api/v1/apps/{app}", change);
    d.add("delete", "/api/v1/apps/{app}", Operation::new("Delete an app").answers_nothing(204).errors(&[409]));
    let presented = Operation::new("What the presented token is good for").answers::<PresentedObject<'_>>(200, d);
    d.add("get", "/api/v1/token", presented);
    let list = Operation::new("List management tokens").answers::<Vec<TokenObject>>(200, d);
    d.add("get", "/api/v1/tokens", list);
    let create = Operation::new("Create a management token").json::<Wanted>(d).answers::<TokenObject>(201, d);
    d.add("post", "/api/v1/tokens", create);
    d.add("delete", "/api/v1/tokens/{id}", Operation::new("Revoke a management token").answers_nothing(204));
}

fn functions(d: &mut Document, prefix: &str) {
    let in_their_words = prefix != "/api/v1";
    let path = |below: &str| format!("{prefix}/functions{below}");
    let form =
        json!({ "type": "object", "required": ["metadata"], "properties": { "metadata": { "type": "string" } } });
    let list = Operation::new("List functions, without their sources");
    let get = Operation::new("Get a function with its source");
    let (list, get, create) = match in_their_words {
        true => (
            list.answers::<Vec<ButterbaseObject>>(200, d),
            get.answers::<ButterbaseObject>(200, d),
            Operation::new("Deploy or update a function").json::<NewFunction>(d).answers::<ButterbaseObject>(201, d),
        ),
        false => (
            list.answers::<Vec<FunctionObject>>(200, d),
            get.answers::<FunctionObject>(200, d),
            Operation::new("Create a function")
                .json::<NewFunction>(d)
                .body(FORM, form.clone())
                .answers::<FunctionObject>(201, d),
        ),
    };
    d.add("get", &path(""), list);
    // An update, or a dry run.
    let create = create.answers_with(200, super::JSON, json!({ "type": "object" }));
    d.add("post", &path(""), create.errors(&DEPLOYMENT));
    d.add("get", &path("/{name}"), get);
    let put = Operation::new("Deploy a component, or change source or settings");
    let put = put.query::<UploadQuery>(d).json::<FunctionChange>(d).body(FORM, form);
    let put = put.body(WASM, json!({ "type": "string", "format": "binary" })).answers::<FunctionObject>(201, d);
    let either = json!({ "anyOf": [d.answer_schema::<FunctionObject>(), d.answer_schema::<CheckedObject>()] });
    d.add("put", &path("/{name}"), put.answers_with(200, super::JSON, either).errors(&DEPLOYMENT));
    d.add("delete", &path("/{name}"), Operation::new("Delete a function and its history").answers_nothing(204));
    let settings = Operation::new("Change settings").json::<FunctionChange>(d);
    let settings = settings.answers_with(200, super::JSON, json!({ "type": "object" }));
    d.add("patch", &path("/{name}/settings"), settings);
    let env = Operation::new("Set and remove variables").json::<Variables>(d).answers::<Vec<VariableObject>>(200, d);
    d.add("patch", &path("/{name}/env"), env);
    let names = Operation::new("List variables").answers::<Vec<VariableObject>>(200, d);
    d.add("get", &path("/{name}/env"), names);
    let versions = Operation::new("List versions").answers::<Vec<VersionObject>>(200, d);
    d.add("get", &path("/{name}/versions"), versions);
    let rollback =
        Operation::new("Make an earlier version active").json::<Rollback>(d).answers::<FunctionObject>(200, d);
    d.add("post", &path("/{name}/rollback"), rollback);
    let anything = || json!({});
    let run = Operation::new("Run the schedule of a function now").answers_with(200, "*/*", anything());
    d.add("post", &path("/{name}/cron"), run.errors(&[408, 409, 500]));
    let traffic = Operation::new("Give versions a share of the requests").json::<Traffic>(d).answers::<Traffic>(200, d);
    d.add("post", &path("/{name}/traffic"), traffic);
}

fn executions(d: &mut Document, prefix: &str) {
    let path = |below: &str| format!("{prefix}/functions/{{name}}{below}");
    let list = Operation::new("List executions, newest first");
    let list = list.query::<ExecutionsQuery>(d).answers::<Vec<ExecutionObject>>(200, d);
    d.add("get", &path("/executions"), list);
    let text = || json!({ "type": "string" });
    let get = Operation::new("Get an execution").answers::<ExecutionObject>(200, d);
    d.add("get", &path("/executions/{id}"), get);
    let export = Operation::new("Export executions").query::<ExportQuery>(d);
    let export = export.answers_with(200, "application/jsonl", text()).answers_with(200, "text/csv", text());
    d.add("get", &path("/executions/export"), export);
    let stream = Operation::new("Follow executions as they end").answers_with(200, "text/event-stream", text());
    d.add("get", &path("/executions/stream"), stream);
    let logs = Operation::new("Executions in Butterbase's words");
    let logs = logs.query::<LogsQuery>(d).answers::<Vec<LogObject>>(200, d);
    d.add("get", &path("/logs"), logs);
    let stats = Operation::new("Count executions").query::<StatsQuery>(d).answers::<StatsObject>(200, d);
    d.add("get", &path("/stats"), stats);
    let all = Operation::new("Count executions of all functions, by name").query::<AppStatsQuery>(d);
    let all = all.answers::<BTreeMap<FunctionName, StatsObject>>(200, d);
    d.add("get", &format!("{prefix}/stats"), all);
    let test = Operation::new("Try a function out").json::<TestCall>(d).answers::<TestAnswer>(200, d);
    d.add("post", &path("/test"), test);
}

fn variables_and_keys(d: &mut Document, prefix: &str) {
    let path = |below: &str| format!("{prefix}{below}");
    let list = Operation::new("List the secrets of the app").answers::<Vec<VariableObject>>(200, d);
    d.add("get", &path("/secrets"), list);
    let put = Operation::new("Set and remove secrets").json::<Variables>(d).answers::<Vec<VariableObject>>(200, d);
    d.add("put", &path("/secrets"), put);
    d.add("delete", &path("/secrets/{name}"), Operation::new("Remove a secret").answers_nothing(204));
    let list = Operation::new("List API keys").answers::<Vec<KeyObject>>(200, d);
    d.add("get", &path("/api-keys"), list);
    let create = Operation::new("Create an API key").json::<NewKey>(d).answers::<KeyObject>(201, d);
    d.add("post", &path("/api-keys"), create);
    d.add("delete", &path("/api-keys/{id}"), Operation::new("Revoke an API key").answers_nothing(204));
    let sign = Operation::new("Sign a token for a user").json::<NewToken>(d).answers::<UserTokenObject>(201, d);
    d.add("post", &path("/user-tokens"), sign);
    let project = Operation::new("URL and keys for Supabase's clients").answers::<ProjectObject<'_>>(200, d);
    d.add("get", &path("/project"), project);
}

fn database(d: &mut Document, prefix: &str) {
    let path = |below: &str| format!("{prefix}/db{below}");
    let sql = || json!({ "type": "string" });
    let list = Operation::new("List the migrations that were run").answers::<Vec<AppliedObject>>(200, d);
    d.add("get", &path("/migrations"), list.errors(&[408]));
    let object = json!({ "type": "object" });
    let migrate = Operation::new("Run the migrations that were not run yet").json::<Migrations>(d);
    d.add("post", &path("/migrations"), migrate.answers_with(200, super::JSON, object.clone()).errors(&[408]));
    let query = Operation::new("Run one statement").json::<Query>(d).answers_with(200, super::JSON, object);
    d.add("post", &path("/query"), query.errors(&[408]));
    let dump = Operation::new("Schema, rows and policies as SQL").answers_with(200, "application/sql", sql());
    d.add("get", &path("/dump"), dump.errors(&[408]));
    let import = Operation::new("Run SQL, all of it or nothing").body("text/plain", sql()).answers_nothing(204);
    d.add("post", &path("/import"), import.errors(&[408]));
}

fn supabase_projects(d: &mut Document) {
    use supabase::functions::{DeployQuery, SlugChange, SlugObject};
    use supabase::secrets::{NewSecret, SecretObject};
    let path = |below: &str| format!("/v1/projects/{{app}}{below}");
    let project = Operation::new("An app as a project").answers::<supabase::ProjectObject>(200, d);
    d.add("get", &path(""), project);
    let keys = Operation::new("Keys of the project").answers::<Vec<supabase::KeyObject<'_>>>(200, d);
    d.add("get", &path("/api-keys"), keys);
    let list = Operation::new("List functions").answers::<Vec<SlugObject>>(200, d);
    d.add("get", &path("/functions"), list);
    for method in ["post", "put"] {
        let bundle = Operation::new("Refused: bundles in the eszip format cannot run here");
        d.add(method, &path("/functions"), bundle.errors(&[415]));
    }
    let form =
        json!({ "type": "object", "required": ["metadata"], "properties": { "metadata": { "type": "string" } } });
    let deploy = Operation::new("Deploy sources").query::<DeployQuery>(d).body(FORM, form);
    let checked: Value = json!({ "type": "object" });
    let deploy = deploy.answers::<SlugObject>(201, d).answers_with(200, super::JSON, checked);
    d.add("post", &path("/functions/deploy"), deploy.errors(&DEPLOYMENT));
    let get = Operation::new("Get a function").answers::<SlugObject>(200, d);
    d.add("get", &path("/functions/{slug}"), get);
    let patch = Operation::new("Change a function").json::<SlugChange>(d).answers::<SlugObject>(200, d);
    d.add("patch", &path("/functions/{slug}"), patch);
    d.add("delete", &path("/functions/{slug}"), Operation::new("Delete a function").answers_nothing(200));
    let body = Operation::new("Get the sources of a function");
    d.add("get", &path("/functions/{slug}/body"), body.answers_with(200, FORM, json!({ "type": "string" })));
    let list = Operation::new("List secrets by their digests").answers::<Vec<SecretObject>>(200, d);
    d.add("get", &path("/secrets"), list);
    let set = Operation::new("Set secrets").json::<Vec<NewSecret>>(d).answers_nothing(201);
    d.add("post", &path("/secrets"), set);
    let unset = Operation::new("Remove secrets").json::<Vec<VariableName>>(d).answers_nothing(200);
    d.add("delete", &path("/secrets"), unset);
}
