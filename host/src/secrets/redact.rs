//! Takes secrets out of text the host keeps.

use std::borrow::Cow;

use super::Secret;

/// Shorter values are left alone: they are in every other text by chance.
const MIN_BYTES: usize = 6;

/// The same for a line of a value that has several.
const LINE_MIN_BYTES: usize = 16;

/// What stands for a secret.
const REDACTED: &str = "[redacted]";

/// The text without these values, as they are and as JSON escapes them.
pub fn redact<'a>(text: String, values: impl Iterator<Item = &'a Secret>) -> String {
    let length = text.len();
    // Nothing is looked for that is longer; neither are its escapes, which are longer still.
    without_all(text, values.filter(|value| value.expose().len() <= length || value.expose().contains('\n')), without)
}

/// The same for a text that was cut: a value may be there in part, at its end.
pub fn redact_cut<'a>(text: String, values: impl Iterator<Item = &'a Secret>) -> String {
    without_all(text, values, |text, value| without_end(without(text, value), value))
}

fn without_all<'a>(
    text: String,
    values: impl Iterator<Item = &'a Secret>,
    without: impl Fn(String, &str) -> String,
) -> String {
    let values = values.map(Secret::expose).filter(|value| value.len() >= MIN_BYTES).flat_map(and_its_lines);
    values.fold(text, |text, value| {
        let text = without(text, value);
        match escaped(value) {
            Cow::Borrowed(_) => text,
            Cow::Owned(escaped) => without(text, &escaped),
        }
    })
}

/// A value of several lines, such as a private key, may be printed line by line.
fn and_its_lines(value: &str) -> impl Iterator<Item = &str> {
    let lines = if value.contains('\n') { value } else { "" };
    std::iter::once(value).chain(lines.lines().map(str::trim).filter(|line| line.len() >= LINE_MIN_BYTES))
}

fn without(text: String, value: &str) -> String {
    if text.contains(value) { text.replace(value, REDACTED) } else { text }
}

fn without_end(mut text: String, value: &str) -> String {
    let mut lengths = (MIN_BYTES..value.len().min(text.len() + 1)).rev();
    let cut = lengths.find(|length| value.get(..*length).is_some_and(|part| text.ends_with(part)));
    if let Some(length) = cut {
        text.truncate(text.len() - length);
        text.push_str(REDACTED);
    }
    text
}

/// The value as it is in a JSON string.
fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(|character: char| character.is_control() || matches!(character, '"' | '\\')) {
        return Cow::Borrowed(value);
    }
    let json = serde_json::Value::from(value).to_string();
    Cow::Owned(json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or(&json).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str, value: &str) -> String {
        redact_cut(text.to_owned(), std::iter::once(&Secret::from(value.to_owned())))
    }

    #[test]
    fn values_go_wherever_they_are() {
        assert_eq!(redacted("a=hunter22, b=hunter22", "hunter22"), "a=[redacted], b=[redacted]");
        assert_eq!(redacted(r#"{"key":"-\n\"x\"-"}"#, "-\n\"x\"-"), r#"{"key":"[redacted]"}"#);
        assert_eq!(redacted("the end is cut: hunter", "hunter22"), "the end is cut: [redacted]");
    }

    #[test]
    fn the_end_of_a_whole_text_is_left_alone() {
        let value = Secret::from("hunter22".to_owned());
        assert_eq!(redact("hunter22 is a hunter".to_owned(), [&value].into_iter()), "[redacted] is a hunter");
    }

    #[test]
    fn a_value_of_several_lines_goes_line_by_line_as_well() {
        let value = Secret::from("-----BEGIN KEY-----\nMHcCAQEEIGh0aGlzIGlz\nx\n-----END KEY-----\n".to_owned());
        let redacted = |text: &str| redact(text.to_owned(), [&value].into_iter());
        assert_eq!(redacted("a MHcCAQEEIGh0aGlzIGlz b"), "a [redacted] b");
        assert_eq!(redacted("xyz"), "xyz");
    }

    #[test]
    fn short_values_and_other_text_stay() {
        assert_eq!(redacted("port 8080", "8080"), "port 8080");
        assert_eq!(redacted("a hunter is no secret", "hunter22"), "a hunter is no secret");
    }
}
