// URLPattern (URL Pattern standard), from urlpattern-polyfill.

import { defineGlobals } from "./native.js";
import { URLPattern } from "urlpattern-polyfill";

defineGlobals({ URLPattern });
