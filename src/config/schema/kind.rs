//! What may stand under a key, in a few words: for the manual, and for what an editor shows.

use super::{Key, Shape, Without};

impl Shape {
    /// As in `whole number from 1 to 500, or false`.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Text(called, _) => (*called).to_owned(),
            Self::Whole(least, i64::MAX) => format!("whole number from {least}"),
            Self::Whole(least, most) => format!("whole number from {least} to {most}"),
            Self::Number(least, most) if most.is_infinite() => format!("number from {least}"),
            Self::Number(least, most) => format!("number from {least} to {most}"),
            Self::Flag => "true or false".to_owned(),
            Self::Off => "false".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::Size => "size".to_owned(),
            Self::Word(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                either(&quoted, " or ")
            }
            Self::Secret => "secret".to_owned(),
            Self::Table(_) | Self::One(_) => "table".to_owned(),
            Self::Named(_, shape) => format!("table of NAME = {}", shape.kind()),
            Self::Words(_) => "table of NAME = text".to_owned(),
            Self::List(element) => format!("{}, or a list of such", element.kind()),
            Self::Either(shapes) => either(&shapes.iter().map(Self::kind).collect::<Vec<_>>(), ", or "),
            Self::Any => "any value".to_owned(),
        }
    }
}

impl Key {
    /// What may stand there, and what holds without it.
    #[must_use]
    pub fn kind(&self) -> String {
        let without = match self.without {
            Without::Default(text) if self.default().is_some_and(|value| value.is_string()) => {
                Some(format!("default {text:?}"))
            }
            Without::Default(text) => Some(format!("default {text}")),
            Without::Nothing => None,
            Without::Refused => Some("required".to_owned()),
        };
        [Some(self.shape.kind()), without].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// `a, b or c`.
fn either(words: &[String], or: &str) -> String {
    match words.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{}{or}{last}", before.join(", ")),
        _ => words.concat(),
    }
}
