// What `https://deno.land/std/http/server.ts` exports, as far as functions use it.

export { serve } from "./environment.js";
