//! Names for what is called and is no function: the engine does not say them.

use super::bundle::Bundle;
use super::frame::{Position, line_from};
use super::sourcemap::MappedStack;

/// What the engine says of such a call, and how a better message goes on.
const MESSAGES: [(&str, &str); 2] =
    [("TypeError: not a function", "is not a function"), ("TypeError: not a constructor", "is not a constructor")];

impl Bundle {
    /// The message with the name of what was called, as the author wrote it, if the engine left it out and it can be told.
    pub fn name_callee(&self, message: &str, stack: &MappedStack) -> Option<String> {
        let (_, rest) = MESSAGES.iter().find(|(known, _)| *known == message)?;
        let top = stack.top.as_ref()?;
        let place = format!("{}:{}:{}", top.file, top.position.line, top.position.column);
        // Where a native function was on top, it is an argument that is no function.
        let first = stack.text.lines().nth(1)?;
        first.trim_end_matches(')').ends_with(&place).then_some(())?;
        let name = callee_at(&self.module(&top.file)?.text, top.position)?;
        Some(format!("TypeError: {name} {rest}"))
    }
}

const fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.') || !c.is_ascii()
}

/// The names, joined by dots, around a place that are followed by an argument list. `None` where another call follows that list: it
/// may be the result that is no function.
fn callee_at(text: &str, at: Position) -> Option<&str> {
    let (line, offset) = line_from(text, at)?;
    let (before, after) = line.split_at_checked(offset)?;
    let start = before.trim_end_matches(is_part).len();
    let end = offset + (after.len() - after.trim_start_matches(is_part).len());
    let (name, rest) = (line.get(start..end)?.trim_matches('.'), line.get(end..)?);
    let list = rest.strip_prefix("?.").unwrap_or(rest).strip_prefix('(')?;
    let is_name = name.starts_with(|c: char| !c.is_ascii_digit());
    (is_name && !is_called_again(list)).then_some(name)
}

/// Whether what follows an opening parenthesis closes it and goes on with another one.
fn is_called_again(list: &str) -> bool {
    let mut depth = 1_u32;
    let closing = list.char_indices().find(|(_, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    closing.is_some_and(|(index, _)| list.get(index + 1..).is_some_and(|rest| rest.starts_with('(')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callee_is_what_is_written_before_the_list_of_arguments() {
        let told = |line: &'static str, column| callee_at(line, Position { line: 1, column });
        assert_eq!(told("  return a.b.go(1);", 14), Some("a.b.go"));
        assert_eq!(told("await Deno.readTextFile('x')", 7), Some("Deno.readTextFile"));
        assert_eq!(told("x(f(1), 2)", 3), Some("f"));
        assert_eq!(told("list().map(f)", 8), Some("map"));
        assert_eq!(told("ä.größe()", 3), Some("ä.größe"));
        assert_eq!(told("maybe?.(1)", 1), Some("maybe"));
        assert_eq!(told("new Thing(1)", 5), Some("Thing"));
        for (line, column) in
            [("make(1)(2)", 1), ("(1)(2)", 1), ("a[0](1)", 2), ("x", 1), ("", 1), ("f(", 90), ("1(2)", 1), ("..(2)", 1)]
        {
            assert_eq!(told(line, column), None, "{line}");
        }
        assert_eq!(callee_at("f()", Position { line: 7, column: 1 }), None);
        assert_eq!(callee_at("f()", Position { line: 0, column: 0 }), Some("f"));
    }
}
