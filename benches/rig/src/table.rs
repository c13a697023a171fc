//! Interleaved rounds of several programs, their medians, and what one is to reach beside the others.

use std::collections::BTreeMap;

pub struct Column {
    pub name: &'static str,
    pub decimals: usize,
}

/// What the first name's figure in a column has to be: as a ratio to another's, or by itself.
pub struct Target {
    pub column: usize,
    pub of: Option<&'static str>,
    pub bound: Bound,
}

#[derive(Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Runs every peer once a round, each round starting with the next one, and prints medians and ratios.
pub fn table(
    rounds: usize,
    title: &str,
    columns: &[Column],
    targets: &[Target],
    names: &[&'static str],
    mut run: impl FnMut(&'static str) -> Vec<f64>,
) {
    let mut done: Vec<BTreeMap<&str, Vec<f64>>> = Vec::new();
    for round in 0..rounds {
        let mut values = BTreeMap::new();
        for turn in 0..names.len() {
            let name = names[(round + turn) % names.len()];
            eprint!("\r\x1b[K{title}: round {} of {}, {name}", round + 1, rounds);
            values.insert(name, run(name));
        }
        done.push(values);
    }
    eprint!("\r\x1b[K");
    println!("\n{title} (medians of {} rounds)", rounds);
    print!("{:<18}", "");
    columns.iter().for_each(|column| print!("{:>18}", column.name));
    println!();
    for name in names {
        print!("{name:<18}");
        for (at, column) in columns.iter().enumerate() {
            let value = median(done.iter().map(|round| round[name][at]).collect());
            print!("{value:>18.*}", column.decimals);
        }
        println!();
    }
    for target in targets {
        let figure = |round: &BTreeMap<&str, Vec<f64>>, name| round[name][target.column];
        let value = median(
            done.iter()
                .map(|round| figure(round, names[0]) / target.of.map_or(1.0, |peer| figure(round, peer)))
                .collect(),
        );
        let (word, bound, holds) = match target.bound {
            Bound::AtLeast(bound) => ("at least", bound, value >= bound),
            Bound::AtMost(bound) => ("at most", bound, value <= bound),
        };
        let verdict = if holds { "holds" } else { "falls short" };
        let of = target.of.map_or_else(String::new, |peer| format!(" of {peer}"));
        println!("  {}: {value:.2}{of}, to be {word} {bound} ({verdict})", columns[target.column].name);
    }
}

/// NaN, of which a peer that could not be asked is made, comes last.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
