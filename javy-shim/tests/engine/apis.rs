//! The web APIs, as a program uses them.

use crate::host::{Call, host};

/// Runs assertions inside the engine: the program returns the list of what does not hold.
async fn check(code: &str) {
    let program = format!(
        "const wrong = [];
         const is = (actual, expected, what = '') => {{
           const [a, b] = [JSON.stringify(actual) ?? String(actual), JSON.stringify(expected) ?? String(expected)];
           if (a !== b) wrong.push(`${{what}} is ${{a}}, not ${{b}}`);
         }};
         const throws = async (name, action) => {{
           try {{ await action(); wrong.push(`${{action}} did not throw`); }}
           catch (error) {{ is(error.name, name, String(action)); }}
         }};
         export default async (req, ctx) => {{ {code}\n; return wrong; }}"
    );
    let outcome = host().deploy_source(&program).await.call(Call { method: "POST", ..Call::default() }).await;
    assert_eq!(outcome.text(), "[]", "log: {:?}", outcome.state.log);
}

#[tokio::test]
async fn headers_combine_sort_and_check() {
    check(
        "const h = new Headers({ b: '2', A: '1' }); h.append('a', ' 3 '); h.append('Set-Cookie', 'x=1'); h.append('set-cookie', 'y=2');
         is([...h], [['a', '1, 3'], ['b', '2'], ['set-cookie', 'x=1'], ['set-cookie', 'y=2']]);
         is(h.getSetCookie(), ['x=1', 'y=2']); is(h.get('missing'), null); is(Object.fromEntries(new Headers(h)).a, '1, 3');
         await throws('TypeError', () => new Headers({ 'a b': '1' })); await throws('TypeError', () => h.set('a', 'x\\ny'));
         await throws('TypeError', () => h.set('a', '€')); is(String(h), '[object Headers]');
         await throws('TypeError', () => Response.redirect('http://x.test/').headers.set('a', '1'));",
    )
    .await;
}

#[tokio::test]
async fn bodies_are_read_once_in_every_form() {
    check(
        "is(await new Response('é').text(), 'é'); is([...await new Response('é').bytes()], [195, 169]);
         is((await new Response(new Uint8Array([1, 2])).arrayBuffer()).byteLength, 2); is(await new Response('[1]').json(), [1]);
         is((await new Response('x', { headers: { 'content-type': 'text/a' } }).blob()).type, 'text/a');
         const r = new Response('x'); is(r.bodyUsed, false); await r.text(); is(r.bodyUsed, true); await throws('TypeError', () => r.text());
         const c = new Response('twice'); const d = c.clone(); is([await c.text(), await d.text()], ['twice', 'twice']);
         const s = new Response(new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode('str')); c.enqueue(new TextEncoder().encode('eam')); c.close() } }));
         const [t, u] = [s, s.clone()]; is([await t.text(), await u.text()], ['stream', 'stream']);
         is((await new Response('ab').body.getReader().read()).value.length, 2);
         is(await new Response(new URLSearchParams({ a: 'b c' })).text(), 'a=b+c');
         is(Response.json({}).headers.get('content-type'), 'application/json'); is(Response.json(1, { status: 201 }).status, 201);
         await throws('TypeError', () => new Response('x', { status: 204 })); await throws('RangeError', () => new Response('', { status: 99 }));
         await throws('SyntaxError', () => new Response('{').json()); is(await new Response().text(), ''); is(new Response().body, null);",
    )
    .await;
}

#[tokio::test]
async fn requests_copy_and_check() {
    check(
        "const a = new Request('http://x.test/a?b#c', { method: 'post', body: 'hi', headers: { 'X-A': '1' } });
         is([a.method, a.url, a.headers.get('x-a'), a.headers.get('content-type')], ['POST', 'http://x.test/a?b#c', '1', 'text/plain;charset=UTF-8']);
         const b = new Request(a, { headers: { y: '2' } }); is([b.method, b.headers.get('y'), b.headers.get('x-a'), a.bodyUsed], ['POST', '2', null, true]);
         is(await b.text(), 'hi'); is(new Request('http://x.test').signal.aborted, false);
         await throws('TypeError', () => new Request('http://x.test', { body: 'x' })); await throws('TypeError', () => new Request('nope'));
         await throws('TypeError', () => new Request('http://u:p@x.test')); await throws('TypeError', () => new Request('http://x.test', { method: 'a b' }));
         is(req.clone() instanceof Request, true); is(new Request('http://x.test', { method: 'patch' }).method, 'patch');",
    )
    .await;
}

