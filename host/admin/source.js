// What a function is made of: read, change, check, deploy.

import { ask, inApp } from "./api.js";
import { address, attempt, choice, facts, field, form, h, notify, replace } from "./dom.js";
import { bytes } from "./format.js";

const TEMPLATE = `export default async (req: Request) => {
  const { name = "nobody" } = Object.fromEntries(new URL(req.url).searchParams);
  return Response.json({ message: \`hello \${name}\` });
};
`;

/** An editor of some files. `value()` is what the API takes. */
function editor(files, entry, { locked }) {
  const texts = new Map(Object.entries(files));
  let current = entry;
  const area = h("textarea", {
    class: "code",
    rows: 18,
    spellcheck: "false",
    autocapitalize: "off",
    "aria-label": "Source",
    readonly: locked,
  });
  const bar = h("div", { class: "actions" });
  const keep = () => texts.set(current, area.value);
  const open = (name) => {
    current = name;
    area.value = texts.get(name);
    draw();
  };
  const draw = () =>
    replace(
      bar,
      texts.size > 1 &&
        choice(
          {
            "aria-label": "File",
            onchange: (event) => {
              keep();
              open(event.target.value);
            },
          },
          [...texts.keys()],
          current,
        ),
      texts.size > 1 && h("span", {}, `starts with ${entry}`),
    );
  area.addEventListener("keydown", (event) => {
    // Tab goes on to the next field, as everywhere; only Ctrl-S is taken.
    if (event.key === "s" && (event.ctrlKey || event.metaKey) && area.form) {
      event.preventDefault();
      area.form.requestSubmit();
    }
  });
  open(current);
  return {
    element: h("div", { class: "editor" }, bar, area),
    load(list, first) {
      texts.clear();
      for (const [name, text] of list) texts.set(name, text);
      entry = first;
      open(first);
    },
    value() {
      keep();
      const all = Object.fromEntries(texts);
      return texts.size === 1 && entry === "index.ts" ? { code: all[entry] } : { files: all, entry };
    },
  };
}

/** Files somebody picked: one component, or the files of a source. */
function picker(editing, component) {
  return field(
    "Or from files",
    h("input", {
      type: "file",
      multiple: true,
      accept: ".ts,.js,.mjs,.tsx,.jsx,.json,.wasm",
      onchange: (event) =>
        attempt(event.target.closest("form"), async () => {
          const files = [...event.target.files];
          const wasm = files.find((file) => file.name.endsWith(".wasm"));
          component.file = wasm;
          editing.element.hidden = Boolean(wasm);
          if (wasm || files.length === 0) return;
          const list = await Promise.all(files.map(async (file) => [file.name, await file.text()]));
          const scripts = list.map(([name]) => name).filter((name) => /\.[mc]?[jt]sx?$/.test(name));
          const first = ["index.ts", "index.js", "main.ts"].find((name) => scripts.includes(name)) ?? scripts[0];
          if (!first) throw new Error("There is no TypeScript or JavaScript among the files.");
          editing.load(list, first);
        }),
    }),
    "TypeScript, JavaScript, or a WebAssembly component (.wasm).",
  );
}

export async function show({ app, name, may, reload }) {
  const at = inApp(app, "functions", name);
  const one = await ask("GET", at);
  const isSource = one.code !== undefined || one.files !== undefined;
  const about = facts([
    ["Version", one.version],
    ["Kind", one.kind === one.world ? one.kind : `${one.kind}, ${one.world}`],
    ["Size", bytes(one.size_bytes)],
    ["SHA-256", h("code", {}, one.sha256)],
  ]);
  const editing = editor(one.files ?? { "index.ts": one.code ?? "" }, one.entry ?? "index.ts", {
    locked: !may("deploy"),
  });
  const component = {};
  if (!isSource) editing.element.hidden = true;
  const packages =
    one.packages?.length > 0 &&
    h(
      "details",
      {},
      h("summary", {}, `${one.packages.length} packages`),
      h("pre", {}, one.packages.map((each) => `${each.name}@${each.version}`).join("\n")),
    );
  if (!may("deploy")) return h("section", {}, about, editing.element, packages);
  const result = h("div", { class: "result", "aria-live": "polite" });
  const deploy = async (_form, pressed) => {
    const dryRun = pressed?.value === "check";
    replace(result);
    const answer = component.file
      ? await ask("PUT", `${at}?dry_run=${dryRun}`, { body: component.file, type: "application/wasm" })
      : await ask("PUT", at, { body: { ...editing.value(), dry_run: dryRun } });
    if (dryRun) replace(result, h("p", { class: "good" }, "It can be deployed like this."));
    else {
      notify(`Version ${answer.version} serves now.`);
      await reload();
    }
  };
  return h(
    "section",
    {},
    about,
    !isSource && h("p", { class: "empty" }, "This is a component; its source is not here."),
    packages,
    form(
      {},
      deploy,
      editing.element,
      picker(editing, component),
      h(
        "div",
        { class: "actions" },
        h("button", { value: "deploy" }, "Deploy"),
        h("button", { class: "plain", value: "check" }, "Check only"),
      ),
    ),
    result,
  );
}

/** The page that makes a function. */
export function create({ app }) {
  const name = h("input", {
    name: "name",
    required: true,
    pattern: "[A-Za-z0-9_\\-]{1,100}",
    autocomplete: "off",
    spellcheck: "false",
  });
  const access = choice(
    { name: "access" },
    [
      ["authenticated", "whoever has a token or a key of the app"],
      ["key", "whoever has any key of the app, the anon key too"],
      ["public", "everybody"],
    ],
    "authenticated",
  );
  const enabled = h("input", { type: "checkbox", checked: true });
  const editing = editor({ "index.ts": TEMPLATE }, "index.ts", {});
  const component = {};
  const result = h("div", { class: "result", "aria-live": "polite" });
  const deploy = async (_form, pressed) => {
    const dryRun = pressed?.value === "check";
    replace(result);
    const at = inApp(app, "functions", name.value);
    const others = await ask("GET", inApp(app, "functions"));
    if (others.some((one) => one.name === name.value))
      throw new Error(`There is a function ${name.value} already; change it on its page.`);
    if (component.file) {
      const settings = new URLSearchParams({ access: access.value, enabled: enabled.checked, dry_run: dryRun });
      await ask("PUT", `${at}?${settings}`, { body: component.file, type: "application/wasm" });
    } else {
      const body = {
        name: name.value,
        ...editing.value(),
        enabled: enabled.checked,
        access: { policy: access.value },
        dry_run: dryRun,
      };
      await ask("POST", inApp(app, "functions"), { body });
    }
    if (dryRun) replace(result, h("p", { class: "good" }, "It can be deployed like this."));
    else location.hash = address("apps", app, "functions", name.value);
  };
  return [
    h("h1", {}, "New function"),
    h(
      "section",
      {},
      form(
        {},
        deploy,
        h("div", { class: "row" }, field("Name", name, "Letters, digits, - and _."), field("Who may call it", access)),
        h(
          "label",
          { class: "tick" },
          enabled,
          h("span", {}, "Enabled"),
          h("small", {}, "A disabled function answers 404."),
        ),
        editing.element,
        picker(editing, component),
        h(
          "div",
          { class: "actions" },
          h("button", { value: "deploy" }, "Deploy"),
          h("button", { class: "plain", value: "check" }, "Check only"),
        ),
      ),
      result,
    ),
  ];
}
