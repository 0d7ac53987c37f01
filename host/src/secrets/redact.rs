//! Takes secrets out of text the host keeps.

use std::fmt;

use zeroize::Zeroizing;

use super::Secret;

/// Shorter values are left alone: they are in every other text by chance.
const MIN_BYTES: usize = 6;

/// The same for a line of a value that has several.
const LINE_MIN_BYTES: usize = 16;

/// What stands for a secret.
const REDACTED: &str = "[redacted]";

/// Some values, to be taken out of texts. However many they are and however many lines they have, looking for them takes a text's length
/// times the logarithm of their number: a function chooses both, and no fuel is counted for it.
#[derive(Default)]
pub struct Redactor {
    /// The values, their lines, and both as JSON escapes them, in order: those that begin alike stand together.
    words: Vec<Word>,
    /// The bytes they begin with.
    beginnings: Vec<u8>,
}

struct Word {
    text: Zeroizing<String>,
    /// The longest other word that this one begins with.
    shorter: Option<usize>,
}

impl Redactor {
    /// Takes these values out, as they are and as JSON escapes them.
    pub fn new<'a>(values: impl Iterator<Item = &'a Secret>) -> Self {
        let values = values.map(Secret::expose).filter(|value| value.len() >= MIN_BYTES).flat_map(and_its_lines);
        let mut texts: Vec<_> = values.flat_map(and_escaped).collect();
        texts.sort_unstable_by(|one, other| one.as_str().cmp(other));
        texts.dedup_by(|one, other| one.as_str() == other.as_str());
        let mut beginnings: Vec<u8> = texts.iter().filter_map(|text| text.bytes().next()).collect();
        beginnings.dedup();
        Self { words: linked(texts), beginnings }
    }

    /// The text without the values.
    pub fn redact(&self, text: String) -> String {
        self.without(text, false)
    }

    /// The same for a text that was cut: a value may be there in part, at its end.
    pub fn redact_cut(&self, text: String) -> String {
        self.without(text, true)
    }

    fn without(&self, text: String, was_cut: bool) -> String {
        let mut clean = String::new();
        let (mut kept, mut at) = (0, 0);
        while let Some((first, rest)) = text.as_bytes().get(at..).and_then(|rest| Some((rest.first()?, rest))) {
            let found = self.may_begin(*first).then(|| self.longest_at(rest)).flatten();
            if let Some(length) = found {
                clean.push_str(text.get(kept..at).unwrap_or_default());
                clean.push_str(REDACTED);
                kept = at + length;
            }
            at += found.unwrap_or(1);
        }
        let left = text.get(kept..).unwrap_or_default();
        match was_cut.then(|| self.cut_off(left)).flatten() {
            Some(end) => clean + left.get(..end).unwrap_or_default() + REDACTED,
            None if clean.is_empty() => text,
            None => clean + left,
        }
    }

    fn may_begin(&self, byte: u8) -> bool {
        self.beginnings.binary_search(&byte).is_ok()
    }

    /// The length of the longest word that a text begins with.
    fn longest_at(&self, text: &[u8]) -> Option<usize> {
        // Whatever is between a beginning of the text and the text itself begins alike.
        let after = self.words.partition_point(|word| word.text.as_bytes() <= text);
        let mut word = self.words.get(after.checked_sub(1)?)?;
        let common = word.text.bytes().zip(text).take_while(|(one, other)| one == *other).count();
        while word.text.len() > common {
            word = self.words.get(word.shorter?)?;
        }
        Some(word.text.len())
    }

    /// Where the beginning of a word is that goes on to the end of a text.
    fn cut_off(&self, text: &str) -> Option<usize> {
        let ends = text.bytes().enumerate().take((text.len() + 1).saturating_sub(MIN_BYTES));
        let mut ends = ends.filter(|(_, byte)| self.may_begin(*byte));
        let is_begun = |end: &str| {
            let next = self.words.partition_point(|word| word.text.as_str() < end);
            self.words.get(next).is_some_and(|word| word.text.starts_with(end))
        };
        ends.find(|(at, _)| text.get(*at..).is_some_and(is_begun)).map(|(at, _)| at)
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

fn linked(texts: Vec<Zeroizing<String>>) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::with_capacity(texts.len());
    for text in texts {
        let mut shorter = words.len().checked_sub(1);
        while let Some(word) = shorter.and_then(|index| words.get(index)).filter(|word| !text.starts_with(&**word.text))
        {
            shorter = word.shorter;
        }
        words.push(Word { text, shorter });
    }
    words
}

