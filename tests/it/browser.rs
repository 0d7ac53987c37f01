//! A browser that people use, without its window: Chromium, driven by its DevTools protocol.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use caddis_tests::{not_tested, within_patience};
use futures::{SinkExt, StreamExt};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Names under which it is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A running browser. Dropping it ends it.
pub(crate) struct Browser {
    process: Child,
    socket: WebSocketStream<TcpStream>,
    calls: u64,
    /// What happened while something else was waited for.
    events: VecDeque<Value>,
    _profile: TempDir,
}

/// A tab of it.
pub(crate) struct Tab {
    browser: Browser,
    session: String,
}

impl Browser {
    /// Starts it; none where it is not installed.
    async fn start() -> Option<Self> {
        let profile = TempDir::new().unwrap();
        let Some(mut process) = NAMES.into_iter().find_map(|name| spawn(name, &profile)) else {
            static SAID: AtomicBool = AtomicBool::new(false);
            if !SAID.swap(true, Ordering::Relaxed) {
                not_tested("the admin interface in a browser: there is no Chromium (apt-get install chromium)");
            }
            return None;
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let url = within_patience("the browser to start", async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(url) = line.strip_prefix("DevTools listening on ") {
                    return url.to_owned();
                }
                said.push_str(&line);
            }
            String::new()
        })
        .await;
        assert!(!url.is_empty(), "the browser ended: {said}");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let authority = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
        let stream = TcpStream::connect(authority).await.unwrap();
        let (socket, _) = client_async(&url, stream).await.unwrap();
        Some(Self { process, socket, calls: 0, events: VecDeque::new(), _profile: profile })
    }

    async fn call(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.socket.send(Message::text(message.to_string())).await.unwrap();
        loop {
            let heard = self.hear().await;
            if heard["id"] == self.calls {
                assert!(heard["error"].is_null(), "{method}: {heard}");
                return heard["result"].clone();
            }
            self.events.push_back(heard);
        }
    }

    async fn hear(&mut self) -> Value {
        loop {
            let message = within_patience("the browser", self.socket.next()).await.expect("it runs").unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // All of its processes write into the profile, which goes next.
        if let Some(group) = self.process.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        while let Ok(None) = self.process.try_wait() {
            std::thread::yield_now();
        }
    }
}

fn spawn(name: &str, profile: &TempDir) -> Option<Child> {
    // Its own sandbox does not work for root, nor in most containers; it is shown nothing but pages of the test.
    let flags =
        ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0"];
    let mut command = Command::new(name);
    command.args(flags).arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .ok()
}

impl Tab {
    /// A tab of a new browser; none where there is no browser.
    pub(crate) async fn open(url: &str) -> Option<Self> {
        let mut browser = Browser::start().await?;
        let target = browser.call(None, "Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call(None, "Target.attachToTarget", attach).await;
        let session = session["sessionId"].as_str().unwrap().to_owned();
        let mut tab = Self { browser, session };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            tab.call(domain, json!({})).await;
        }
        tab.go(url).await;
        Some(tab)
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.browser.call(Some(&self.session), method, parameters).await
    }

    /// Loads a page.
    pub(crate) async fn go(&mut self, url: &str) {
        let loaded = self.call("Page.navigate", json!({ "url": url })).await;
        assert!(loaded["errorText"].is_null(), "{url}: {loaded}");
        self.loaded().await;
    }

    /// Does something after which the page is loaded anew.
    pub(crate) async fn reload(&mut self, statement: &str) {
        self.browser.events.clear();
        self.run(&format!("setTimeout(() => {statement});")).await;
        self.loaded().await;
    }

    async fn loaded(&mut self) {
        loop {
            let event = match self.browser.events.pop_front() {
                Some(event) => event,
                None => self.browser.hear().await,
            };
            if event["method"] == "Page.loadEventFired" {
                return;
            }
        }
    }

    /// Runs the body of an async function in the page, as if a person had clicked, and gives what it returns. `until(condition)` waits
    /// for what the page shows, `find(selector, text)` finds an element with a text, `click` and `fill(label, value)` do what people do.
    ///
    /// # Panics
    /// When it throws.
    pub(crate) async fn run(&mut self, body: &str) -> Value {
        let expression = format!("(async () => {{ {HELPERS} {body} }})()");
        let parameters =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let answer = self.call("Runtime.evaluate", parameters).await;
        assert!(answer["exceptionDetails"].is_null(), "{}", answer["exceptionDetails"]["exception"]["description"]);
        answer["result"]["value"].clone()
    }

    /// What went wrong in the page since the last question: exceptions nobody caught, what a policy refused, failed loads.
    pub(crate) async fn complaints(&mut self) -> Vec<String> {
        // What was said before this answer has been heard then.
        self.run("return 1").await;
        let told = self.browser.events.drain(..);
        let complaint = |event: Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(event["params"]["exceptionDetails"].to_string()),
            Some("Log.entryAdded") => event["params"]["entry"]["text"].as_str().map(str::to_owned),
            _ => None,
        };
        told.filter_map(complaint).collect()
    }
}

const HELPERS: &str = "
    const until = (condition, what = condition) => new Promise((resolve, reject) => {
        const found = () => { try { return condition(); } catch { return undefined; } };
        const now = found();
        if (now) return resolve(now);
        const end = (settle, value) => { observer.disconnect(); clearTimeout(timer); settle(value); };
        const observer = new MutationObserver(() => { const value = found(); if (value) end(resolve, value); });
        observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
        const timer = setTimeout(() => end(reject, new Error(`not seen: ${what}\\nin: ${document.body.innerText}`)), 60000);
    });
    const find = (selector, text = '') => [...document.querySelectorAll(selector)].find((one) => one.textContent.includes(text));
    const click = async (selector, text) => (await until(() => find(selector, text), `${selector} ${text}`)).click();
    const fill = async (label, value) => {
        const name = await until(() => find('.field .name', label), label);
        const field = name.parentElement.querySelector('input, select, textarea');
        field.value = value;
        for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, { bubbles: true }));
    };
    const shown = (text) => until(() => document.querySelector('main').innerText.includes(text), text);
";
