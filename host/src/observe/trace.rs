//! Trace context (W3C Trace Context, level 1): which trace a request belongs to, and how it goes on in requests the function makes.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The field that names the trace.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The field of tracing systems, passed on as it is.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Most bytes of `tracestate` that are passed on (section 3.3.1.5).
const STATE_BYTES: usize = 512;

/// The flag of traces that are recorded (section 3.2.2.5.1).
const SAMPLED: u8 = 1;

/// One span of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    /// The span this one is in, if it is in one.
    parent: Option<u64>,
    span: u64,
    flags: u8,
    state: Option<HeaderValue>,
}

impl TraceContext {
    /// A new span in the trace that a request names, if it names one.
    pub fn continued(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(TRACEPARENT).iter();
        let parent = fields.next().filter(|_| fields.next().is_none())?.to_str().ok()?;
        let (trace, parent, flags) = parse(parent)?;
        let mut states = headers.get_all(TRACESTATE).iter();
        let state = states.next().filter(|state| states.next().is_none() && state.len() <= STATE_BYTES).cloned();
        Some(Self { trace, parent: Some(parent), span: fastrand::u64(1..), flags, state })
    }

    /// The first span of a new trace, which is recorded.
    pub fn started() -> Self {
        Self { trace: fastrand::u128(1..), parent: None, span: fastrand::u64(1..), flags: SAMPLED, state: None }
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The trace, as 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The span, as 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span)
    }

    /// The span it is in.
    pub fn parent_id(&self) -> Option<String> {
        self.parent.map(|parent| format!("{parent:016x}"))
    }

    /// Puts it into a request, unless somebody has already.
    pub fn put(&self, headers: &mut HeaderMap) {
        if headers.contains_key(TRACEPARENT) {
            return;
        }
        if let Ok(value) = HeaderValue::try_from(self.to_string()) {
            headers.insert(TRACEPARENT, value);
            headers.remove(TRACESTATE);
            if let Some(state) = &self.state {
                headers.insert(TRACESTATE, state.clone());
            }
        }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// The trace, the span and the flags of a `traceparent` (section 3.2.2). Later versions may have more at the end.
fn parse(text: &str) -> Option<(u128, u64, u8)> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let version = hex(version, 2)?;
    let (trace, span, flags) = (hex(trace, 32)?, hex(span, 16)?, hex(flags, 2)?);
    let is_valid = version != 0xff && (version != 0 || parts.next().is_none()) && trace != 0 && span != 0;
    is_valid.then_some((trace, u64::try_from(span).ok()?, u8::try_from(flags).ok()? & SAMPLED))
}

/// So many hexadecimal digits in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == digits && text.bytes().all(is_hex)).then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn continued(fields: &[(&'static str, &str)]) -> Option<TraceContext> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        TraceContext::continued(&headers)
    }

    #[test]
    fn a_trace_goes_on_with_a_new_span() {
        let context = continued(&[("traceparent", PARENT), ("tracestate", "a=1")]).unwrap();
        let mut headers = HeaderMap::new();
        context.put(&mut headers);
        let sent = headers.get("traceparent").unwrap().to_str().unwrap();
        assert!(sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && sent.ends_with("-01"), "{sent}");
        assert_ne!(sent, PARENT);
        assert_eq!(headers.get("tracestate").unwrap(), "a=1");
        let mut own = HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static("own"))]);
        context.put(&mut own);
        assert_eq!(own.get("traceparent").unwrap(), "own");
    }

    #[test]
    fn what_is_not_valid_is_as_if_it_were_not_there() {
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(continued(&[("traceparent", bad)]), None, "{bad}");
        }
        assert_eq!(continued(&[("traceparent", PARENT), ("traceparent", PARENT)]), None);
        assert!(continued(&[("traceparent", &format!("01{}-more", PARENT.trim_start_matches("00")))]).is_some());
    }
}
