// Elements from data. Text stays text: nothing in these pages parses markup, and the page's policy (Trusted Types) would not let it.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `on…` are listeners, `true` is an attribute without a value, `false`, `null` and `undefined` are none. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** Adds nodes and texts, also from nested lists; what is not there is left out. */
export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false)
      element.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces what is in an element. */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** A link within these pages; its parts are names, which are encoded. */
export function link(parts, attributes, ...children) {
  return h("a", { href: address(...parts), ...attributes }, children);
}

/** The address of a page. */
export function address(...parts) {
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

/** A label with its field. */
export function field(label, control, hint) {
  return h("label", { class: "field" }, h("span", { class: "name" }, label), control, hint && h("small", {}, hint));
}

/** A box to tick, with its label behind it. */
export function tick(label, attributes, hint) {
  return h(
    "label",
    { class: "tick" },
    h("input", { type: "checkbox", ...attributes }),
    h("span", {}, label),
    hint && h("small", {}, hint),
  );
}

/** A choice among values; each is `[value, label]` or a value that is its own label. */
export function choice(attributes, options, selected) {
  const option = (one) => {
    const [value, label] = Array.isArray(one) ? one : [one, one];
    return h("option", { value, selected: value === selected }, label);
  };
  return h("select", attributes, options.map(option));
}

/** A table; `columns` are `[head, cell(row)]`. On a narrow screen each row becomes a card. */
export function table(caption, columns, rows, empty) {
  if (rows.length === 0) return h("p", { class: "empty" }, empty);
  // The roles say what a narrow screen's layout would take away.
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { role: "table" },
      h("caption", { class: "hidden" }, caption),
      h(
        "thead",
        { role: "rowgroup" },
        h(
          "tr",
          { role: "row" },
          columns.map(([head]) => h("th", { scope: "col", role: "columnheader" }, head)),
        ),
      ),
      h(
        "tbody",
        { role: "rowgroup" },
        rows.map((row) => line(columns, row)),
      ),
    ),
  );
}

/** One row of such a table. */
export function line(columns, row) {
  return h(
    "tr",
    { role: "row" },
    columns.map(([head, cell]) => h("td", { "data-label": head, role: "cell" }, cell(row))),
  );
}

/** Pairs of a name and a value. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined);
  return h(
    "dl",
    { class: "facts" },
    shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** A button that runs something and cannot be pressed again meanwhile. */
export function button(label, attributes, action) {
  const made = h("button", { type: "button", ...attributes, onclick: () => busy(made, action) }, label);
  return made;
}

/** A form that runs something when it is sent. `action` gets the form. */
export function form(attributes, action, ...children) {
  const made = h(
    "form",
    {
      ...attributes,
      onsubmit: (event) => {
        event.preventDefault();
        busy(event.submitter ?? made.querySelector("button:not([type=button])"), () => action(made, event.submitter));
      },
    },
    children,
  );
  return made;
}

/** Runs an action, during which a button cannot be pressed. */
async function busy(pressed, action) {
  if (pressed.getAttribute("aria-disabled") === "true") return;
  pressed.setAttribute("aria-disabled", "true");
  await attempt(pressed.closest("form, dialog, section, main") ?? document.body, action);
  pressed.removeAttribute("aria-disabled");
}

/** Runs an action; what fails is shown at the end of a place, instead of what failed there before. */
export async function attempt(place, action) {
  place.querySelector(":scope > .failure")?.remove();
  try {
    await action();
  } catch (error) {
    if (error.name !== "AbortError") place.append(failure(error));
  }
}

/** What went wrong, with the places in a source where the host names them. */
export function failure(error) {
  const places = Array.isArray(error.details) ? error.details : [];
  const box = h("div", { class: "failure", role: "alert" });
  append(box, [
    h(
      "p",
      {},
      places.length > 0 ? h("strong", {}, "The host refused it.") : h("strong", {}, error.message),
      error.code && h("code", {}, error.code),
    ),
  ]);
  for (const { file, line, column, message, hint, frame } of places) {
    append(box, [
      h(
        "p",
        {},
        h("code", {}, [file, line, column].filter((part) => part !== undefined).join(":")),
        " ",
        message,
        hint && h("em", {}, ` (${hint})`),
      ),
      frame && h("pre", {}, frame),
    ]);
  }
  return box;
}

/** Says something without taking the focus. */
export function notify(text) {
  const place = document.getElementById("notice");
  const note = h("p", {}, text);
  replace(place, note);
  setTimeout(() => note.remove(), 6000);
}

/** Asks before something that cannot be undone. With `word`, it has to be typed. */
export function confirm(question, action, word) {
  return new Promise((resolve) => {
    const typed = word && h("input", { autocomplete: "off", spellcheck: "false", required: true });
    const sure = h("button", { class: "danger", value: "yes", disabled: Boolean(word) }, action);
    typed?.addEventListener("input", () => {
      sure.disabled = typed.value !== word;
    });
    const dialog = h(
      "dialog",
      { "aria-label": action },
      h(
        "form",
        { method: "dialog" },
        h("p", {}, question),
        typed && field(`Type ${word} to confirm`, typed),
        h(
          "div",
          { class: "actions" },
          sure,
          h("button", { value: "no", formnovalidate: true, autofocus: !word }, "Cancel"),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A button that copies a text. */
export function copier(text) {
  return button("Copy", { class: "small" }, async () => {
    // Only there where the page came over TLS or from this machine.
    if (!navigator.clipboard) return notify("The browser does not let this page copy: mark the text and copy it.");
    await navigator.clipboard.writeText(text);
    notify("Copied");
  });
}
