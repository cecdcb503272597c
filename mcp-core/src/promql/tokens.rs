//! A query parted into tokens.
//!
//! What is a value and what a name is decided here once, so that nothing that could be a value is ever taken for a name:
//! a quoted text is a name only where the grammar wants one, and only if it reads like one.

/// Longest quoted text that is taken for a name, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Before a list of labels in parentheses.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// A piece of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// As it was written, quotes included.
    pub(super) text: &'a str,
    /// Whether a space or a comment stands before it.
    pub(super) spaced: bool,
    /// Where it stands.
    pub(super) place: Place,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, a keyword, or an operator that is a word.
    Word,
    /// A number or a duration.
    Number,
    /// A quoted text that stands where a name does, and reads like one.
    Name,
    /// Any other quoted text.
    Value,
    /// An operator or a bracket.
    Symbol,
    /// Something that has no place in PromQL.
    Odd,
}

/// Where a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In none of the others.
    Plain,
    /// Between `{` and `}`, these included.
    Braces,
    /// Between `[` and `]`, these included.
    Brackets,
    /// In a list of labels, its parentheses included.
    Grouping,
}

impl<'a> Token<'a> {
    pub(super) fn is(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is a number written as a word.
    pub(super) fn is_number_word(&self) -> bool {
        self.place == Place::Plain && (self.is_word("inf") || self.is_word("nan"))
    }

    pub(super) fn is_sound(&self) -> bool {
        self.kind != Kind::Odd
    }

    /// Whether it compares a label with a value.
    pub(super) fn matches(&self) -> bool {
        self.kind == Kind::Symbol && matches!(self.text, "=" | "!=" | "=~" | "!~")
    }

    /// Whether a list of labels may follow.
    pub(super) fn groups(&self) -> bool {
        GROUPING.iter().any(|word| self.is_word(word))
    }

    /// What is between the quotes, or the whole if there are none.
    pub(super) fn content(&self) -> &'a str {
        match self.kind {
            Kind::Name | Kind::Value => {
                let mut inner = self.text.chars();
                inner.next();
                inner.next_back();
                inner.as_str()
            }
            Kind::Word | Kind::Number | Kind::Symbol | Kind::Odd => self.text,
        }
    }
}

/// Parts a query into tokens. It takes any text.
pub(super) fn part(query: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::with_capacity(query.len() / 4);
    let (mut rest, mut place) = (query, Place::Plain);
    loop {
        let trimmed = skip(rest);
        let spaced = trimmed.len() < rest.len();
        rest = trimmed;
        if rest.is_empty() {
            break;
        }
        let (kind, length) = first(rest, place);
        let Some((text, after)) = rest.split_at_checked(length) else { break };
        let mut token = Token { kind, text, spaced, place };
        let opens_list = token.is("(") && tokens.last().is_some_and(Token::groups);
        place = match (place, text) {
            (Place::Plain, "{") => Place::Braces,
            (Place::Plain, "[") => Place::Brackets,
            (Place::Plain, "(") if opens_list => Place::Grouping,
            _same => place,
        };
        token.place = place;
        place = match (place, text) {
            (Place::Braces, "}") | (Place::Brackets, "]") | (Place::Grouping, ")") => Place::Plain,
            _same => place,
        };
        tokens.push(token);
        rest = after;
    }
    name(&mut tokens);
    tokens
}

/// Without the spaces and comments at its start.
fn skip(text: &str) -> &str {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let Some(comment) = rest.strip_prefix('#') else { return rest };
        rest = comment.find(['\n', '\r']).and_then(|end| comment.get(end..)).unwrap_or_default();
    }
}

/// Kind and length of the first token of a text that is not empty.
fn first(text: &str, place: Place) -> (Kind, usize) {
    let mut chars = text.chars();
    let (first, second) = (chars.next().unwrap_or_default(), chars.next());
    let digit = |c: char| c.is_ascii_digit();
    if matches!(first, '"' | '\'' | '`') {
        return quoted(text, first);
    }
    if digit(first) || (first == '.' && second.is_some_and(digit)) {
        let length = number_length(text);
        let is_sound = text.get(..length).is_some_and(is_number);
        return (if is_sound { Kind::Number } else { Kind::Odd }, length);
    }
    let colon = place != Place::Brackets;
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || (c == ':' && colon);
    if in_word(first) {
        return (Kind::Word, text.find(|c| !in_word(c)).unwrap_or(text.len()));
    }
    let pair =
        matches!((first, second), ('=' | '!', Some('~')) | ('=' | '!' | '<' | '>', Some('=')));
    match first {
        _any if pair => (Kind::Symbol, 2),
        '(' | ')' | '{' | '}' | '[' | ']' | ',' | '+' | '-' | '*' | '/' | '%' | '^' | '=' | '<'
        | '>' | '@' | ':' => (Kind::Symbol, 1),
        other => (Kind::Odd, other.len_utf8()),
    }
}

