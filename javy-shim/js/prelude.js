// The module the engine evaluates when it is built. Order matters: a module may use the globals of those above it.

import "./native.js";
import "./stacks.js";
import "./events.js";
import "./streams.js";
import "./url.js";
import "./urlpattern.js";
import "./encoding.js";
import "./timers.js";
import "./headers.js";
import "./blob.js";
import "./messages.js";
import "./file-reader.js";
import "./console.js";
import "./environment.js";
import "./fetch.js";
import "./crypto.js";
import "./crypto-sync.js";
import "./channels.js";
import "./compression.js";
import "./clone.js";
import "./performance.js";
import "./intl.js";
import "./std-http.js";

export { describe, lastUnhandled, reportRejections, trackRejection } from "./errors.js";
export { dispatch, mark, prepare, reject, rest, settle } from "./handler.js";
