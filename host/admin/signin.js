// Who manages.

import { field, form, h } from "./dom.js";

/** The form to sign in with; `enter` takes the token. */
export function show(enter) {
  const token = h("input", {
    name: "token",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  return h(
    "section",
    { class: "signin" },
    h("h1", {}, "Caddis"),
    form(
      {},
      () => {
        const given = token.value.trim();
        if (!/^[!-~]+$/.test(given)) throw new Error("This is no token: it has characters that no token has.");
        return enter(given);
      },
      field(
        "Management token",
        token,
        "The admin token, which the host printed at its first start, or a token made with it. It stays in this tab until you sign out or close it.",
      ),
      h("div", { class: "actions" }, h("button", {}, "Sign in")),
    ),
  );
}
