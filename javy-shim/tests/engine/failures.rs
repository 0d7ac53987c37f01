//! What authors are told when something goes wrong.

use crate::host::host;

#[tokio::test]
async fn an_uncaught_error_has_its_name_message_and_stack() {
    let function = host()
        .deploy_source("function inner() { return x.y; }\nexport default async () => { await 0; return inner(); }")
        .await;
    let outcome = function.get().await;
    assert_eq!(outcome.error().message, "ReferenceError: x is not defined");
    let stack = outcome.error().stack.clone().expect("a stack");
    assert!(stack.starts_with("ReferenceError: x is not defined\n    at inner (main.js:1:"), "{stack}");
}

#[tokio::test]
async fn what_is_thrown_need_not_be_an_error() {
    for (thrown, message) in
        [("'text'", "Uncaught text"), ("{ code: 7 }", "Uncaught {\"code\":7}"), ("undefined", "Uncaught undefined")]
    {
        let function = host().deploy_source(&format!("export default () => {{ throw {thrown} }}")).await;
        assert_eq!(function.get().await.error().message, message);
    }
}

#[tokio::test]
async fn causes_are_in_the_stack_once() {
    let code = "export default () => { const a = new Error('a'); const b = new Error('b', { cause: a }); a.cause = b; throw b; }";
    let outcome = host().deploy_source(code).await.get().await;
    let stack = outcome.error().stack.clone().expect("a stack");
    assert_eq!(stack.matches("Caused by: Error: a").count(), 1, "{stack}");
}

#[tokio::test]
async fn the_errors_of_an_aggregate_error_are_in_its_stack() {
    let code =
        "export default () => { throw new AggregateError([new TypeError('one'), 'two', ...Array(9).fill(3)], 'all') }";
    let outcome = host().deploy_source(code).await.get().await;
    let stack = outcome.error().stack.clone().expect("a stack");
    for part in [
        "AggregateError: all\n",
        "\nOne of its errors: TypeError: one\n",
        "\nOne of its errors: two\n",
        "\n... and 1 more",
    ] {
        assert!(stack.contains(part), "{stack}");
    }
}

/// As programs and packages that read them expect.
#[tokio::test]
async fn a_stack_begins_with_the_message_and_a_program_can_set_it() {
    let code = "class Missing extends Error { constructor(what) { super(what); this.name = 'Missing'; } }
        class Page extends Missing { constructor(what) { super(what); Error.captureStackTrace(this, Page); } }
        const lines = (error) => error.stack.split('\\n');
        export default async () => {
            const plain = {};
            Error.captureStackTrace(plain);
            const set = new Error('a'); set.stack = 'mine';
            const none = new Error('a'); none.stack = undefined;
            const fetched = await fetch('ftp://a.test').catch((error) => error);
            return [lines(new Error('e'))[0], lines(new Missing('m')).slice(0, 2).map((line) => line.replace(/:[0-9]+/g, '')), lines(new Page('p'))[0], lines(plain)[0],
                set.stack, none.stack ?? null, JSON.stringify(set), Object.keys(set), fetched.stack.includes('    at default (main.js:'), new TypeError().stack.split('\\n')[0]];
        }";
    let outcome = host().deploy_source(code).await.get().await;
    let expected = r#"["Error: e",["Missing: m","    at default (main.js)"],"Missing: p","Error","mine",null,"{}",[],true,"TypeError"]"#;
    assert_eq!(outcome.text(), expected);
}

#[tokio::test]
async fn a_promise_that_can_never_settle_is_named_as_such() {
    let outcome = host().deploy_source("export default () => new Promise(() => {})").await.get().await;
    assert!(outcome.error().message.contains("can never settle"), "{}", outcome.error().message);
}

#[tokio::test]
async fn a_handler_that_returns_nothing_is_named_as_such() {
    let outcome = host().deploy_source("export default () => {}").await.get().await;
    assert!(outcome.error().message.contains("returned nothing"), "{}", outcome.error().message);
}

#[tokio::test]
async fn a_rejection_of_the_handler_is_its_failure_and_no_unhandled_one() {
    for late in ["", "await new Promise((r) => setTimeout(r, 1));", "await null;"] {
        let code = format!(
            "export default async () => {{ Promise.reject(new Error('lost')); {late} throw new TypeError('mine'); }}"
        );
        let outcome = host().deploy_source(&code).await.get().await;
        assert_eq!(outcome.error().message, "TypeError: mine", "{late}");
        assert!(!outcome.state.log.iter().any(|line| line.contains("mine")), "{late}: {:?}", outcome.state.log);
    }
    let outcome = host().deploy_source("export default () => Promise.reject(4)").await.get().await;
    assert_eq!(outcome.error().message, "Uncaught 4");

    // Jobs that were there before throw, and catch what they throw.
    let code = "export default () => {
        Promise.resolve().then(() => { try { throw 1 } catch {} });
        Promise.resolve().then(() => { throw new Error('lost') });
        return Promise.reject(new TypeError('mine'));
      }";
    let outcome = host().deploy_source(code).await.get().await;
    assert_eq!(outcome.error().message, "TypeError: mine");

    let code = "export default () => new Promise((_, reject) => {
        addEventListener('unhandledrejection', (event) => reject(event.reason));
        Promise.reject(new Error('passed on'));
      })";
    let outcome = host().deploy_source(code).await.get().await;
    assert_eq!(outcome.error().message, "Error: passed on");
    assert_eq!(outcome.state.log.len(), 1, "{:?}", outcome.state.log);
}

