//! The load tool: wrk, with what its own report leaves out.

use std::fmt::Write as _;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::workloads::Call;

/// Prints what was measured as one line of JSON; latencies are microseconds.
const REPORT: &str = r#"
done = function(summary, latency)
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout
  io.write(string.format('{"requests_per_second": %.1f, "p50_us": %d, "p99_us": %d, "p999_us": %d, "errors": %d}\n',
    summary.requests / summary.duration * 1000000, latency:percentile(50), latency:percentile(99), latency:percentile(99.9), errors))
end
"#;

/// What one run of the load tool saw.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    errors: u64,
}

/// Calls `base` with this many connections for this long. Any failed response fails the benchmark.
pub(crate) fn run(base: &str, call: &Call, connections: u32, seconds: u32) -> Result<Measured, Failure> {
    let script = tempfile::Builder::new().suffix(".lua").tempfile()?;
    std::fs::write(script.path(), lua(call))?;
    let output = Command::new("wrk")
        .args(["--threads", &connections.min(2).to_string()])
        .args(["--connections", &connections.to_string(), "--timeout", "10s"])
        .args(["--duration", &format!("{seconds}s"), "--script"])
        .arg(script.path())
        .arg(format!("{base}{}", call.paths.first().map_or("/", String::as_str)))
        .output()
        .map_err(|error| format!("wrk does not start ({error}); apt-get install wrk"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().rfind(|line| line.starts_with('{')).ok_or_else(|| format!("wrk said: {text}"))?;
    let measured: Measured = serde_json::from_str(line)?;
    if measured.errors > 0 || measured.requests_per_second == 0.0 {
        return Err(format!("{base}: {} of the requests failed: {text}", measured.errors).into());
    }
    Ok(measured)
}

fn lua(call: &Call) -> String {
    let mut script = String::new();
    if let Some(body) = &call.body {
        let _ = writeln!(
            script,
            "wrk.method = 'POST'\nwrk.body = [[{body}]]\nwrk.headers['content-type'] = 'application/json'"
        );
    }
    if call.paths.len() > 1 {
        let paths: Vec<String> = call.paths.iter().map(|path| format!("'{path}'")).collect();
        let _ = writeln!(script, "local paths = {{{}}}\nlocal at = 0", paths.join(","));
        script.push_str("request = function() at = at % #paths + 1 return wrk.format(nil, paths[at]) end\n");
    }
    script + REPORT
}
