//! `[traces]` as it is shown.

use toml::Table;

use super::{COVERED, duration, map, named};
use crate::config::Traces;
use crate::config::locate::mask_urls;

pub(super) fn traces_table(traces: Option<&Traces>) -> Table {
    let Some(traces) = traces else { return named([("enabled", false.into())]) };
    let mut table = named([
        ("enabled", true.into()),
        ("endpoint", mask_urls(&traces.endpoint).into()),
        ("headers", map(&traces.headers, |_| COVERED.into())),
        ("timeout", duration(traces.timeout)),
        ("sample", traces.sample.into()),
        ("parent_based", traces.parent_based.into()),
        ("service", traces.service.clone().into()),
        ("attributes", map(&traces.attributes, |value| value.clone().into())),
    ]);
    if let Some(ca) = &traces.ca {
        table.insert("ca".into(), ca.path.display().to_string().into());
    }
    table
}
