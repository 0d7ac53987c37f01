// Which page is shown, and the bar above it.

import { ask, session } from "./api.js";
import { address, append, button, choice, failure, h, link, replace } from "./dom.js";
import * as application from "./app.js";
import * as apps from "./apps.js";
import * as database from "./database.js";
import * as execution from "./execution.js";
import * as executions from "./executions.js";
import * as functions from "./functions.js";
import * as keys from "./keys.js";
import * as overview from "./overview.js";
import * as settings from "./settings.js";
import * as signin from "./signin.js";
import * as source from "./source.js";
import * as tail from "./tail.js";
import * as tokens from "./tokens.js";
import * as trial from "./trial.js";
import * as variables from "./variables.js";
import * as versions from "./versions.js";

const bar = document.getElementById("bar");
const content = document.getElementById("content");

const SCOPES = ["read", "deploy", "admin"];

/** Who is signed in: what `GET /api/v1/token` says, and the apps there are. */
let me;
let names = [];
let leave = new AbortController();

/** What every page gets. `may(scope)` tells whether the token is good for something. */
function context(app, name, rest) {
  return {
    me,
    app,
    name,
    rest,
    may: (scope) => SCOPES.indexOf(me.scope) >= SCOPES.indexOf(scope),
    signal: leave.signal,
    reload: show,
    refreshApps,
  };
}

/** The pages of one function, in the order of their tabs. */
const TABS = [
  ["overview", "Overview", overview.show],
  ["executions", "Executions", executions.show],
  ["log", "Live log", tail.show],
  ["try", "Try", trial.show, "deploy"],
  ["source", "Source", source.show],
  ["versions", "Versions", versions.show],
  ["settings", "Settings", settings.show],
  ["variables", "Variables", variables.ofFunction],
];

/** The page of an address: its title, and what shows it. */
function page(parts) {
  const [first, app, what, name, tab = "overview", ...rest] = parts;
  if (first === "tokens") return ["Tokens", () => tokens.show(context())];
  if (first === "apps" && !app) return ["Apps", () => apps.show(context())];
  if (first !== "apps") return ["Functions", () => functions.show(context(home()))];
  const here = context(app, name, rest);
  if (what === "secrets") return [`Secrets of ${app}`, () => variables.ofApp(here)];
  if (what === "keys") return [`Keys of ${app}`, () => keys.show(here)];
  if (what === "settings") return [`Settings of ${app}`, () => application.show(here)];
  if (what === "database") return [`Database of ${app}`, () => database.show(here)];
  if (what === "new") return ["New function", () => source.create(here)];
  if (what !== "functions" || !name) return [`Functions of ${app}`, () => functions.show(here)];
  if (tab === "executions" && rest[0]) return [`Execution of ${name}`, () => within(here, tab, execution.show)];
  const found = TABS.find(([known]) => known === tab) ?? TABS[0];
  return [`${name}: ${found[1]}`, () => within(here, found[0], found[2])];
}

async function within(here, tab, view) {
  const shown = TABS.filter(([, , , scope]) => !scope || here.may(scope));
  const tabs = shown.map(([known, label]) =>
    link(["apps", here.app, "functions", here.name, known], { "aria-current": known === tab ? "page" : null }, label),
  );
  return [
    h("p", { class: "above" }, link(["apps", here.app, "functions"], {}, `Functions of ${here.app}`)),
    h("h1", {}, here.name),
    h("nav", { class: "tabs", "aria-label": "Function" }, tabs),
    await view(here),
  ];
}

function home() {
  const last = sessionStorage.getItem("caddis-app");
  return me.app ?? (names.includes(last) ? last : names.includes("default") ? "default" : names[0]);
}

function path() {
  return location.hash
    .replace(/^#\/?/, "")
    .split("/")
    .filter(Boolean)
    .map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
}

/** What tells an element apart that has the focus, for the one in its place after the page was drawn anew. */
function role(element) {
  return [
    element.tagName,
    element.name,
    element.getAttribute("aria-label"),
    element.matches("a, button") && element.textContent,
  ].join();
}

function keepFocus(draw) {
  const focused = document.activeElement;
  const wanted = focused && focused !== document.body && role(focused);
  draw();
  if (wanted && !focused.isConnected)
    [...document.querySelectorAll("a, button, input, select, textarea")]
      .find((one) => role(one) === wanted)
      ?.focus({ preventScroll: true });
}

async function show() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  if (!me) {
    replace(bar);
    document.title = "Sign in – Caddis";
    replace(content, signin.show(enter));
    content.querySelector("input").focus();
    return;
  }
  const parts = path();
  const [title, view] = page(parts);
  keepFocus(() => drawBar(parts));
  content.setAttribute("aria-busy", "true");
  let shown;
  try {
    shown = await view();
  } catch (error) {
    if (signal.aborted) return;
    shown = [h("h1", {}, title), failure(error), button("Try again", {}, show)];
  }
  if (signal.aborted) return;
  document.title = `${title} – Caddis`;
  keepFocus(() => replace(content, shown));
  content.removeAttribute("aria-busy");
  content.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
}

function drawBar(parts) {
  const app = parts[0] === "apps" && parts[1] ? parts[1] : home();
  sessionStorage.setItem("caddis-app", app);
  const { may } = context();
  const known = names.includes(app) ? names : [...names, app];
  const select = choice(
    {
      "aria-label": "App",
      onchange: (event) => {
        location.hash = address("apps", event.target.value, "functions");
      },
    },
    known,
    app,
  );
  const here =
    parts[0] === "apps" && parts[1]
      ? parts[2] === "new"
        ? "functions"
        : (parts[2] ?? "functions")
      : (parts[0] ?? "functions");
  const item = (label, known, ...target) => link(target, { "aria-current": here === known ? "page" : null }, label);
  replace(
    bar,
    h("span", { class: "brand" }, "Caddis"),
    select,
    h(
      "nav",
      { "aria-label": "Main" },
      item("Functions", "functions", "apps", app, "functions"),
      item("Secrets", "secrets", "apps", app, "secrets"),
      item("Keys", "keys", "apps", app, "keys"),
      may("deploy") && item("Database", "database", "apps", app, "database"),
      item("Apps", "apps", "apps"),
      may("admin") && item("Tokens", "tokens", "tokens"),
    ),
    h(
      "span",
      { class: "who", title: me.id ? `Token ${me.id}` : "The admin token" },
      `${me.scope}${me.app ? ` of ${me.app}` : ""}`,
    ),
    h("button", { type: "button", class: "plain", onclick: leaveAll }, "Sign out"),
  );
}

async function refreshApps() {
  names = (await ask("GET", "/api/v1/apps")).map((app) => app.name);
  keepFocus(() => drawBar(path()));
}

async function enter(token) {
  const found = await ask("GET", "/api/v1/token", { token });
  session.token = token;
  me = found;
  await refreshApps();
  await show();
}

/** Whoever signs in next starts anew; after a token has ended, people go on where they were. */
function leaveAll() {
  history.replaceState(null, "", location.pathname);
  sessionStorage.clear();
  // Nothing that was typed or shown stays, in no module.
  location.reload();
}

function out(reason) {
  session.token = undefined;
  me = undefined;
  show();
  if (reason) append(content, [h("p", { class: "failure", role: "alert" }, reason)]);
}

addEventListener("signed-out", (event) => out(event.detail));
addEventListener("hashchange", async () => {
  await show();
  if (document.activeElement === document.body) content.focus({ preventScroll: true });
  scrollTo(0, 0);
});

if (session.token) await enter(session.token).catch((error) => out(error.message));
else await show();
