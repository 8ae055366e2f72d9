//! The objects of the contract's section 3: every field is there and has its type.

use chrono::DateTime;
use serde_json::Value;
use uuid::Uuid;

use super::PUBLIC_URL;

const PROFILE: &[(&str, &str)] = &[
    ("id", "int"),
    ("username", "str"),
    ("email", "str"),
    ("full_name", "str"),
    ("profile_picture", "url?"),
];

const FOLDER: &[(&str, &str)] = &[
    ("id", "uuid"),
    ("name", "str"),
    ("parent", "uuid?"),
    ("owner", "int"),
    ("owner_detail", "profile"),
    ("path", "str"),
    ("is_root", "bool"),
    ("children_count", "int"),
    ("files_count", "int"),
    ("full_path", "str"),
    ("created_at", "time"),
    ("updated_at", "time"),
];

const FILE: &[(&str, &str)] = &[
    ("id", "uuid"),
    ("filename", "str"),
    ("original_filename", "str"),
    ("folder", "uuid"),
    ("folder_detail", "folder"),
    ("owner", "int"),
    ("owner_detail", "profile"),
    ("file_size", "int"),
    ("file_size_human", "human"),
    ("mime_type", "str"),
    ("file_extension", "str"),
    ("storage_path", "str"),
    ("cdn_url", "url?"),
    ("thumbnail_url", "url?"),
    ("preview_url", "url?"),
    ("is_processed", "bool"),
    ("processing_status", "status"),
    ("versions", "array"),
    ("versions_count", "int"),
    ("is_starred", "bool"),
    ("created_at", "time"),
    ("updated_at", "time"),
    ("last_accessed", "time"),
    ("md5_hash", "hex32"),
    ("sha256_hash", "hex64"),
];

const JOB: &[(&str, &str)] = &[
    ("id", "uuid"),
    ("file", "uuid"),
    ("file_detail", "file"),
    ("job_type", "str"),
    ("status", "status"),
    ("priority", "int"),
    ("attempts", "int"),
    ("max_attempts", "int"),
    ("error_message", "str"),
    ("result_data", "object"),
    ("created_at", "time"),
    ("started_at", "time?"),
    ("completed_at", "time?"),
];

#[track_caller]
pub fn assert_job(value: &Value) {
    assert_fields(value, JOB);
    assert_eq!(value["file"], value["file_detail"]["id"], "{value}");
}

#[track_caller]
pub fn assert_profile(value: &Value) {
    assert_fields(value, PROFILE);
    assert_eq!(value["username"], value["email"], "{value}");
}

#[track_caller]
pub fn assert_folder(value: &Value) {
    assert_fields(value, FOLDER);
    assert_eq!(value["path"], value["full_path"], "{value}");
    assert_eq!(value["owner"], value["owner_detail"]["id"], "{value}");
    assert_eq!(value["is_root"], value["parent"].is_null(), "{value}");
}

#[track_caller]
pub fn assert_file(value: &Value) {
    assert_fields(value, FILE);
    assert_eq!(value["folder"], value["folder_detail"]["id"], "{value}");
    assert_eq!(value["owner"], value["owner_detail"]["id"], "{value}");
    assert_eq!(value["versions"].as_array().map(Vec::len), as_count(&value["versions_count"]), "{value}");
    let picture = value["thumbnail_url"].as_str();
    assert!(picture.is_none_or(|url| url.starts_with(PUBLIC_URL)), "{value}");
}

/// RFC 3339 in UTC with microseconds and `Z`.
#[track_caller]
pub fn assert_time(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("not a time: {value}"));
    assert!(text.len() == 27 && text.ends_with('Z') && DateTime::parse_from_rfc3339(text).is_ok(), "{text}");
}

/// One decimal, a space and a unit.
#[track_caller]
pub fn assert_human_size(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("not a size: {value}"));
    let (number, unit) = text.split_once(' ').unwrap_or_else(|| panic!("no unit: {text}"));
    assert!(["B", "KB", "MB", "GB", "TB", "PB"].contains(&unit), "{text}");
    assert!(
        number.parse::<f64>().is_ok() && number.split_once('.').is_some_and(|(_, d)| d.len() == 1),
        "{text}"
    );
}

/// The `filename` or `name` of each object in an array.
#[track_caller]
pub fn names_of(array: &Value) -> Vec<String> {
    let objects = array.as_array().unwrap_or_else(|| panic!("not an array: {array}"));
    let name =
        |object: &Value| object["filename"].as_str().or(object["name"].as_str()).expect("a name").to_owned();
    objects.iter().map(name).collect()
}

#[track_caller]
fn assert_fields(value: &Value, fields: &[(&str, &str)]) {
    for &(field, kind) in fields {
        let content = value.get(field).unwrap_or_else(|| panic!("no field `{field}` in {value}"));
        match (kind.strip_suffix('?'), content.is_null()) {
            (Some(_), true) => {}
            (Some(kind), false) => assert_kind(content, kind, field),
            (None, _) => assert_kind(content, kind, field),
        }
    }
}

#[track_caller]
fn assert_kind(content: &Value, kind: &str, field: &str) {
    let text = content.as_str().unwrap_or_default();
    let is_hex = |length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let fits = match kind {
        "int" => content.is_i64() || content.is_u64(),
        "str" => content.is_string(),
        "bool" => content.is_boolean(),
        "array" => content.is_array(),
        "object" => content.is_object(),
        "url" => text.starts_with("http://") || text.starts_with("https://"),
        "status" => ["pending", "processing", "completed", "failed"].contains(&text),
        "hex32" => is_hex(32),
        "hex64" => is_hex(64),
        "uuid" => Uuid::parse_str(text)
            .is_ok_and(|id| id.get_version_num() == 7 && id.hyphenated().to_string() == text),
        "time" => return assert_time(content),
        "human" => return assert_human_size(content),
        "profile" => return assert_profile(content),
        "folder" => return assert_folder(content),
        "file" => return assert_file(content),
        _ => panic!("unknown kind {kind}"),
    };
    assert!(fits, "field `{field}` is no {kind}: {content}");
}

fn as_count(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|count| usize::try_from(count).ok())
}
