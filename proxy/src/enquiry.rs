//! What commands have in common that ask others, show what they heard, and end.

mod table;

use std::{fmt::Write as _, future::Future, io, time::Duration};

use tokio::runtime::Runtime;

pub use self::table::{Row, table};

/// Longest time that any answer is waited for, whatever the configuration allows: somebody sits in front of the
/// screen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long the runtime may take to end: a name that is still being resolved waits for nobody.
const RUNTIME_END: Duration = Duration::from_millis(100);

/// What comes of a question, on a runtime that ends with it.
///
/// # Errors
/// When the runtime cannot start.
pub fn ask<T>(question: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Runtime::new()?;
    let answer = runtime.block_on(question);
    runtime.shutdown_timeout(RUNTIME_END);
    Ok(answer)
}

/// Text of others as a terminal may show it, in one line: control characters, and those that are invisible or turn
/// the direction of writing, stand there by number, as in `\u{1b}`.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) {
            // Writing to a text cannot fail.
            let _infallible = write!(shown, "{}", c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_plays_with_a_terminal_stands_there_by_number() {
        for (text, wanted) in [
            ("größe \\ \"x\" 日本", "größe \\ \"x\" 日本"),
            ("a\nb\u{1b}[31m\u{7f}", "a\\u{a}b\\u{1b}[31m\\u{7f}"),
            ("\u{202e}evil\u{2066}\u{200b}\u{feff}", "\\u{202e}evil\\u{2066}\\u{200b}\\u{feff}"),
            ("\u{9b}1m\u{2028}", "\\u{9b}1m\\u{2028}"),
        ] {
            assert_eq!(shown(text), wanted);
        }
    }
}
