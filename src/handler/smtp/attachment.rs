//! Files that go with a mail: base64 or text out of the job's data, or a file below the one directory the configuration
//! names. Nothing is fetched from anywhere.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use lettre::message::header::ContentType;
use serde_json::{Map, Value};

use super::address::printable;
use crate::config::SmtpHandler;

/// With or without the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One attachment, decoded.
pub(super) struct Attached {
    pub(super) filename: String,
    pub(super) content_type: ContentType,
    pub(super) content: Vec<u8>,
    /// Shown within the HTML, which names it by `cid:`.
    pub(super) content_id: Option<String>,
}

/// Reads the field `attachments`.
pub(super) fn read(value: &Value, config: &SmtpHandler) -> Result<Vec<Attached>, String> {
    let Value::Array(values) = value else { return Err(format!("attachments must be a list, got {value}")) };
    values.iter().enumerate().map(|(n, value)| one(&format!("attachments[{n}]"), value, config)).collect()
}

fn one(field: &str, value: &Value, config: &SmtpHandler) -> Result<Attached, String> {
    let Value::Object(parts) = value else { return Err(format!("{field} must be an object, got {value}")) };
    if let Some(unknown) = parts.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("{field}.{unknown} is not known; known are {}", KEYS.join(", ")));
    }
    let path = text(field, parts, "path")?;
    let filename = match (text(field, parts, "filename")?, path) {
        (Some(name), _) => name.to_owned(),
        (None, Some(path)) => path.rsplit('/').next().unwrap_or(path).to_owned(),
        (None, None) => return Err(format!("{field} needs a filename")),
    };
    printable(&format!("{field}.filename"), &filename)?;
    let sources = [text(field, parts, "content")?, text(field, parts, "text")?, path];
    let (content, otherwise) = match sources {
        [Some(content), None, None] => (decode(field, content)?, "application/octet-stream"),
        [None, Some(text), None] => (text.as_bytes().to_vec(), "text/plain; charset=utf-8"),
        [None, None, Some(path)] => (open(field, path, config)?, "application/octet-stream"),
        _ => return Err(format!("{field} needs exactly one of content (base64), text and path")),
    };
    if content.len() > config.max_attachment {
        return Err(format!(
            "{field} has {} bytes, expected at most {} (max_attachment)",
            content.len(),
            config.max_attachment
        ));
    }
    let content_type = text(field, parts, "contentType")?.unwrap_or(otherwise);
    printable(&format!("{field}.contentType"), content_type)?;
    let wrong =
        || format!("{field}.contentType {content_type:?} is not the type of a file; write one such as application/pdf");
    // a multipart of our own making is no file, and would need its boundary
    if content_type.trim_start().to_ascii_lowercase().starts_with("multipart/") {
        return Err(wrong());
    }
    let content_id = text(field, parts, "contentId")?;
    if let Some(id) =
        content_id.filter(|id| id.is_empty() || !id.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"".contains(&b)))
    {
        return Err(format!(
            "{field}.contentId {id:?} holds more than letters, digits and signs; write one such as logo"
        ));
    }
    Ok(Attached {
        filename,
        content_type: ContentType::parse(content_type).map_err(|_| wrong())?,
        content,
        content_id: content_id.map(str::to_owned),
    })
}

const KEYS: [&str; 6] = ["filename", "contentType", "content", "text", "path", "contentId"];

fn text<'a>(field: &str, parts: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    match parts.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(value) => Err(format!("{field}.{name} must be a text, got {value}")),
    }
}

fn decode(field: &str, content: &str) -> Result<Vec<u8>, String> {
    let wrong = |_| format!("{field}.content is not base64; use text for plain text");
    if content.contains(['\r', '\n', ' ']) {
        let dense: String = content.chars().filter(|c| !matches!(c, '\r' | '\n' | ' ')).collect();
        return BASE64.decode(dense).map_err(wrong);
    }
    BASE64.decode(content).map_err(wrong)
}