/// A text in quotes, with its quotes. One that does not end is odd to the end of the query.
fn quoted(text: &str, quote: char) -> (Kind, usize) {
    let mut escaped = false;
    for (place, c) in text.char_indices().skip(1) {
        match c {
            _any if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            end if end == quote => return (Kind::Value, place + 1),
            _other => {}
        }
    }
    (Kind::Odd, text.len())
}

/// Length of what looks like a number or a duration, well formed or not.
fn number_length(text: &str) -> usize {
    let mut before = ' ';
    let is_hex = text.starts_with("0x") || text.starts_with("0X");
    let goes_on = |c: char, before: char| {
        let is_sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !is_hex;
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || is_sign
    };
    for (place, c) in text.char_indices() {
        if !goes_on(c, before) {
            return place;
        }
        before = c;
    }
    text.len()
}

/// Whether it is a number or a duration, of PromQL or of MetricsQL, which has more units.
fn is_number(text: &str) -> bool {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    if is_decimal(text) {
        return true;
    }
    let (mut rest, mut parts) = (text, 0_usize);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let Some((amount, after)) = rest.split_at_checked(digits) else { return false };
        let unit = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let Some((unit, after)) = after.split_at_checked(unit) else { return false };
        let is_time = matches!(unit, "ms" | "s" | "m" | "h" | "d" | "w" | "y" | "i");
        let is_size = matches!(
            unit,
            "K" | "M"
                | "G"
                | "T"
                | "Ki"
                | "Mi"
                | "Gi"
                | "Ti"
                | "KB"
                | "MB"
                | "GB"
                | "TB"
                | "KiB"
                | "MiB"
                | "GiB"
                | "TiB"
        );
        let only = parts == 0 && after.is_empty();
        if !is_decimal(amount) || !(is_time || (is_size && only)) {
            return false;
        }
        (rest, parts) = (after, parts + 1);
    }
    true
}

/// Whether it is digits with a fraction and an exponent.
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = text
        .split_once(['e', 'E'])
        .map_or((text, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// Finds the quoted texts that are names.
fn name(tokens: &mut [Token<'_>]) {
    for place in 0..tokens.len() {
        let at = |place: usize| tokens.get(place).copied();
        let before = |count: usize| place.checked_sub(count).and_then(at);
        let Some(token) = at(place).filter(|token| token.kind == Kind::Value) else { continue };
        let names = match token.place {
            Place::Grouping => true,
            Place::Braces => names_in_braces([before(2), before(1), at(place + 1)]),
            Place::Plain | Place::Brackets => false,
        };
        if names
            && reads_like_a_name(token.content())
            && let Some(token) = tokens.get_mut(place)
        {
            token.kind = Kind::Name;
        }
    }
}

/// Whether a quoted text is a name, by the two tokens before it and the one after it.
fn names_in_braces([earlier, before, after]: [Option<Token<'_>>; 3]) -> bool {
    let is = |token: Option<Token<'_>>, symbols: &[&str]| {
        token.is_some_and(|token| symbols.iter().any(|symbol| token.is(symbol)))
    };
    let is_or = |token: Option<Token<'_>>| token.is_some_and(|token| token.is_word("or"));
    let begins = is(before, &["{", ","]) || is_or(before);
    let labels = begins && after.is_some_and(|after| after.matches());
    let is_metric = begins && (is(after, &["}", ","]) || is_or(after));
    let named = earlier.is_some_and(|label| {
        matches!(label.kind, Kind::Word | Kind::Name) && label.content() == "__name__"
    });
    labels || is_metric || (named && is(before, &["="]))
}

/// Whether a text is such as metrics and labels are called.
fn reads_like_a_name(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'.' | b'-' | b'/');
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b"_:".contains(&b));
    starts && text.len() <= NAME_BYTES_MAX && text.bytes().all(good)
}
