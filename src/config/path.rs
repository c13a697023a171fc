//! The path of a key, from the top of the configuration.

use std::fmt;

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    /// The name of a key.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Key(name) => Some(name),
            Self::Index(_) => None,
        }
    }
}

/// Where in the tree; empty is the top. Written `queues.email.routes."a b"`, `argv[1]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPath(pub Vec<Step>);

impl KeyPath {
    /// The path of a key in the table this path names.
    #[must_use]
    pub fn key(&self, name: &str) -> Self {
        self.step(Step::Key(name.to_owned()))
    }

    /// The path of an element in the list this path names.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    /// The path of the table or list this is in.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        Some(Self(above.to_vec()))
    }

    /// The last name, or the name of the list for an element.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iter().rev().find_map(Step::name).unwrap_or("the configuration")
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl FromIterator<String> for KeyPath {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().map(Step::Key).collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(name) => {
                    f.write_str(if n == 0 { "" } else { "." })?;
                    let bare =
                        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
                    if bare { f.write_str(name)? } else { write!(f, "{name:?}")? }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_toml_writes_it() {
        let path: KeyPath = ["queues", "my.queue", "argv"].map(str::to_owned).into_iter().collect();
        assert_eq!(path.index(2).to_string(), "queues.\"my.queue\".argv[2]");
        assert_eq!(path.index(2).name(), "argv");
        assert_eq!(path.parent().unwrap().to_string(), "queues.\"my.queue\"");
        assert_eq!(KeyPath::default().parent(), None);
    }
}
