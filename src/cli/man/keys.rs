//! The page oxherd.toml(5).

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::config::manual;

pub fn page() -> String {
    let mut roff = Roff::new();
    let version = format!("oxherd {}", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["oxherd.toml", "5", "", version.as_str(), "oxherd"]);
    section(&mut roff, "NAME");
    roff.text([roman("oxherd.toml - the configuration of oxherd")]);
    section(&mut roff, "DESCRIPTION");
    for (n, text) in DESCRIPTION.iter().enumerate() {
        if n > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*text)]);
    }
    section(&mut roff, "VALUES");
    for (name, text) in VALUES {
        entry(&mut roff, vec![bold(*name)], text);
    }
    for part in manual::sections() {
        section(&mut roff, &part.heading);
        roff.text([roman(part.about)]);
        for key in part.keys {
            entry(&mut roff, vec![bold(key.name), roman("  "), italic(key.kind)], key.about);
        }
    }
    section(&mut roff, "EXAMPLE");
    roff.control("nf", []);
    for line in EXAMPLE.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    section(&mut roff, "FILES");
    roff.text([roman(
        "./oxherd.toml, ./config/oxherd.toml, /etc/oxherd/oxherd.toml: the first that is there is read.",
    )]);
    section(&mut roff, "SEE ALSO");
    let see = ["oxherd", "oxherd-check", "oxherd-config-show", "oxherd-config-schema", "oxherd-init"];
    let see: Vec<Inline> = see
        .iter()
        .enumerate()
        .flat_map(|(n, name)| [roman(if n == 0 { "" } else { ", " }), bold(*name), roman("(1)")])
        .collect();
    roff.text(see);
    roff.render()
}

fn section(roff: &mut Roff, heading: &str) {
    roff.control("SH", [heading]);
}

fn entry(roff: &mut Roff, head: Vec<Inline>, text: &str) {
    roff.control("TP", []);
    roff.text(head);
    roff.text([roman(text)]);
}

const DESCRIPTION: &[&str] = &[
    "A file in TOML, or several: it may include more, relative to itself. A key that is set in two files is a mistake, \
     and so is one that is not known. oxherd check names every mistake with file, line and column; oxherd config show \
     --origin prints what is in force and where it comes from.",
    "The stronger first, a value comes from --set on the command line, from a variable such as \
     OXHERD__QUEUES__EMAIL__CONCURRENCY, from the files, for a queue from [defaults], or from the defaults below.",
];

const VALUES: &[(&str, &str)] = &[
    ("duration", "A text such as \"500ms\", \"30s\", \"5m\", \"24h\", \"7d\", \"2w\" or a sum, as in \"1h30m\"."),
    ("size", "A text such as \"512B\", \"256KiB\" (1024s) or \"10MB\" (thousands)."),
    (
        "secret",
        "A text, or where it is kept: { file = \"PATH\" }, { env = \"NAME\" }, or { credential = \"NAME\" } for what the \
         service manager passes.",
    ),
    ("path", "Relative to the file it stands in."),
    (
        "variables",
        "${NAME} inside a text is filled in from the environment; ${NAME:-default} has a default, $${ is a plain ${.",
    ),
];

const EXAMPLE: &str = "\
[queues.email]
handler = \"app\"

[handlers.app.http]
url = \"http://localhost:3000/jobs\"";
