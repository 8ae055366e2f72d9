//! What the pages say. Every text that isn't written here is escaped by the template.

use super::{STYLE, answer};
use actix_web::{HttpResponse, http::StatusCode};
use cdn_actors::domain::size::human_size;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// What goes before the page itself, for browsers and for sites that show a preview of the link.
pub struct Head {
    pub title: String,
    pub description: String,
    /// Absolute.
    pub url: Option<String>,
    /// Absolute; only where strangers may see the picture.
    pub image: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviewKind {
    Image,
    Video,
    Audio,
    Pdf,
}

impl PreviewKind {
    /// What browsers show by themselves and can't be made to act; `None` for all else, SVG among it.
    pub fn of(mime_type: &str) -> Option<Self> {
        match mime_type {
            "image/jpeg" | "image/png" | "image/gif" | "image/webp" | "image/avif" | "image/bmp" => {
                Some(Self::Image)
            }
            "application/pdf" => Some(Self::Pdf),
            _ if mime_type.starts_with("video/") => Some(Self::Video),
            _ if mime_type.starts_with("audio/") => Some(Self::Audio),
            _ => None,
        }
    }
}

pub struct Preview {
    pub kind: PreviewKind,
    pub url: String,
    pub mime_type: String,
}

/// A file, shared itself or in a shared folder.
pub struct FilePage {
    pub head: Head,
    pub name: String,
    /// Bytes.
    pub size: u64,
    pub mime_type: String,
    pub preview: Option<Preview>,
    /// `Err`: why there is none.
    pub download: Result<String, &'static str>,
    /// The folder it is in, for a file of a shared folder.
    pub back: Option<String>,
}

pub struct FolderEntry {
    pub name: String,
    pub url: String,
}

pub struct FileEntry {
    pub name: String,
    /// Bytes.
    pub size: u64,
    pub url: String,
}

pub struct FolderPage {
    pub head: Head,
    pub name: String,
    /// The folders from the shared one down to this one's parent.
    pub above: Vec<FolderEntry>,
    pub folders: Vec<FolderEntry>,
    pub files: Vec<FileEntry>,
    pub download: Result<String, &'static str>,
}

/// The form of an upload request: its senders see nothing of the folder but its name.
pub struct UploadForm {
    pub head: Head,
    pub name: String,
    pub action: String,
    /// Bytes of one file, where the share says so.
    pub max_size: Option<u64>,
    /// Whether the last one has arrived.
    pub has_received: bool,
}

fn page(head: &Head, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (head.title) }
                meta name="robots" content="noindex";
                meta name="description" content=(head.description);
                meta property="og:type" content="website";
                meta property="og:site_name" content="Hack Club CDN";
                meta property="og:title" content=(head.title);
                meta property="og:description" content=(head.description);
                @if let Some(url) = &head.url { meta property="og:url" content=(url); }
                @if let Some(image) = &head.image {
                    meta property="og:image" content=(image);
                    meta name="twitter:card" content="summary_large_image";
                } @else {
                    meta name="twitter:card" content="summary";
                }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (content)
                    footer class="soft" { "Shared with Hack Club CDN" }
                }
            }
        }
    }
}

fn download_part(download: &Result<String, &'static str>, label: &str) -> Markup {
    html! {
        @match download {
            Ok(url) => p class="actions" { a class="button" href=(url) rel="nofollow" { (label) } },
            Err(reason) => p class="notice" { (reason) },
        }
    }
}

fn preview_part(preview: &Preview, name: &str) -> Markup {
    html! {
        div class="preview" {
            @match preview.kind {
                PreviewKind::Image => img src=(preview.url) alt=(name);,
                PreviewKind::Video => {
                    video controls preload="metadata" { source src=(preview.url) type=(preview.mime_type); }
                },
                PreviewKind::Audio => {
                    audio controls preload="metadata" { source src=(preview.url) type=(preview.mime_type); }
                },
                PreviewKind::Pdf => iframe src=(preview.url) title=(name) {},
            }
        }
    }
}

impl FilePage {
    pub fn answer(&self) -> HttpResponse {
        let content = html! {
            @if let Some(back) = &self.back { nav { a href=(back) { "← Back to the folder" } } }
            article class="card" {
                h1 dir="auto" { (self.name) }
                p class="soft" { (human_size(self.size)) " · " (self.mime_type) }
                @if let Some(preview) = &self.preview { (preview_part(preview, &self.name)) }
                (download_part(&self.download, "Download"))
            }
        };
        answer(StatusCode::OK, page(&self.head, &content))
    }
}

impl FolderPage {
    pub fn answer(&self) -> HttpResponse {
        let content = html! {
            @if !self.above.is_empty() {
                nav aria-label="Folders above" {
                    ol { @for folder in &self.above { li { a href=(folder.url) { bdi { (folder.name) } } } } }
                }
            }
            article class="card" {
                h1 dir="auto" { (self.name) }
                p class="soft" { (count(self.folders.len(), "folder")) ", " (count(self.files.len(), "file")) }
                (download_part(&self.download, "Download all as ZIP"))
                ul class="entries" {
                    @for folder in &self.folders {
                        li { span class="name" { a href=(folder.url) { bdi { (folder.name) } } "/" } }
                    }
                    @for file in &self.files {
                        li {
                            span class="name" { a href=(file.url) { bdi { (file.name) } } }
                            span class="size" { (human_size(file.size)) }
                        }
                    }
                }
            }
        };
        answer(StatusCode::OK, page(&self.head, &content))
    }
}

impl UploadForm {
    pub fn answer(&self) -> HttpResponse {
        let content = html! {
            article class="card" {
                h1 dir="auto" { "Upload to " bdi { (self.name) } }
                @if self.has_received { p class="notice" role="status" { "Thank you: your file has arrived." } }
                form method="post" action=(self.action) enctype="multipart/form-data" {
                    label for="file" { "File" }
                    input id="file" type="file" name="file" required;
                    @if let Some(size) = self.max_size { p class="soft" { "At most " (human_size(size)) "." } }
                    div { button class="button" { "Upload" } }
                }
            }
        };
        answer(StatusCode::OK, page(&self.head, &content))
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Asks for the password. The form goes to where this page came from.
pub fn password_form(status: StatusCode, is_wrong: bool) -> HttpResponse {
    let content = html! {
        article class="card" {
            h1 { "This link has a password" }
            @if is_wrong { p class="notice" role="alert" { "That was not the right password." } }
            form method="post" {
                label for="password" { "Password" }
                input id="password" type="password" name="password" required autofocus
                    autocomplete="current-password";
                div { button class="button" { "Open" } }
            }
        }
    };
    answer(status, page(&plain_head("Password required"), &content))
}

/// Why there is nothing to see.
pub fn notice(status: StatusCode, title: &str, text: &str) -> HttpResponse {
    let content = html! { article class="card" { h1 { (title) } p { (text) } } };
    answer(status, page(&plain_head(title), &content))
}

/// Tells nothing of what is shared.
fn plain_head(title: &str) -> Head {
    Head { title: title.into(), description: "A shared link".into(), url: None, image: None }
}
