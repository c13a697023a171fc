//! Patterns of names, as routes of a configuration and filters on the command line have them.

use std::str::Chars;

/// Whether a glob covers a text: `*` stands for any characters, `?` for exactly one.
pub(crate) fn covers(glob: &str, text: &str) -> bool {
    let (mut glob, mut text) = (glob.chars(), text.chars());
    // where to go on when the text after a star turns out not to fit: one character later
    let mut star: Option<(Chars, Chars)> = None;
    loop {
        let (mut glob_rest, mut text_rest) = (glob.clone(), text.clone());
        match (glob_rest.next(), text_rest.next()) {
            (Some('*'), _) => {
                star = Some((glob_rest.clone(), text.clone()));
                glob = glob_rest;
            }
            (Some(want), Some(got)) if want == '?' || want == got => (glob, text) = (glob_rest, text_rest),
            (None, None) => return true,
            _ => {
                let Some((after, from)) = &mut star else { return false };
                if from.next().is_none() {
                    return false;
                }
                (glob, text) = (after.clone(), from.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_know_star_and_question_mark() {
        for (glob, text) in [
            ("*", ""),
            ("*", "any thing"),
            ("digest-*", "digest-"),
            ("digest-*", "digest-weekly"),
            ("*-mail", "a-mail-b-mail"),
            ("a*b*c", "aXbXbc"),
            ("?", "ü"),
            ("a?c", "abc"),
            ("**", "x"),
            ("*?", "x"),
        ] {
            assert!(covers(glob, text), "{glob:?} should match {text:?}");
        }
        for (glob, text) in [
            ("?", ""),
            ("?", "ab"),
            ("digest-*", "digest"),
            ("*-mail", "a-mail-b"),
            ("a*b*c", "aXc"),
            ("*?", ""),
            ("[ab]", "a"),
        ] {
            assert!(!covers(glob, text), "{glob:?} should not match {text:?}");
        }
    }

    #[test]
    fn a_hostile_glob_ends() {
        let text = "a".repeat(2000);
        assert!(!covers("*a*a*a*a*a*a*a*a*b", &text));
        assert!(!covers(&"*a".repeat(200), &text[..199]));
    }
}