#[tokio::test]
async fn a_rejection_that_cannot_be_printed_does_not_take_the_answer_away() {
    let code = "export default async () => {
        Promise.reject(Object.defineProperty(new Error(), 'message', { get() { throw 1 } }));
        return 'ok';
      }";
    let outcome = host().deploy_source(code).await.get().await;
    assert_eq!(outcome.text(), "\"ok\"");
}

#[tokio::test]
async fn an_unhandled_rejection_is_logged_and_a_handled_one_is_not() {
    let code = "export default async () => {
        Promise.reject(new TypeError('lost'));
        const late = Promise.reject(new Error('found')); late.catch(() => {});
        await new Promise((r) => setTimeout(r, 1));
        return 'ok';
      }";
    let outcome = host().deploy_source(code).await.get().await;
    assert_eq!(outcome.text(), "\"ok\"");
    assert_eq!(outcome.state.log.len(), 1, "{:?}", outcome.state.log);
    assert!(
        outcome.state.log[0].starts_with("error: Unhandled promise rejection: TypeError: lost\n"),
        "{:?}",
        outcome.state.log
    );
}

#[tokio::test]
async fn a_syntax_error_names_file_and_line() {
    let (message, stack) =
        host().deploy(&[("main.js", "const a = 1;\nconst b = ;", &[])]).await.err().expect("refused");
    assert!(message.starts_with("SyntaxError"), "{message}");
    assert!(stack.as_ref().is_some_and(|stack| stack.contains("main.js:2")), "{stack:?}");
}

#[tokio::test]
async fn deep_recursion_is_a_range_error_that_can_be_caught() {
    let ways = [
        ("a function", "const f = (n) => f(n + 1) + 1; f(0)"),
        (
            "a method with many arguments",
            "const o = { f(a, b, c, d, e, g) { return this.f(a, b, c, d, e, [g]) + 1 } }; o.f(1, 2, 3, 4, 5, 6)",
        ),
        ("a getter", "const o = { get x() { return this.x } }; o.x"),
        ("a proxy", "const p = new Proxy({}, { get(t, k, r) { return r[k] } }); p.x"),
        ("a constructor", "class A { constructor() { this.a = new A() } } new A()"),
        ("Array.prototype.map", "const f = () => [1].map(f); f()"),
        ("sort", "const f = () => [2, 1].sort(f); f()"),
        ("String.prototype.replace", "const f = () => 'a'.replace(/a/, f); f()"),
        ("toString", "const o = { toString() { return `${this}` } }; `${o}`"),
        ("JSON.stringify", "const o = { toJSON() { return JSON.stringify(this) } }; JSON.stringify(o)"),
        ("JSON.parse of a nest", "JSON.parse('['.repeat(1e6))"),
        ("a reviver", "const f = () => JSON.parse('[1]', f); f()"),
        ("Reflect.apply", "const f = () => Reflect.apply(f, null, []); f()"),
        (
            "bind",
            "let f = () => 0; for (let i = 0; i < 5e4; i++) { f = f.bind(null); Object.defineProperty(f, 'name', { value: '' }) } f()",
        ),
        ("a generator", "function* g() { yield* g() } [...g()]"),
        ("eval", "const f = () => eval('f()'); f()"),
        ("source text", "new Function('return ' + '('.repeat(1e6))"),
        ("a regular expression", "new RegExp('(?:'.repeat(1e6))"),
        ("instanceof", "class A { static [Symbol.hasInstance](x) { return x instanceof A } } 1 instanceof A"),
        ("flat", "let a = []; for (let i = 0; i < 1e6; i++) a = [a]; a.flat(Infinity)"),
        ("structuredClone", "let a = []; for (let i = 0; i < 1e6; i++) a = [a]; structuredClone(a)"),
    ];
    let mut wrong = Vec::new();
    for (way, code) in ways {
        let code = format!(
            "export default () => {{ try {{ {code}; return 'no error' }} catch (e) {{ return /RangeError|stack overflow/.test(e) ? 'RangeError' : `${{e}}` }} }}"
        );
        let outcome = host().deploy_source(&code).await.get().await;
        match &outcome.result {
            Ok(_) if outcome.text() == "\"RangeError\"" => {}
            Ok(_) => wrong.push(format!("{way}: {}", outcome.text())),
            Err(error) => wrong.push(format!("{way}: {}", error.message.lines().take(3).collect::<String>())),
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test]
async fn ordinary_recursion_has_room() {
    let function = host()
        .deploy_source("const depth = (n) => (n === 0 ? 0 : 1 + depth(n - 1)); export default () => depth(5000)")
        .await;
    assert_eq!(function.get().await.text(), "5000");
}

#[tokio::test]
async fn what_belongs_to_a_request_is_not_there_while_the_module_is_evaluated() {
    let (message, _) = host()
        .deploy(&[("main.js", "await fetch('http://a.test/'); export default () => 1", &[])])
        .await
        .err()
        .expect("refused");
    assert!(message.contains("fetch is not available while the module is evaluated"), "{message}");
}
