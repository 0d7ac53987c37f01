//! SQL as tokens, cut where SQLite cuts. What the two could see differently is refused.

use crate::store::tenant::Error;

/// One token of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::tenant) struct Token {
    /// As it was written.
    pub(in crate::store::tenant) text: String,
    /// What it is.
    pub(in crate::store::tenant) kind: TokenKind,
    /// Whether white space or a comment stands before it.
    pub(in crate::store::tenant) spaced: bool,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::tenant) enum TokenKind {
    /// A keyword or a name without quotes.
    Word,
    /// A name or a text in quotes: SQLite takes either for a name where only a name can stand.
    Quoted,
    /// A parameter.
    Variable,
    /// A number, an operator, a bracket.
    Other,
}

impl Token {
    /// Whether it is this keyword.
    pub(in crate::store::tenant) fn is(&self, keyword: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    /// Whether it is this operator or bracket.
    pub(in crate::store::tenant) fn is_symbol(&self, symbol: char) -> bool {
        self.kind == TokenKind::Other && self.text.strip_prefix(symbol).is_some_and(str::is_empty)
    }

    /// The name it stands for, where it can be one.
    pub(in crate::store::tenant) fn name(&self) -> Option<String> {
        match self.kind {
            TokenKind::Word => Some(self.text.clone()),
            TokenKind::Quoted => {
                let quote = self.text.chars().next()?;
                let inner = self.text.get(1..self.text.len() - 1)?;
                let doubled = format!("{quote}{quote}");
                Some(if quote == '[' { inner.to_owned() } else { inner.replace(&doubled, &quote.to_string()) })
            }
            TokenKind::Variable | TokenKind::Other => None,
        }
    }

    /// Whether it names this table, schema or column.
    pub(in crate::store::tenant) fn names(&self, name: &str) -> bool {
        self.name().is_some_and(|own| own.eq_ignore_ascii_case(name))
    }
}

/// A token that was not in the text.
pub(in crate::store::tenant) fn inserted(text: impl Into<String>) -> Token {
    Token { text: text.into(), kind: TokenKind::Other, spaced: true }
}

/// The tokens of a text; comments are left out.
pub(in crate::store::tenant) fn tokens(sql: &str) -> Result<Vec<Token>, Error> {
    first_tokens(sql, usize::MAX)
}

/// The first tokens of a text, so many at most.
pub(in crate::store::tenant) fn first_tokens(sql: &str, most: usize) -> Result<Vec<Token>, Error> {
    let mut found = Vec::new();
    let mut rest = sql;
    let mut spaced = false;
    while found.len() < most
        && let Some(first) = rest.chars().next()
    {
        if matches!(first, ' ' | '\t' | '\n' | '\r' | '\u{c}') {
            rest = rest.get(1..).unwrap_or_default();
            spaced = true;
            continue;
        }
        if let Some(behind) = without_comment(rest) {
            rest = behind;
            spaced = true;
            continue;
        }
        let (kind, length) = next(rest, first)?;
        let (text, behind) = rest.split_at_checked(length).ok_or_else(|| unexpected(first))?;
        found.push(Token { text: text.to_owned(), kind, spaced });
        spaced = false;
        rest = behind;
    }
    Ok(found)
}

/// The text of some tokens.
pub(in crate::store::tenant) fn text_of(tokens: &[Token]) -> String {
    let mut text = String::new();
    for token in tokens {
        if token.spaced && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&token.text);
    }
    text
}

/// Puts into SQLite's words what PostgreSQL writes otherwise: `auth.uid()` and its siblings, and casts.
pub(in crate::store::tenant) fn from_postgres(tokens: Vec<Token>) -> Result<Vec<Token>, Error> {
    super::cast::with_casts(with_auth_functions(tokens))
}

/// Turns `auth.uid(` and its siblings into the functions SQLite knows.
fn with_auth_functions(tokens: Vec<Token>) -> Vec<Token> {
    const FUNCTIONS: [&str; 4] = ["uid", "role", "email", "jwt"];
    let function = |at: usize| match tokens.get(at..at + 4)? {
        [auth, dot, function, bracket] if auth.names("auth") && dot.is_symbol('.') && bracket.is_symbol('(') => {
            FUNCTIONS.iter().find(|name| function.names(name))
        }
        _ => None,
    };
    let found: Vec<_> = (0..tokens.len()).filter_map(|at| Some((at, function(at)?))).collect();
    let mut found = found.into_iter().peekable();
    let mut result: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().enumerate();
    while let Some((at, mut token)) = rest.next() {
        if let Some((_, name)) = found.next_if(|(place, _)| *place == at) {
            token.text = format!("auth_{name}");
            token.kind = TokenKind::Word;
            // The dot and the name.
            rest.nth(1);
        }
        result.push(token);
    }
    result
}

fn without_comment(rest: &str) -> Option<&str> {
    if let Some(comment) = rest.strip_prefix("--") {
        return Some(comment.split_once('\n').map_or("", |(_, behind)| behind));
    }
    let comment = rest.strip_prefix("/*")?;
    // SQLite takes a comment that never ends as one up to the end; here it is a lonely operator, which SQLite refuses.
    comment.split_once("*/").map(|(_, behind)| behind)
}

fn next(rest: &str, first: char) -> Result<(TokenKind, usize), Error> {
    match first {
        '\'' | '"' | '`' => Ok((TokenKind::Quoted, quoted_length(rest, first)?)),
        '[' => match rest.find(']') {
            Some(end) => Ok((TokenKind::Quoted, end + 1)),
            None => Err(Error::Syntax("a [ is never closed".to_owned())),
        },
        '?' => Ok((TokenKind::Variable, 1 + length_while(rest.get(1..), |c| c.is_ascii_digit()))),
        ':' if rest.starts_with("::") => Ok((TokenKind::Other, 2)),
        ':' | '@' | '$' => {
            let length = 1 + length_while(rest.get(1..), is_name_character);
            let behind = rest.get(length..).unwrap_or_default();
            // SQLite has longer names of parameters, made for Tcl: `$a(b)`. Behind `::` there is a type here.
            if length == 1 || behind.starts_with('(') {
                return Err(unexpected(first));
            }
            Ok((TokenKind::Variable, length))
        }
        '0'..='9' => Ok((TokenKind::Other, length_while(Some(rest), is_name_character))),
        _ if first == '_' || first.is_ascii_alphabetic() || (!first.is_ascii() && first != '\u{feff}') => {
            Ok((TokenKind::Word, length_while(Some(rest), is_name_character)))
        }
        _ if first.is_ascii_punctuation() && first != '#' && first != '\\' => Ok((TokenKind::Other, 1)),
        _ => Err(unexpected(first)),
    }
}

fn is_name_character(character: char) -> bool {
    character == '_' || character == '$' || character.is_ascii_alphanumeric() || !character.is_ascii()
}

fn length_while(text: Option<&str>, belongs: impl Fn(char) -> bool) -> usize {
    let text = text.unwrap_or_default();
    text.find(|character| !belongs(character)).unwrap_or(text.len())
}

fn quoted_length(rest: &str, quote: char) -> Result<usize, Error> {
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((position, character)) = characters.next() {
        if character != quote {
            continue;
        }
        if characters.next_if(|(_, next)| *next == quote).is_none() {
            return Ok(position + 1);
        }
    }
    Err(Error::Syntax(format!("a {quote} is never closed")))
}

fn unexpected(character: char) -> Error {
    Error::Syntax(format!("unexpected character {character:?}"))
}