#[tokio::test]
async fn urls_parse_change_and_keep_their_parameters() {
    check(
        "const u = new URL('../c?x=1&x=2#h', 'https://user:pw@EXAMPLE.com:8080/a/b/'); is(u.href, 'https://user:pw@example.com:8080/a/c?x=1&x=2#h');
         is([u.origin, u.host, u.port, u.pathname, u.search, u.hash, u.username], ['https://example.com:8080', 'example.com:8080', '8080', '/a/c', '?x=1&x=2', '#h', 'user']);
         u.searchParams.append('y', 'é &'); is(u.search, '?x=1&x=2&y=%C3%A9+%26'); u.search = '?z=1'; is(u.searchParams.get('z'), '1');
         u.port = '443'; is(u.host, 'example.com'); u.pathname = 'q r'; is(u.pathname, '/q%20r'); is(JSON.stringify(u), JSON.stringify(u.href));
         is(URL.canParse('x:'), true); is(URL.canParse('nope'), false); is(URL.parse('nope'), null); await throws('TypeError', () => new URL('nope'));
         const p = new URLSearchParams('?b=2&a=1&b=%zz%C3'); p.sort(); is(p.toString(), 'a=1&b=2&b=%25zz%EF%BF%BD'); p.delete('b', '2'); is(p.size, 2);
         is([...new URLSearchParams({ q: 'a+b' })], [['q', 'a+b']]); is(new URLSearchParams([['a', '~!*()']]).toString(), 'a=%7E%21*%28%29');",
    )
    .await;
}

#[tokio::test]
async fn text_is_coded_whole_and_in_pieces() {
    check(
        "is([...new TextEncoder().encode('a€😀\\ud800')], [97, 226, 130, 172, 240, 159, 152, 128, 239, 191, 189]);
         is(new TextEncoder().encodeInto('a€b', new Uint8Array(4)), { read: 2, written: 4 });
         const d = new TextDecoder(); let out = ''; for (const b of new TextEncoder().encode('x€😀')) out += d.decode(new Uint8Array([b]), { stream: true });
         is(out + d.decode(), 'x€😀'); is(new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x61])), 'a');
         is(new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf])), '\\ufeff');
         is(new TextDecoder('utf-16le').decode(new Uint8Array([0x3d, 0xd8, 0x00, 0xde])), '😀'); is(new TextDecoder('latin1').encoding, 'windows-1252');
         is(new TextDecoder('latin1').decode(new Uint8Array([0x80, 0xe9])), '€é'); await throws('TypeError', () => new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xff])));
         await throws('RangeError', () => new TextDecoder('nope')); is(new TextDecoder().decode(new Uint8Array([0xf0, 0x9f, 0x41])), '\\ufffdA');
         const parts = []; for await (const t of ReadableStream.from([new Uint8Array([0xe2, 0x82]), new Uint8Array([0xac])]).pipeThrough(new TextDecoderStream())) parts.push(t); is(parts, ['€']);
         is(atob(btoa('abc')), 'abc');",
    )
    .await;
}

#[tokio::test]
async fn events_and_signals_fire() {
    check(
        "const t = new EventTarget(); const seen = []; t.addEventListener('x', (e) => seen.push(e.type), { once: true }); t.addEventListener('x', { handleEvent() { seen.push('object') } });
         t.dispatchEvent(new Event('x')); t.dispatchEvent(new CustomEvent('x', { detail: 1 })); is(seen, ['x', 'object', 'object']);
         const e = new Event('y', { cancelable: true }); t.addEventListener('y', (e) => e.preventDefault()); is(t.dispatchEvent(e), false);
         const c = new AbortController(); const any = AbortSignal.any([c.signal]); let fired = 0; any.onabort = () => fired++; c.abort('why'); is([any.aborted, any.reason, fired], [true, 'why', 1]);
         await throws('AbortError', () => AbortSignal.abort().throwIfAborted());
         const s = AbortSignal.timeout(1); await new Promise((r) => s.addEventListener('abort', r)); is(s.reason.name, 'TimeoutError'); await throws('TypeError', () => new AbortSignal());
         let order = []; setTimeout(() => order.push('t2'), 2); setTimeout(() => order.push('t0')); queueMicrotask(() => order.push('m')); const n = setInterval(() => { order.push('i'); clearInterval(n) }, 1);
         clearTimeout(setTimeout(() => order.push('never'), 1)); await new Promise((r) => setTimeout(r, 10)); is(order.join(), 'm,t0,i,t2');",
    )
    .await;
}

