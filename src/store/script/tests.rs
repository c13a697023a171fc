use std::collections::BTreeSet;

use super::*;

/// `KEYS` and `ARGV` indices in a text; `None` stands for one that is computed or open-ended.
fn indices(text: &str, table: &str) -> BTreeSet<Option<u32>> {
    text.match_indices(&format!("{table}["))
        .map(|(at, found)| {
            let rest = &text[at + found.len()..];
            rest[..rest.find(']').unwrap_or(rest.len())].trim().parse().ok()
        })
        .collect()
}

/// The opening block comment and what follows it.
fn header_and_body(name: &str, source: &'static str) -> (&'static str, &'static str) {
    let rest = source.strip_prefix("--[[").unwrap_or_else(|| panic!("{name} has no header"));
    let end = rest.find("\n]]").unwrap_or_else(|| panic!("{name}: the header has no end on a line of its own"));
    (&rest[..end], &rest[end + 3..])
}

#[test]
fn headers_document_every_key_and_argument_that_is_used_and_no_other() {
    for (name, source) in SOURCES {
        let (header, body) = header_and_body(name, source);
        for table in ["KEYS", "ARGV"] {
            let documented = indices(header, table);
            let used = indices(body, table);
            let open_ended = documented.contains(&None);
            for index in used.iter().flatten() {
                assert!(documented.contains(&Some(*index)), "{name}: {table}[{index}] is used but not documented");
            }
            if used.contains(&None) {
                assert!(open_ended, "{name}: {table} is indexed by a variable, but no {table}[n…] is documented");
            }
            for index in documented.iter().flatten() {
                // or it is reached by a loop, or is there for the cluster to route by
                let other_use =
                    open_ended && used.contains(&None) || table == "KEYS" && header.contains("names the slot");
                assert!(
                    used.contains(&Some(*index)) || other_use,
                    "{name}: {table}[{index}] is documented but not used"
                );
            }
            let numbers: Vec<_> = documented.iter().flatten().copied().collect();
            let expected: Vec<_> = (1..=u32::try_from(numbers.len()).unwrap()).collect();
            assert_eq!(numbers, expected, "{name}: {table} has a gap in its documentation");
        }
    }
}

#[test]
fn headers_say_what_they_answer_and_what_they_match() {
    for (name, source) in SOURCES {
        let (header, _) = header_and_body(name, source);
        for word in ["Reply:", "Protocol:"] {
            assert!(header.contains(word), "{name}: the header has no {word} line");
        }
        assert_eq!(
            indices(header, "KEYS").into_iter().flatten().max(),
            Some(1),
            "{name}: callers pass exactly one key"
        );
    }
}

#[test]
fn fragments_take_what_they_need_as_arguments() {
    for (name, source) in FRAGMENTS {
        let mut text = String::new();
        expand(source, &[], &mut Includes::default(), &mut text).ok();
        assert!(!text.contains("KEYS[") && !text.contains("ARGV["), "{name} reads KEYS or ARGV");
        assert!(source.contains(&format!("local function {name}(")), "{name} defines no function of its name");
    }
}

#[test]
fn no_text_spans_lines_where_stripping_would_change_it() {
    for (name, source) in SOURCES.iter().chain(FRAGMENTS) {
        let mut text = String::new();
        expand(source, FRAGMENTS, &mut Includes::default(), &mut text).unwrap();
        assert!(!text.contains("[["), "{name} holds a long string");
    }
}

#[test]
fn every_script_builds() {
    for (name, source) in SOURCES {
        let script = Script::new(name, source);
        assert_eq!(script.sha.len(), 40);
        assert!(!script.text.contains("--@include"), "{name}");
    }
}

#[test]
fn every_file_is_listed() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/scripts");
    for (directory, list) in [(here.clone(), SOURCES), (here.join("fragments"), FRAGMENTS)] {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "lua") {
                let stem = path.file_stem().unwrap().to_str().unwrap();
                assert!(list.iter().any(|(name, _)| *name == stem), "{} is not listed", path.display());
            }
        }
    }
}

#[test]
fn a_fragment_comes_once_and_before_what_needs_it() {
    let fragments: &[(&str, &str)] = &[("a", "--@include b\nlocal function a() end"), ("b", "local function b() end")];
    let mut text = String::new();
    let source = "--[[ header\n]]\n--@include b\n  -- why\n  --@include a\n--@include a\n    return 1";
    expand(source, fragments, &mut Includes::default(), &mut text).unwrap();
    assert_eq!(text, "local function b() end\nlocal function a() end\nreturn 1\n");
}

#[test]
fn rings_and_unknown_fragments_are_errors() {
    let fragments: &[(&str, &str)] = &[("a", "--@include b"), ("b", "--@include a")];
    let error = expand("--@include a", fragments, &mut Includes::default(), &mut String::new()).unwrap_err();
    assert!(error.contains("a → b → a"), "{error}");
    let error = expand("--@include c", fragments, &mut Includes::default(), &mut String::new()).unwrap_err();
    assert!(error.contains("unknown fragment c"), "{error}");
}
