//! Stack for the parser.
//!
//! The parser and the passes behind it recurse with the nesting of the source, and a stack that overflows ends the process. So the
//! stack is made large enough for whatever nesting the source could have: every level takes a token, hence a thread gets stack
//! for as many levels as the text has tokens. It is address space; only what is used becomes memory. Text that nests further
//! than code does is refused before, which bounds the memory and the time, since the parser looks ahead at every level.

use std::thread;

/// Stack for each token, in bytes. Measured over 45 kinds of nesting (brackets, arrows, operators, statements, types, templates,
/// JSX) in a release build, the worst takes 1,621 for a token.
const STACK_PER_TOKEN: usize = 4 << 10;

/// Stack for everything that does not depend on the source, in bytes.
const BASE_STACK: usize = 2 << 20;

/// The stack a bundle starts with: enough for files of about 100 KB, so that most need no thread of their own.
const BUNDLE_STACK: usize = BASE_STACK + 32_000 * STACK_PER_TOKEN;

/// The most tokens of one file: some 600 KB of minified code, a megabyte of other. The deepest nesting of so many tokens takes
/// some 200 MB while it is parsed.
pub(super) const MAX_TOKENS: usize = 256_000;

/// The most brackets open at one place.
pub(super) const MAX_OPEN_BRACKETS: usize = 1_000;

/// Why a text is not parsed at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unparsable {
    /// More than [`MAX_TOKENS`].
    TooLong,
    /// More than [`MAX_OPEN_BRACKETS`] at this byte offset.
    TooDeep(usize),
    /// The system gave no stack.
    NoStack,
}

/// A bound for the tokens of a text: runs of ASCII identifier characters and single other characters, wherever they are. A
/// character that is not ASCII counts alone, because it may be a space.
fn count_tokens(text: &str) -> usize {
    let mut in_word = false;
    let mut count = 0;
    for byte in text.bytes() {
        let word = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
        let inside = (word && in_word) || byte.is_ascii_whitespace() || matches!(byte, 0x80..=0xbf);
        count += usize::from(!inside);
        in_word = word;
    }
    count
}

/// Where the brackets open at once exceed the limit. Brackets in strings and comments count too: this is about orders of magnitude.
fn too_deep(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    text.bytes().position(|byte| {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MAX_OPEN_BRACKETS
    })
}

/// Runs the work on one bundle on a thread with stack for most files.
pub(super) fn with_bundle_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    on_thread(BUNDLE_STACK, work)
}

/// Runs the work on one text where there is stack enough for it. Must be called below [`with_bundle_stack`].
pub(super) fn with_stack_for<T: Send>(text: &str, work: impl FnOnce() -> T + Send) -> Result<T, Unparsable> {
    let tokens = count_tokens(text);
    if tokens > MAX_TOKENS {
        return Err(Unparsable::TooLong);
    }
    if let Some(offset) = too_deep(text) {
        return Err(Unparsable::TooDeep(offset));
    }
    let stack = BASE_STACK + tokens * STACK_PER_TOKEN;
    if stack <= BUNDLE_STACK - BASE_STACK {
        return Ok(work());
    }
    on_thread(stack, work).ok_or(Unparsable::NoStack)
}

fn on_thread<T: Send>(stack: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| {
        let worker =
            thread::Builder::new().name("transpile".to_owned()).stack_size(stack).spawn_scoped(scope, work).ok()?;
        match worker.join() {
            Ok(result) => Some(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_never_undercounted() {
        assert_eq!(count_tokens("a.b(c) + 12 // x y"), 12);
        assert_eq!(count_tokens("!!!x"), 4);
        assert_eq!(count_tokens("typeof\u{a0}typeof\u{a0}x"), 5);
        assert_eq!(count_tokens("  \n\t"), 0);
    }

    #[test]
    fn brackets_are_limited() {
        let at_limit = "[".repeat(MAX_OPEN_BRACKETS);
        assert_eq!(too_deep(&at_limit), None);
        assert_eq!(too_deep(&format!("{at_limit}(")), Some(MAX_OPEN_BRACKETS));
        assert_eq!(too_deep(&"()".repeat(10_000)), None);
        assert_eq!(with_stack_for(&"[".repeat(5_000), || ()), Err(Unparsable::TooDeep(MAX_OPEN_BRACKETS)));
        assert_eq!(with_stack_for(&"!".repeat(MAX_TOKENS + 1), || ()), Err(Unparsable::TooLong));
    }
}
