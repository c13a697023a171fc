//! `--key value` pairs.

use std::collections::HashMap;
use std::str::FromStr;

pub struct Arguments(HashMap<String, String>);

impl Arguments {
    /// Those of this process.
    ///
    /// # Panics
    /// When a key has no value.
    pub fn read() -> Self {
        let mut words = std::env::args().skip(1);
        let mut values = HashMap::new();
        while let Some(word) = words.next() {
            let Some(key) = word.strip_prefix("--") else { continue };
            let value = words.next().unwrap_or_else(|| panic!("--{key} needs a value"));
            values.insert(key.to_owned(), value);
        }
        Self(values)
    }

    pub fn text(&self, key: &str, default: &str) -> String {
        self.0.get(key).map_or_else(|| default.to_owned(), Clone::clone)
    }

    pub fn number<T: FromStr>(&self, key: &str, default: T) -> T {
        self.0.get(key).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("--{key} {text} is no number")))
    }
}
