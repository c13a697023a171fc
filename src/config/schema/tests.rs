use super::*;

#[test]
fn the_nearest_name_is_found_and_far_ones_are_not() {
    let known = || ROOT.child("defaults").unwrap().names().unwrap();
    for (written, meant) in [
        ("concurency", Some("concurrency")),
        ("Concurrency", Some("concurrency")),
        ("keepCompleted", Some("keep_completed")),
        ("keep-failed", Some("keep_failed")),
        ("timeuot", Some("timeout")),
        ("lok", Some("lock")),
        ("ratelimit", Some("rate_limit")),
        ("colour", None),
        ("", None),
    ] {
        assert_eq!(nearest(written, known()), meant, "{written}");
    }
    assert_eq!(nearest("queue", ROOT.names().unwrap()), Some("queues"));
}

/// Every key of every table, with the path of the table; what the operator names is `x`.
fn every_key() -> Vec<(String, &'static Key)> {
    fn visit(shape: &'static Shape, path: &str, keys: &mut Vec<(String, &'static Key)>) {
        match shape {
            Named(_, below) => visit(below, &format!("{path}.x"), keys),
            List(below) => visit(below, path, keys),
            Either(shapes) => shapes.iter().for_each(|shape| visit(shape, path, keys)),
            _ => {
                for key in shape.keys().unwrap_or_default() {
                    keys.push((path.to_owned(), key));
                    visit(&key.shape, format!("{path}.{}", key.name).trim_start_matches('.'), keys);
                }
            }
        }
    }
    let mut keys = Vec::new();
    visit(&ROOT, "", &mut keys);
    keys
}

#[test]
fn every_entry_is_a_sentence() {
    let keys = every_key();
    assert!(keys.len() > 200, "only {} keys", keys.len());
    for (path, Key { name, about, .. }) in keys {
        let begins = about.starts_with(|c: char| c.is_uppercase() || !c.is_alphabetic());
        let begins = begins || ["false", "off"].iter().any(|word| about.starts_with(word));
        let ends = about.ends_with('.') || about.ends_with('…');
        assert!(begins && ends && about.len() < 160, "{path}.{name}: {about}");
    }
}