#[tokio::test]
async fn blobs_and_forms_survive_the_wire() {
    check(
        "const b = new Blob(['ab', new Uint8Array([99])], { type: 'Text/X' }); is([b.size, b.type, await b.text(), await b.slice(-2, -1).text()], [3, 'text/x', 'abc', 'b']);
         const f = new FormData(); f.append('a', '1\\n2'); f.append('f', new File(['data'], 'n\"ame.txt', { type: 'text/plain' })); f.set('b', 'x'); f.append('b', 'y');
         const back = await new Response(f).formData(); is(back.get('a'), '1\\r\\n2'); is(back.getAll('b'), ['x', 'y']);
         const file = back.get('f'); is([file.name, file.type, await file.text(), file instanceof File], ['n\"ame.txt', 'text/plain', 'data', true]);
         is((await new Response('a=1&b=%20', { headers: { 'content-type': 'application/x-www-form-urlencoded' } }).formData()).get('b'), ' ');
         await throws('TypeError', () => new Response('x', { headers: { 'content-type': 'multipart/form-data; boundary=q' } }).formData());",
    )
    .await;
}

#[tokio::test]
async fn structured_clone_copies_deeply() {
    check(
        "const a = { d: new Date(5), m: new Map([[1, { x: new Set([2]) }]]), r: /a/gi, n: [1, , 3], u: undefined, b: 10n }; a.self = a;
         const c = structuredClone(a); is([c.d.getTime(), c.m.get(1).x.has(2), c.r.flags, 1 in c.n, 'u' in c, c.self === c, c.b === 10n], [5, true, 'gi', false, true, true, true]);
         const e = structuredClone(new RangeError('m', { cause: 1 })); is([e instanceof RangeError, e.message, e.cause], [true, 'm', 1]);
         const buf = new ArrayBuffer(8); const m = structuredClone(buf, { transfer: [buf] }); is([buf.byteLength, m.byteLength], [0, 8]);
         const v = new Uint16Array([1, 2]); const w = structuredClone({ v, b: v.buffer }); is(w.v.buffer === w.b && w.v[1] === 2, true);
         await throws('DataCloneError', () => structuredClone(() => 1)); await throws('DataCloneError', () => structuredClone(Symbol('s'))); await throws('DataCloneError', () => structuredClone(Promise.resolve()));",
    )
    .await;
}

#[tokio::test]
async fn digests_and_hmac_match_known_answers() {
    check(
        "const hex = (b) => new Uint8Array(b).toHex(); const enc = new TextEncoder();
         is(hex(await crypto.subtle.digest('SHA-256', enc.encode('abc'))), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
         is(hex(await crypto.subtle.digest({ name: 'sha-1' }, enc.encode('abc'))), 'a9993e364706816aba3e25717850c26c9cd0d89d');
         const k = await crypto.subtle.importKey('raw', enc.encode('key'), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);
         const sig = await crypto.subtle.sign('HMAC', k, enc.encode('The quick brown fox jumps over the lazy dog')); is(hex(sig), 'f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8');
         is(await crypto.subtle.verify('HMAC', k, sig, enc.encode('no')), false); await throws('InvalidAccessError', () => crypto.subtle.exportKey('raw', k));
         await throws('NotSupportedError', () => crypto.subtle.digest('MD5', new Uint8Array())); is(crypto.getRandomValues(new Uint32Array(4)).some((x) => x > 0), true);
         is(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()), true);",
    )
    .await;
}