/// A file below the directory for attachments, links followed before it is looked where it lies.
fn open(field: &str, path: &str, config: &SmtpHandler) -> Result<Vec<u8>, String> {
    let Some(directory) = &config.attachments_dir else {
        return Err(format!("{field}.path: files are not attached by path here; set attachments_dir"));
    };
    let outside = || format!("{field}.path {path:?} is not a file below the directory for attachments");
    let is_plain = |step: Component| matches!(step, Component::Normal(_));
    if path.is_empty() || path.contains('\0') || !Path::new(path).components().all(is_plain) {
        return Err(outside());
    }
    let cannot = |error: std::io::Error| format!("{field}.path {path:?} cannot be read: {error}");
    let base = directory.canonicalize().map_err(cannot)?;
    let real = base.join(path).canonicalize().map_err(cannot)?;
    if !real.starts_with(&base) || !real.metadata().map_err(cannot)?.is_file() {
        return Err(outside());
    }
    let mut content = Vec::new();
    // one more than allowed tells that there is too much
    let most = u64::try_from(config.max_attachment).unwrap_or(u64::MAX).saturating_add(1);
    File::open(&real).and_then(|file| file.take(most).read_to_end(&mut content)).map_err(cannot)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config() -> SmtpHandler {
        SmtpHandler { max_attachment: 1000, ..SmtpHandler::new("smtps://h", "a@b.example").unwrap() }
    }

    fn refused(value: &Value, config: &SmtpHandler) -> String {
        read(&json!([value]), config).err().unwrap_or_else(|| panic!("{value} was taken"))
    }

    #[test]
    fn contents_come_as_base64_or_text() {
        let read = read(
            &json!([{"filename": "a.bin", "content": "AP8\nQ"}, {"filename": "ü.txt", "text": "grüße", "contentId": "x"},
                    {"filename": "b.pdf", "content": "AP8Q", "contentType": "application/pdf"}]),
            &config(),
        )
        .unwrap();
        assert_eq!((read[0].content.as_slice(), read[1].content.as_slice()), (&[0, 255, 16][..], "grüße".as_bytes()));
        assert_eq!((read[2].content.as_slice(), read[1].content_id.as_deref()), (&[0, 255, 16][..], Some("x")));
        assert_eq!(read[2].content_type, ContentType::parse("application/pdf").unwrap());
    }

    #[test]
    fn f110_wrong_attachments_are_named() {
        for (value, why) in [
            (json!(7), "attachments[0] must be an object"),
            (json!({"content": "AP8Q"}), "attachments[0] needs a filename"),
            (json!({"filename": "a"}), "attachments[0] needs exactly one of content (base64), text and path"),
            (json!({"filename": "a", "text": "a", "content": "AP8Q"}), "attachments[0] needs exactly one"),
            (json!({"filename": "a", "content": "%"}), "attachments[0].content is not base64"),
            (json!({"filename": "a\r\nX: y", "text": "a"}), "attachments[0].filename holds the control character"),
            (
                json!({"filename": "a", "text": "a", "contentType": "text/plain\r\nX: y"}),
                "attachments[0].contentType holds",
            ),
            (json!({"filename": "a", "text": "a", "contentType": "pdf"}), "attachments[0].contentType \"pdf\" is not"),
            (json!({"filename": "a", "text": "a", "contentType": "multipart/mixed"}), "attachments[0].contentType"),
            (json!({"filename": "a", "text": "a", "contentId": "<x>"}), "attachments[0].contentId"),
            (
                json!({"filename": "a", "text": "a".repeat(1001)}),
                "attachments[0] has 1001 bytes, expected at most 1000",
            ),
            (json!({"filename": "a", "url": "http://169.254.169.254/"}), "attachments[0].url is not known"),
            (
                json!({"filename": "a", "path": "/etc/passwd"}),
                "attachments[0].path: files are not attached by path here",
            ),
        ] {
            let error = refused(&value, &config());
            assert!(error.starts_with(why), "{value}: {error}");
        }
    }

    #[test]
    fn f110_a_path_stays_below_its_directory() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("files");
        std::fs::create_dir_all(inner.join("sub")).unwrap();
        std::fs::write(outer.path().join("secret"), "secret").unwrap();
        std::fs::write(inner.join("sub/report.txt"), "report").unwrap();
        std::fs::write(inner.join("large"), vec![0; 1001]).unwrap();
        std::os::unix::fs::symlink("../secret", inner.join("link")).unwrap();
        let config = SmtpHandler { attachments_dir: Some(inner.clone()), ..config() };
        let read = read(&json!([{"path": "sub/report.txt"}]), &config).unwrap();
        assert_eq!((read[0].filename.as_str(), read[0].content.as_slice()), ("report.txt", &b"report"[..]));
        let absolute = inner.join("sub/report.txt").display().to_string();
        for path in ["../secret", "sub/../../secret", "link", "sub", "", ".", "a\0b", absolute.as_str(), "/etc/passwd"]
        {
            let error = refused(&json!({"filename": "a", "path": path}), &config);
            assert!(error.contains("is not a file below the directory for attachments"), "{path}: {error}");
        }
        assert!(refused(&json!({"path": "none"}), &config).contains("cannot be read"));
        assert!(refused(&json!({"path": "large"}), &config).contains("has 1001 bytes"));
    }
}