/// A value of several lines, such as a private key, may be printed line by line.
fn and_its_lines(value: &str) -> impl Iterator<Item = &str> {
    let lines = if value.contains('\n') { value } else { "" };
    std::iter::once(value).chain(lines.lines().map(str::trim).filter(|line| line.len() >= LINE_MIN_BYTES))
}

/// A text, and how it is in a JSON string if that is another.
fn and_escaped(text: &str) -> impl Iterator<Item = Zeroizing<String>> {
    let differs = text.contains(|character: char| character.is_control() || matches!(character, '"' | '\\'));
    let escaped = differs.then(|| {
        let json = Zeroizing::new(serde_json::Value::from(text).to_string());
        let inside = json.strip_prefix('"').and_then(|json| json.strip_suffix('"'));
        Zeroizing::new(inside.unwrap_or(&json).to_owned())
    });
    std::iter::once(Zeroizing::new(text.to_owned())).chain(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(values: &[&str]) -> Redactor {
        let values: Vec<_> = values.iter().map(|value| Secret::from((*value).to_owned())).collect();
        Redactor::new(values.iter())
    }

    fn redacted(text: &str, value: &str) -> String {
        redactor(&[value]).redact_cut(text.to_owned())
    }

    #[test]
    fn values_go_wherever_they_are() {
        assert_eq!(redacted("a=hunter22, b=hunter22", "hunter22"), "a=[redacted], b=[redacted]");
        assert_eq!(redacted(r#"{"key":"-\n\"x\"-"}"#, "-\n\"x\"-"), r#"{"key":"[redacted]"}"#);
        assert_eq!(redacted("the end is cut: hunter", "hunter22"), "the end is cut: [redacted]");
    }

    #[test]
    fn the_end_of_a_whole_text_is_left_alone() {
        assert_eq!(redactor(&["hunter22"]).redact("hunter22 is a hunter".to_owned()), "[redacted] is a hunter");
    }

    #[test]
    fn a_value_of_several_lines_goes_line_by_line_as_well() {
        let value = redactor(&["-----BEGIN KEY-----\nMHcCAQEEIGh0aGlzIGlz\nx\n-----END KEY-----\n"]);
        let redacted = |text: &str| value.redact(text.to_owned());
        assert_eq!(redacted("a MHcCAQEEIGh0aGlzIGlz b"), "a [redacted] b");
        assert_eq!(redacted("xyz"), "xyz");
    }

    #[test]
    fn short_values_and_other_text_stay() {
        assert_eq!(redacted("port 8080", "8080"), "port 8080");
        assert_eq!(redacted("a hunter is no secret", "hunter22"), "a hunter is no secret");
    }

    #[test]
    fn of_values_that_begin_alike_the_longest_goes() {
        let all = redactor(&["hunter", "hunter2", "hunter22", "hunter3", "zzzzzz"]);
        for (text, clean) in [
            ("hunter hunter2 hunter22", "[redacted] [redacted] [redacted]"),
            ("hunter21", "[redacted]1"),
            ("hunter4 hunterhunter3", "[redacted]4 [redacted][redacted]"),
            ("huntes, aaaaaa", "huntes, aaaaaa"),
            ("é: zzzzzzé", "é: [redacted]é"),
        ] {
            assert_eq!(all.redact(text.to_owned()), clean);
        }
    }

    #[test]
    fn many_values_of_many_lines_are_found_in_a_moment() {
        let lines =
            |value: usize| (0..2_000).map(|line| format!("{:016x}\n", value * 2_000 + line)).collect::<String>();
        let values: Vec<_> = (0..100).map(lines).collect();
        let all = redactor(&values.iter().map(String::as_str).collect::<Vec<_>>());
        let begun = std::time::Instant::now();
        for number in 0..1_000 {
            let text = format!("{} {:016x}", "0".repeat(200), number * 7);
            assert!(all.redact_cut(text).ends_with("[redacted]"));
        }
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }
}