#[tokio::test]
async fn the_console_prints_as_node_does() {
    let code = "export default () => {
        console.log('%s is %d', 'x', 42, { a: [1, { b: { c: { d: 1 } } }], s: 'it\\'s' }, new Map([['k', 1]]), null, undefined, [], () => 1, class Q {});
        console.error(new TypeError('bad').message); console.group('g'); console.warn('in'); console.groupEnd(); console.debug(1n, -0, Symbol('y'));
        const o = {}; o.self = o; console.log(o); console.table([{ a: 1 }]); console.assert(1 === 2, 'no'); console.count(); console.log();
        return 1;
      }";
    let outcome = host().deploy_source(code).await.get().await;
    outcome.text();
    let log = outcome.state.log;
    assert_eq!(
        log[0],
        "info: x is 42 { a: [ 1, { b: [Object] } ], s: \"it's\" } Map(1) { 'k' => 1 } null undefined [] [Function (anonymous)] [class Q]"
    );
    assert_eq!(
        log[1..6],
        ["error: bad", "info: g", "warn:   in", "debug: 1n -0 Symbol(y)", "info: { self: [Circular *1] }"]
            .map(str::to_owned)
    );
    assert!(log[6].contains("│ 0       │ 1 │"), "{}", log[6]);
    assert_eq!(log[7..10], ["error: Assertion failed: no", "info: default: 1", "info: "].map(str::to_owned));
}

#[tokio::test]
async fn the_database_gives_rows_changes_and_errors() {
    let code = "export default async (req, { db }) => {
        const { rows, columns } = await db.query('SELECT ?', [1, 'a', 1.5, true, null, new Uint8Array([9]), 5n]);
        const changed = await db.query('insert into t values (1)');
        const sum = await db.transaction(async (tx) => (await tx.query('UPDATE t SET a = 1')).changes);
        const error = await db.query('SELECT broken').catch((e) => `${e.name} ${e.code} ${e.message}`);
        const undone = await db.transaction(async () => { throw new Error('undo') }).catch((e) => e.message);
        return [typeof rows[0].big, rows[0].text, rows[0].blob.length, columns.length, changed.lastInsertId, sum, error, undone];
      }";
    let outcome = host().deploy_source(code).await.get().await;
    assert_eq!(outcome.text(), r#"["bigint","é",2,4,7,1,"DatabaseError syntax near \"broken\": syntax error","undo"]"#);
    let statements = outcome.state.statements;
    assert!(
        statements[0].contains("Integer(1)")
            && statements[0].contains("Real(1.5)")
            && statements[0].contains("Integer(5)"),
        "{}",
        statements[0]
    );
    assert!(
        statements[2].starts_with("begin")
            && statements[4] == "commit"
            && statements.last().is_some_and(|last| last == "rollback"),
        "{statements:?}"
    );
}

#[tokio::test]
async fn the_database_takes_names_batches_roles_and_gives_rows_one_by_one() {
    let code = "export default async (req, { db }) => {
        const named = await db.query('NAMED', { a: 1n, ':b': new Date(0) });
        const batch = await db.batch(['ONE', { sql: 'TWO', parameters: [[1]] }, { sql: 'THREE', parameters: { c: undefined } }]);
        let seen = 0;
        for await (const row of db.stream('ALL')) seen += row.text.length;
        for await (const row of db.stream('SOME', [1])) break;
        const roles = [
          await db.asUser(7, (db) => db.query('USER').then(({ rows }) => rows[0].big)),
          await db.asAnon((db) => db.transaction((tx) => tx.query('ANON'), { readOnly: true })).then(({ changes }) => changes),
          await db.asService(() => { throw new Error('out') }).catch((e) => e.message),
        ];
        const inside = await db.transaction((tx) => tx.batch(['FOUR', { sql: 'FIVE', parameters: { e: true } }]));
        const kept = await db.asUser('u', (db) => db);
        const late = await kept.query('LATE').catch((e) => e.code);
        const proto = Object.hasOwn(named.rows[0], '__proto__') && Object.getPrototypeOf(named.rows[0]) === Object.prototype;
        const wrong = await db.query('WRONG', 'text').catch((e) => e.name);
        return [named.rows.length, batch.length, seen, String(roles), inside.length, late, proto, wrong];
      }";
    let outcome = host().deploy_source(code).await.get().await;
    assert_eq!(outcome.text(), r#"[1,3,4,"1152921504606846976,1,out",2,"closed",true,"TypeError"]"#);
    let expected = [
        r#"NAMED ["a", ":b"] [Value::Integer(1), Value::Text("1970-01-01T00:00:00.000Z")]"#,
        "ONE []",
        r#"TWO [Value::Text("[1]")]"#,
        r#"THREE ["c"] [Value::Null]"#,
        "ALL []",
        "close",
        "SOME [Value::Integer(1)]",
        "close",
        r#"as Role::Authenticated("7")"#,
        "USER []",
        "disconnect 2",
        "as Role::Anon",
        "begin TransactionMode::ReadOnly",
        "ANON []",
        "commit",
        "disconnect 2",
        "as Role::ServiceRole",
        "disconnect 2",
        "begin TransactionMode::ReadWrite",
        "FOUR []",
        r#"FIVE ["e"] [Value::Integer(1)]"#,
        "commit",
        r#"as Role::Authenticated("u")"#,
        "disconnect 2",
    ];
    assert_eq!(outcome.state.statements, expected);
}

#[tokio::test]
async fn results_of_a_stream_that_are_kept_stay_as_they_were() {
    let code = "export default async (_, { db }) => {
        const kept = [];
        const stream = db.stream('ALL');
        const rows = stream[Symbol.asyncIterator]();
        for (let one = await rows.next(); !one.done; one = await rows.next()) kept.push(one);
        const at_once = db.stream('ALL')[Symbol.asyncIterator]();
        const both = await Promise.all([at_once.next(), at_once.next(), at_once.next()]);
        await at_once.return();
        const inTurn = [];
        for await (const row of db.stream('ALL')) inTurn.push(row);
        const failing = { failed: 0 };
        try { for await (const row of db.stream('ALL broken')) failing.failed += 1; } catch (error) { failing.name = error.name; }
        const distinct = (list) => new Set(list).size;
        const done = [await rows.next(), await stream.next()].every(({ done, value }) => done && value === undefined);
        return [kept.length, distinct(kept.map(({ value }) => value)), distinct(both.map(({ value }) => value)), distinct(inTurn), failing, done];
      }";
    let outcome = host().deploy_source(code).await.get().await;
    assert_eq!(outcome.text(), r#"[4,4,3,4,{"failed":0,"name":"DatabaseError"},true]"#);
}

#[tokio::test]
async fn bodies_stream_in_both_directions() {
    let code = "export default (req) => new Response(req.body.pipeThrough(new TextDecoderStream()).pipeThrough(new TransformStream({
        transform(text, c) { c.enqueue(text.toUpperCase()) } })).pipeThrough(new TextEncoderStream()), { headers: { 'content-type': 'text/plain' } })";
    let function = host().deploy_source(code).await;
    let body = "streamed é ".repeat(20_000);
    let outcome = function.call(Call { streamed: true, ..Call::post(&body) }).await;
    assert_eq!(outcome.text(), body.to_uppercase());
    let echo = host().deploy_source("export default (req) => new Response(req.body)").await;
    assert_eq!(echo.call(Call { streamed: true, ..Call::post(&body) }).await.text(), body);
}

