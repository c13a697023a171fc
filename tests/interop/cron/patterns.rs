//! Patterns as people write them, and as nobody should.

use fastrand::Rng;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const WORDS: [&str; 10] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@hourly",
    "@minutely",
    "@secondly",
    "@weekdays",
    "@weekends",
];

/// What applications have, what the last day of a month can do, and what never comes.
const KNOWN: [&str; 14] = [
    "0 3 * * *",
    "0 4 * * *",
    "0 0 * * *",
    "0 5 * * 0",
    "*/30 * * * *",
    "*/5 * * * *",
    "30 2 * * *",
    "0 0 L * *",
    "0 2 * * 0L",
    "0 0 29 2 *",
    "0 0 30 2 *",
    "0 0 31 4,6 *",
    "0 0 31 4,6,9,11 *",
    "0 0 30 2 1",
];

/// Different patterns, so many.
pub fn some(count: usize, random: &mut Rng) -> Vec<String> {
    let mut patterns: Vec<String> = WORDS.iter().chain(&KNOWN).map(|word| (*word).to_owned()).collect();
    while patterns.len() < count {
        let pattern = pattern(random);
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    patterns
}

fn pattern(random: &mut Rng) -> String {
    let hours = match random.u32(..10) {
        0..3 => "*".to_owned(),
        // where the clocks are changed
        3..7 => field(random, 0, 4, &[]),
        _ => field(random, 0, 23, &[]),
    };
    // most patterns hold for every month: others take the parser long
    let months = if random.u32(..10) < 8 { "*".to_owned() } else { field(random, 1, 12, &MONTHS) };
    let (days, weekdays) = match random.u32(..10) {
        0..5 => ("*".to_owned(), "*".to_owned()),
        5..7 => (days(random), "*".to_owned()),
        7..9 => ("*".to_owned(), weekdays(random)),
        _ => (days(random), weekdays(random)),
    };
    let mut fields = vec![field(random, 0, 59, &[]), hours, days, months, weekdays];
    match random.u32(..20) {
        0..4 => fields.insert(0, field(random, 0, 59, &[])),
        4 => drop(fields.drain(..random.usize(1..4))),
        5 => fields.insert(random.usize(..=5), "?".to_owned()),
        _ => {}
    }
    let text = fields.join(if random.u32(..20) == 0 { "  " } else { " " });
    if random.u32(..12) == 0 { slip(&text, random) } else { text }
}

fn days(random: &mut Rng) -> String {
    match random.u32(..6) {
        0 => "L".to_owned(),
        1 => format!("{},L", random.u32(1..28)),
        _ => field(random, 1, 31, &[]),
    }
}

fn weekdays(random: &mut Rng) -> String {
    let day = random.u32(..=7);
    match random.u32(..8) {
        0 => format!("{day}L"),
        1 => format!("{day}L,{}", random.u32(..=7)),
        2 => format!("{day}#{}", random.u32(1..=5)),
        _ => field(random, 0, 7, &WEEKDAYS),
    }
}

fn field(random: &mut Rng, first: u32, last: u32, names: &[&str]) -> String {
    let value = |random: &mut Rng| {
        let value = random.u32(first..=last);
        match names.get(usize::try_from(value - first).unwrap()) {
            Some(name) if random.bool() => {
                if random.bool() {
                    name.to_uppercase()
                } else {
                    (*name).to_owned()
                }
            }
            _ => value.to_string(),
        }
    };
    let range = |random: &mut Rng| {
        let (a, b) = (random.u32(first..=last), random.u32(first..=last));
        format!("{}-{}", a.min(b), a.max(b))
    };
    match random.u32(..12) {
        0..2 => "*".to_owned(),
        2..6 => value(random),
        6 => range(random),
        7 => format!("*/{}", random.u32(1..40)),
        8 => format!("{}/{}", value(random), random.u32(1..20)),
        9 => format!("{}/{}", range(random), random.u32(1..10)),
        10 => format!("{},{}", value(random), value(random)),
        _ => format!("{},{}", value(random), range(random)),
    }
}

/// A letter lost, doubled or mistyped. Never an H, which is a time at random.
fn slip(text: &str, random: &mut Rng) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let at = random.usize(..letters.len());
    match random.u32(..3) {
        0 => drop(letters.remove(at)),
        1 => letters.insert(at, letters[at]),
        _ => {
            letters[at] =
                *random.choice(&['*', ',', '-', '/', '#', 'L', '?', '0', '7', '9', 'x', ' ', 'W', '+', '.']).unwrap();
        }
    }
    letters.into_iter().collect()
}
