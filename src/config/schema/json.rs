//! The keys as a JSON Schema, with which an editor completes, explains and checks a file while it is written.
//! `oxherd config schema` prints it.
//!
//! It knows what may stand where, but not what does not fit together: that is for `oxherd check`. Draft 7, which is
//! what editors of TOML have read up to.

use serde_json::{Value, json};

use super::{Key, ROOT, Shape, Without};

/// A text with a variable in it, whose value is not known here.
const VARIABLE: &str = r"\$\{";
/// A sum of units, the longest first. Without a look ahead an empty text would match, too.
const DURATION: &str = "([0-9]+ *w *)?([0-9]+ *d *)?([0-9]+ *h *)?([0-9]+ *m *)?([0-9]+ *s *)?([0-9]+ *ms *)?";
const SIZE: &str = "[0-9]+ *([KkMmGg][Ii]?)?[Bb] *";

/// The whole schema.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "oxherd.toml",
        "description": format!("The configuration of oxherd {}.", env!("CARGO_PKG_VERSION")),
    });
    merge(&mut schema, of(&ROOT));
    schema
}

fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Text(_, "") => json!({ "type": "string" }),
        Shape::Text(_, ".") => json!({ "type": "string", "minLength": 1 }),
        Shape::Text(_, pattern) => json!({ "type": "string", "pattern": format!("{pattern}|{VARIABLE}") }),
        Shape::Duration => {
            json!({ "type": "string", "minLength": 1, "pattern": format!("^{DURATION}$|{VARIABLE}") })
        }
        Shape::Size => json!({ "type": "string", "pattern": format!("^{SIZE}$|{VARIABLE}") }),
        // each keyword looks at values of its own type only
        Shape::Whole(least, most) => {
            let mut schema = json!({ "type": ["integer", "string"], "pattern": VARIABLE, "minimum": least });
            if *most < i64::MAX {
                schema["maximum"] = json!(most);
            }
            schema
        }
        Shape::Number(least, most) => {
            let mut schema = json!({ "type": ["number", "string"], "pattern": VARIABLE, "minimum": least });
            if most.is_finite() {
                schema["maximum"] = json!(most);
            }
            schema
        }
        Shape::Flag => json!({ "type": ["boolean", "string"], "pattern": VARIABLE }),
        Shape::Off => json!({ "const": false }),
        Shape::Word(words) => json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": VARIABLE }] }),
        Shape::Secret => json!({ "anyOf": [of(&super::TEXT), of(&super::KEPT)] }),
        Shape::Table(keys) => table(keys),
        Shape::One(keys) => {
            let mut schema = table(keys);
            merge(&mut schema, json!({ "minProperties": 1, "maxProperties": 1 }));
            schema
        }
        Shape::Named(names, shape) => {
            json!({ "type": "object", "propertyNames": { "pattern": names }, "additionalProperties": of(shape) })
        }
        Shape::Words(names) => {
            let properties: serde_json::Map<_, _> =
                names().into_iter().map(|name| (name.to_owned(), of(&super::TEXT))).collect();
            json!({ "type": "object", "properties": properties, "additionalProperties": false })
        }
        Shape::List(element) => json!({ "anyOf": [of(element), { "type": "array", "items": of(element) }] }),
        Shape::Either(shapes) => json!({ "anyOf": shapes.iter().map(of).collect::<Vec<_>>() }),
        Shape::Any => json!({}),
    }
}

fn table(keys: &[Key]) -> Value {
    let property = |key: &Key| {
        let mut schema = json!({ "description": format!("{}\n\n{}", key.about, key.kind()) });
        if let Some(default) = key.default() {
            schema["default"] = default;
        }
        merge(&mut schema, of(&key.shape));
        (key.name.to_owned(), schema)
    };
    let properties: serde_json::Map<_, _> = keys.iter().map(property).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    let required: Vec<_> = keys.iter().filter(|key| key.without == Without::Refused).map(|key| key.name).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

impl Key {
    /// The value that holds where the key is not given, if it is one that can be written.
    #[must_use]
    pub fn default(&self) -> Option<Value> {
        let Without::Default(text) = self.without else { return None };
        let parsed = toml::from_str::<toml::Table>(&format!("v = {text}")).ok();
        let value = parsed.and_then(|mut table| table.remove("v"));
        Some(value.map_or_else(|| text.into(), |value| serde_json::to_value(value).expect("plain values are JSON")))
    }
}

fn merge(into: &mut Value, from: Value) {
    let (Value::Object(into), Value::Object(from)) = (into, from) else { unreachable!("schemas are objects") };
    into.extend(from);
}