#[tokio::test]
async fn a_response_stream_that_fails_is_no_complete_response() {
    let code = "export default () => new Response(new ReadableStream({ async pull(c) {
        c.enqueue(new Uint8Array([65])); await 0; c.error(new Error('cut')) } }))";
    let outcome = host().deploy_source(code).await.get().await;
    assert_eq!(outcome.error().message, "Error: cut");
    let stuck = host().deploy_source("export default () => new Response(new ReadableStream({}))").await.get().await;
    assert!(stuck.error().message.contains("can never end"), "{}", stuck.error().message);
}

#[tokio::test]
async fn fetch_sends_streams_redirects_and_aborts() {
    check(
        "const post = await fetch('http://a.test:81/echo?x', { method: 'POST', body: 'hi', headers: { authorization: 'Bearer 1' } });
         is([post.status, post.ok, post.headers.get('x-reply'), post.url], [200, true, 'yes', 'http://a.test:81/echo?x']);
         is(await post.text(), 'POST http://a.test:81/echo?x hi with \"Bearer 1\"');
         const moved = await fetch('http://a.test/redirect', { method: 'POST', body: 'x', headers: { authorization: 'Bearer 1' } });
         is([moved.redirected, await moved.text()], [true, 'GET http://a.test/echo?redirected  with \"Bearer 1\"']);
         is((await fetch('http://a.test/redirect', { redirect: 'manual' })).status, 303); await throws('TypeError', () => fetch('http://a.test/redirect', { redirect: 'error' }));
         await throws('TypeError', () => fetch('http://a.test/loop')); await throws('TypeError', () => fetch('ftp://a.test/'));
         const refused = await fetch('http://a.test/refused').catch((e) => e.message); is(refused, 'fetch failed: the connection was refused (http://a.test)');
         const stream = new ReadableStream({ async pull(c) { await 0; c.enqueue(new TextEncoder().encode('part ')); if (++this.n === 3) c.close() }, n: 0 });
         is(await (await fetch('https://a.test/up', { method: 'PUT', body: stream, duplex: 'half' })).text(), 'PUT https://a.test/up part part part ');
         await throws('TimeoutError', () => fetch('http://a.test/never', { signal: AbortSignal.timeout(5) })); await throws('AbortError', () => fetch('http://a.test/', { signal: AbortSignal.abort() }));
         const late = new AbortController(); const answer = fetch('http://a.test/never', { signal: late.signal }); setTimeout(() => late.abort(new RangeError('mine')), 1); await throws('RangeError', () => answer);
         const all = await Promise.all([1, 2, 3].map((n) => fetch(`http://a.test/${n}`).then((r) => r.text()))); is(all[2], 'GET http://a.test/3 ');
         const kept = await fetch('http://a.test/x', { signal: new AbortController().signal }); is(await kept.text(), 'GET http://a.test/x ');",
    )
    .await;
}

