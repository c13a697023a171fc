//! The last line of defence for secrets: whatever a line of the log is made of, configured secrets in it are covered. The
//! places that know of a secret do not show it in the first place; this is for those that do not know.

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::Secret;

/// Shorter ones may be words of their own, and a log without these could not be read.
const SHORTEST: usize = 6;
const COVER: &str = "***";

/// What is covered. Clones share it.
#[derive(Clone, Default)]
pub struct Masks(Arc<ArcSwap<Vec<String>>>);

impl Masks {
    /// These too from now on. Old ones stay: a reload does not make them known to everybody.
    pub fn add(&self, secrets: &[Secret]) {
        let mut all = self.0.load().to_vec();
        all.extend(secrets.iter().map(|secret| secret.reveal().to_owned()).filter(|text| text.len() >= SHORTEST));
        // one that is part of another comes after it
        all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
        self.0.store(Arc::new(all));
    }

    /// The text with what is secret in it covered.
    #[must_use]
    pub fn cover<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut covered = Cow::Borrowed(text);
        for secret in self.0.load().iter() {
            if covered.contains(secret.as_str()) {
                covered = Cow::Owned(covered.replace(secret.as_str(), COVER));
            }
        }
        covered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f142_secrets_are_covered_wherever_they_stand() {
        let masks = Masks::default();
        let secret = |text: &str| Secret::new(text.to_owned());
        masks.add(&[secret("hunter2!"), secret("hunter2!-and-more"), secret("redis")]);
        assert_eq!(masks.cover("no answer from u:hunter2!@h, hunter2!-and-more"), "no answer from u:***@h, ***");
        assert_eq!(masks.cover("redis is away"), "redis is away", "a word is no secret");
        masks.add(&[secret("another one")]);
        assert_eq!(masks.cover("hunter2! another one"), "*** ***");
    }
}