#[tokio::test]
async fn a_fetched_response_can_be_passed_on() {
    let code = "export default () => fetch('http://a.test/inner')";
    let outcome = host().deploy_source(code).await.get().await;
    assert_eq!((outcome.text(), outcome.header("x-reply")), ("GET http://a.test/inner ".to_owned(), Some("yes")));
}

#[tokio::test]
async fn performance_measures_between_marks() {
    check(
        "is(performance.timeOrigin, performance.timeOrigin); is(Math.abs(Date.now() - performance.timeOrigin) < 60000, true);
         const mark = performance.mark('a', { startTime: 5, detail: { x: 1 } }); is(mark.toJSON(), { name: 'a', entryType: 'mark', startTime: 5, duration: 0 });
         is(mark.detail, { x: 1 }); performance.mark('b', { startTime: 8 });
         is(performance.measure('m', 'a', 'b').duration, 3); is(performance.measure('n', { start: 'a', duration: 2 }).duration, 2);
         is(performance.getEntriesByType('measure').map((e) => e.name), ['m', 'n']); is(performance.getEntriesByName('a').length, 1);
         await throws('SyntaxError', () => performance.measure('m', 'missing')); await throws('TypeError', () => new PerformanceEntry());
         performance.clearMarks('a'); is(performance.getEntriesByType('mark').length, 1); performance.clearMeasures(); is(performance.getEntries().length, 1);",
    )
    .await;
}

#[tokio::test]
async fn message_ports_deliver_clones_in_order() {
    check(
        "const { port1, port2 } = new MessageChannel(); const sent = { n: 1 }; const got = [];
         port1.postMessage(sent); port1.postMessage('two'); sent.n = 9;
         await new Promise((done) => { port2.onmessage = (event) => { got.push(event.data); if (got.length === 2) done(); }; });
         is(got, [{ n: 1 }, 'two']); await throws('DataCloneError', () => port1.postMessage(() => 1)); await throws('TypeError', () => new MessagePort());
         const lost = []; port1.onmessage = (event) => lost.push(event.data); port1.close(); port2.postMessage(1);
         await new Promise((r) => setTimeout(r, 5)); is(lost, []); is(String(port1), '[object MessagePort]');",
    )
    .await;
}

#[tokio::test]
async fn header_values_keep_their_bytes_and_headers_their_rules() {
    check(
        "const h = new Headers([['x', 'caf\\u00e9']]); is(h.get('X'), 'caf\\u00e9'); h.append('x', ''); is(h.get('x'), 'caf\\u00e9, ');
         h.set('a', 1); h.append('a', 2); h.set('a', ' 3\\t'); is([...h.keys()], ['a', 'x']); is(h.get('a'), '3');
         await throws('TypeError', () => h.get('')); await throws('TypeError', () => h.append('x', '\\u0100')); await throws('TypeError', () => h.set('x', 'a\\0b'));
         await throws('TypeError', () => h.get('\\ud800')); await throws('TypeError', () => Headers.prototype.get.call({}, 'a'));
         const copy = new Headers(h); copy.delete('A'); is([h.has('a'), copy.has('a')], [true, false]);
         const each = []; h.forEach((value, name) => each.push(name)); is(each, ['a', 'x']);
         is(await new Response('\\ufeffx').text(), 'x'); is(await new Response('\\ufeff[1]').json(), [1]); is(await new Response('\\ud800').text(), '\\ufffd');
         await throws('SyntaxError', () => new Response('{').json()); await throws('SyntaxError', () => new Response(new Uint8Array([0])).json());
         await throws('TypeError', () => Response.prototype.text.call({}));
         const r = new Response('body'); const c = r.clone(); is([await r.text(), await c.text(), r.bodyUsed, c.bodyUsed], ['body', 'body', true, true]);
         is(new TextDecoder().decode((await new Response('body').body.getReader().read()).value), 'body');",
    )
    .await;
}

#[tokio::test]
async fn headers_of_a_response_outlive_its_sending() {
    let function = host()
        .deploy_source(
            "export default (req, ctx) => {
               const response = new Response('x', { headers: { kept: 'yes' } });
               ctx.waitUntil(new Promise((r) => setTimeout(r, 2)).then(() => console.log(response.headers.get('kept'))));
               return response;
             }",
        )
        .await;
    let outcome = function.get().await;
    assert_eq!((outcome.text(), outcome.header("kept")), ("x".to_owned(), Some("yes")));
    assert_eq!(outcome.state.log, ["info: yes"]);
}

#[tokio::test]
async fn cryptography_that_answers_at_once_is_there_for_other_modules() {
    let code = "import * as sync from 'sync';
        const text = (value) => new TextEncoder().encode(value);
        export default () => [
            sync.hash(sync.hashName('md5'), text('abc')).toHex(), sync.hash(sync.hashName('SHA-224'), text('abc')).toHex(),
            // RFC 2202, test case 2.
            sync.hmac(sync.hashName('RSA-MD5'), text('Jefe'), text('what do ya want for nothing?')).toHex(),
            String(sync.hashName('crc32')), sync.timingSafeEqual(text('ab'), text('ab')), sync.timingSafeEqual(text('ab'), text('ac')),
            sync.randomBytes(7).length, sync.hashNames.length,
        ]";
    let function = host().deploy(&[("main.js", code, &[("sync", "caddis:crypto-sync")])]).await.expect("deploys");
    assert_eq!(
        function.get().await.text(),
        r#"["900150983cd24fb0d6963f7d28e17f72","23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7","750c783e6ab0b503eaa86e310a5db738","undefined",true,false,7,6]"#
    );
}

#[tokio::test]
async fn url_patterns_match_and_give_groups() {
    check(
        "const p = new URLPattern({ pathname: '/books/:id' }); const r = p.exec('https://e.test/books/7?x');
         is([p.test('https://e.test/books/7'), p.test('https://e.test/books'), r.pathname.groups.id, r.pathname.input, p.pathname, p.hostname], [true, false, '7', '/books/7', '/books/:id', '*']);
         const s = new URLPattern('https://*.e.test/:a(\\\\d+)/*').exec('https://www.e.test/12/x/y'); is([s.hostname.groups[0], s.pathname.groups], ['www', { 0: 'x/y', a: '12' }]);
         is([new URLPattern('/foo/*', 'https://e.test').test('https://e.test/foo/bar'), new URLPattern({ pathname: '/f*', baseURL: 'https://e.test' }).test('/foo', 'https://e.test')], [true, true]);
         is([{ pathname: '/Foo' }, 'https://e.test/Foo'].map((i) => new URLPattern(i, { ignoreCase: true }).test('https://e.test/fOO')), [true, true]);
         is([new URLPattern('/Foo', 'https://e.test', { ignoreCase: true }).test('https://e.test/foo'), new URLPattern({ pathname: '/Foo' }).test('https://e.test/foo')], [true, false]);
         is([new URLPattern({ search: 'q=:q' }).exec('https://x.test/?q=1').search.groups.q, new URLPattern().test('https://x.test/'), new URLPattern({ pathname: '/a{/:b}?' }).test('https://x.test/a')], ['1', true, true]);
         is(new URLPattern({ pathname: '/:x(\\\\d)' }).hasRegExpGroups, true); is(String(p), '[object URLPattern]'); await throws('TypeError', () => new URLPattern('/no-base'));",
    )
    .await;
}
