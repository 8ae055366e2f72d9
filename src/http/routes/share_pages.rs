//! The page behind a share's link, for people with a browser. The password's stand-in is a cookie of this page alone,
//! so it is in no address.

use super::{
    archives::send_archive,
    share_links::{receive_by_link, send_download, send_preview, visitor_of},
    thumbnails::send_picture,
};
use crate::{
    db::{files::FileRow, folders::FolderRow},
    http::{
        ApiError, AppState,
        auth::CurrentUser,
        body::read_body,
        client, cookies,
        link_views::PublicFolderView,
        params::Query,
        share_page::{
            FileEntry, FilePage, FolderEntry, FolderPage, Head, PageError, Preview, PreviewKind, UploadForm,
        },
    },
    service::{
        ServiceError,
        shares::links::{Key, OpenedShare, PASS_TTL},
    },
};
use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    get,
    http::{Method, header},
    post, route, web,
};
use cdn_actors::domain::size::human_size;
use url::Url;
use uuid::Uuid;

/// The cookie that stands for a share's password, under the path of its page.
const PASS: &str = "share_pass";
/// Largest picture that sites are offered to show beside the link, in bytes.
const MAX_UNFURLED: u64 = 8 * 1024 * 1024;

const DOWNLOADS_OFF: &str = "Downloads are turned off for this link.";
const DOWNLOADS_SPENT: &str = "All downloads of this link are used up.";

/// What a link opens, as a page: the file, the folder, or the form of an upload request.
#[utoipa::path(tag = "pages", method(get, head), security(()), params(
    ("token" = String, Path), ("path" = Option<String>, Query, description = "Names of folders below, joined by `/`"),
    ("file" = Option<Uuid>, Query, description = "One file of a shared folder"),
), responses(
    (status = 200, body = String, content_type = "text/html"),
    (status = 401, body = String, content_type = "text/html", description = "The form for the password"),
    (status = 404, body = String, content_type = "text/html"),
    (status = 410, body = String, content_type = "text/html"),
    (status = 429, body = String, content_type = "text/html"),
))]
#[route("/s/{token}", method = "GET", method = "HEAD")]
pub async fn show_share_page(
    caller: Option<CurrentUser>,
    state: web::Data<AppState>,
    request: HttpRequest,
    token: web::Path<String>,
    query: Query,
) -> Result<HttpResponse, PageError> {
    let services = &state.services;
    let share = services.open_share(&key_of(&request, &token)).await?;
    let links = Links::new(&state, &share.token);
    let response = if share.takes_uploads() {
        upload_form(&share, &links, query.get("received").is_some()).answer()
    } else if share.row.file_id.is_some() {
        let row = services.shared_file(&share, None).await?;
        file_page(&share, &links, &row).answer()
    } else if let Some(file) = file_of(&query)? {
        let row = services.shared_file(&share, Some(file)).await?;
        file_page(&share, &links, &row).answer()
    } else {
        let folder = services.shared_folder(&share, query.text("path")?.as_deref()).await?;
        let (folders, files) = services.shared_contents(&share, folder.id()).await?;
        folder_page(&share, &links, &folder, &folders, &files).answer()
    };
    if request.method() == Method::GET {
        services.note_share_opened(&share, &visitor_of(&request, caller.as_ref())).await?;
    }
    Ok(response)
}

/// Takes the password, and shows the page.
#[utoipa::path(tag = "pages", security(()), params(("token" = String, Path)), request_body(
    content = String, content_type = "application/x-www-form-urlencoded", description = "`password`",
), responses(
    (status = 303), (status = 401, body = String, content_type = "text/html"),
    (status = 404, body = String, content_type = "text/html"),
    (status = 410, body = String, content_type = "text/html"),
    (status = 415, body = String, content_type = "text/html"),
    (status = 429, body = String, content_type = "text/html"),
))]
#[post("/s/{token}")]
pub async fn unlock_share_page(
    state: web::Data<AppState>,
    request: HttpRequest,
    token: web::Path<String>,
    query: Query,
    payload: web::Payload,
) -> Result<HttpResponse, PageError> {
    if request.content_type() != "application/x-www-form-urlencoded" {
        return Err(ApiError::UnsupportedMediaType("The content type must be that of a form.".into()).into());
    }
    let body = read_body(&request, payload.into_inner()).await?;
    let form = Query::parse(&String::from_utf8_lossy(&body));
    let password = form.get("password").map(str::to_owned);
    let key = Key { password, pass: None, ..key_of(&request, &token) };
    let share = state.services.open_share(&key).await?;
    let links = Links::new(&state, &share.token);
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, links.page(query.text("path")?.as_deref(), file_of(&query)?)));
    if let Some(pass) = &share.pass {
        let cookie = Cookie::build(PASS, pass.clone())
            .path(links.page(None, None))
            .http_only(true)
            .secure(state.is_https())
            // Whoever follows the link once more from a chat is still let in; forms of other sites are not.
            .same_site(SameSite::Lax)
            .max_age(Duration::seconds(PASS_TTL.num_seconds()))
            .finish();
        response.cookie(cookie);
    }
    Ok(response.finish())
}

/// The bytes, as from the API; one download.
#[utoipa::path(tag = "pages", method(get, head), security(()), params(
    ("token" = String, Path), ("file" = Option<Uuid>, Query),
), responses(
    (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 302), (status = 401, body = String, content_type = "text/html"),
    (status = 403, body = String, content_type = "text/html"),
    (status = 404, body = String, content_type = "text/html"),
    (status = 410, body = String, content_type = "text/html"),
))]
#[route("/s/{token}/download", method = "GET", method = "HEAD")]
pub async fn download_from_page(
    caller: Option<CurrentUser>,
    state: web::Data<AppState>,
    request: HttpRequest,
    token: web::Path<String>,
    query: Query,
) -> Result<HttpResponse, PageError> {
    let share = state.services.open_share(&key_of(&request, &token)).await?;
    let visitor = visitor_of(&request, caller.as_ref());
    Ok(send_download(&request, &state, &share, file_of(&query)?, &visitor).await?)
}

/// The bytes to look at in the page, where it may show them.
#[utoipa::path(tag = "pages", method(get, head), security(()), params(
    ("token" = String, Path), ("file" = Option<Uuid>, Query),
), responses(
    (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 401, body = String, content_type = "text/html"),
    (status = 403, body = String, content_type = "text/html"),
    (status = 404, body = String, content_type = "text/html"),
    (status = 410, body = String, content_type = "text/html"),
))]
#[route("/s/{token}/preview", method = "GET", method = "HEAD")]
pub async fn preview_in_page(
    caller: Option<CurrentUser>,
    state: web::Data<AppState>,
    request: HttpRequest,
    token: web::Path<String>,
    query: Query,
) -> Result<HttpResponse, PageError> {
    let share = state.services.open_share(&key_of(&request, &token)).await?;
    let visitor = visitor_of(&request, caller.as_ref());
    let row = state.services.shared_file(&share, file_of(&query)?).await?;
    let is_shown = PreviewKind::of(&row.mime_type).is_some() && row.cdn_url.is_none();
    if !(is_shown && share.shows_bytes()) && row.preview_url.is_some() {
        let side = state.services.config.thumbnails.preview_size();
        share.require_preview()?;
        let picture = state.services.picture(row.id(), side, false).await?;
        state.services.note_share_previewed(&share, &visitor).await?;
        return Ok(send_picture(&request, &state, &picture, "private, no-store", false).await?);
    }
    if !is_shown {
        return Err(ServiceError::NotFound.into());
    }
    let mut response = send_preview(&request, &state, &share, row.id(), &visitor).await?;
    // A frame of the page shows PDFs; nothing in these types acts.
    let headers = response.headers_mut();
    headers.insert(header::X_FRAME_OPTIONS, header::HeaderValue::from_static("SAMEORIGIN"));
    headers
        .insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static("frame-ancestors 'self'"));
    Ok(response)
}

/// The folder, or one below it, as a ZIP archive; one download.
#[utoipa::path(tag = "pages", security(()), params(("token" = String, Path), ("path" = Option<String>, Query)), responses(
    (status = 200, body = Vec<u8>, content_type = "application/zip"),
    (status = 401, body = String, content_type = "text/html"),
    (status = 403, body = String, content_type = "text/html"),
    (status = 404, body = String, content_type = "text/html"),
    (status = 410, body = String, content_type = "text/html"),
))]
#[get("/s/{token}/zip")]
pub async fn download_page_zip(
    caller: Option<CurrentUser>,
    state: web::Data<AppState>,
    request: HttpRequest,
    token: web::Path<String>,
    query: Query,
) -> Result<HttpResponse, PageError> {
    let share = state.services.open_share(&key_of(&request, &token)).await?;
    let visitor = visitor_of(&request, caller.as_ref());
    let archive = state.services.zip_share(&share, query.text("path")?.as_deref(), &visitor).await?;
    Ok(send_archive(archive))
}

/// Takes a file for an upload request, and shows the form again.
#[utoipa::path(tag = "pages", security(()), params(("token" = String, Path)), request_body(
    content = super::uploads::UploadForm, content_type = "multipart/form-data",
), responses(
    (status = 303), (status = 401, body = String, content_type = "text/html"),
    (status = 402, body = String, content_type = "text/html"),
    (status = 403, body = String, content_type = "text/html"),
    (status = 404, body = String, content_type = "text/html"),
    (status = 410, body = String, content_type = "text/html"),
    (status = 413, body = String, content_type = "text/html"),
))]
#[post("/s/{token}/upload")]
pub async fn upload_from_page(
    state: web::Data<AppState>,
    request: HttpRequest,
    token: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, PageError> {
    let share = state.services.open_share(&key_of(&request, &token)).await?;
    receive_by_link(&state, &share, &request, payload).await?;
    let page = Links::new(&state, &share.token).page(None, None);
    Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, format!("{page}?received=1"))).finish())
}

fn key_of(request: &HttpRequest, token: &str) -> Key {
    Key {
        token: token.to_owned(),
        password: None,
        pass: cookies::read(request, PASS),
        address: client::address(request),
    }
}

fn file_of(query: &Query) -> Result<Option<Uuid>, ApiError> {
    // An id that is none is not there, as in every path.
    query.get("file").map(|text| Uuid::parse_str(text).map_err(|_| ApiError::NOT_FOUND)).transpose()
}

/// The page's own addresses, from the path on: it may be looked at by another name of this server.
struct Links<'a> {
    state: &'a AppState,
    page: String,
}

impl<'a> Links<'a> {
    fn new(state: &'a AppState, token: &str) -> Self {
        let base = Url::parse(&state.base_url);
        let prefix = base.as_ref().map_or("", |base| base.path().trim_end_matches('/'));
        Self { state, page: format!("{prefix}/s/{token}") }
    }

    fn page(&self, path: Option<&str>, file: Option<Uuid>) -> String {
        with_query(self.page.clone(), path, file)
    }

    fn call(&self, name: &str, path: Option<&str>, file: Option<Uuid>) -> String {
        with_query(format!("{}/{name}", self.page), path, file)
    }

    fn absolute(&self, address: &str) -> String {
        let base = Url::parse(&self.state.base_url).and_then(|base| base.join(address));
        base.map_or_else(|_| address.to_owned(), String::from)
    }
}

fn with_query(mut address: String, path: Option<&str>, file: Option<Uuid>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(path) = path.filter(|path| !path.is_empty()) {
        query.append_pair("path", path);
    }
    if let Some(file) = file {
        query.append_pair("file", &file.to_string());
    }
    let query = query.finish();
    if !query.is_empty() {
        address.push('?');
        address.push_str(&query);
    }
    address
}

fn unsigned(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}

fn download_of(share: &OpenedShare, url: String) -> Result<String, &'static str> {
    match share.require_download() {
        Ok(()) => Ok(url),
        Err(ServiceError::Gone(_)) => Err(DOWNLOADS_SPENT),
        Err(_) => Err(DOWNLOADS_OFF),
    }
}

fn head_of(share: &OpenedShare, links: &Links<'_>, title: &str, about: &str, page: &str) -> Head {
    Head {
        title: title.to_owned(),
        description: format!("{about} · shared by {}", share.row.owner.owner_name),
        url: Some(links.absolute(page)),
        image: None,
    }
}

fn file_page(share: &OpenedShare, links: &Links<'_>, row: &FileRow) -> FilePage {
    let is_in_folder = share.row.folder_id.is_some();
    let file = is_in_folder.then(|| share.shown_id(row.id));
    let size = unsigned(row.file_size);
    let about = format!("{} · {}", human_size(size), row.mime_type);
    let mut head = head_of(share, links, &row.filename, &about, &links.page(None, file));
    let has_picture = share.row.allow_preview && row.preview_url.is_some();
    let kind = PreviewKind::of(&row.mime_type)
        .filter(|_| share.shows_bytes() && row.cdn_url.is_none())
        .or(has_picture.then_some(PreviewKind::Image));
    let preview = kind.map(|kind| Preview {
        kind,
        url: links.call("preview", None, file),
        mime_type: row.mime_type.clone(),
    });
    if share.row.password_hash.is_none() && size <= MAX_UNFURLED {
        let picture = preview.as_ref().filter(|preview| preview.kind == PreviewKind::Image);
        head.image = picture.map(|picture| links.absolute(&picture.url));
    }
    FilePage {
        head,
        name: row.filename.clone(),
        size,
        mime_type: row.mime_type.clone(),
        preview,
        download: download_of(share, links.call("download", None, file)),
        back: is_in_folder.then(|| links.page(Some(&path_below(share, &row.folder)), None)),
    }
}

fn folder_page(
    share: &OpenedShare,
    links: &Links<'_>,
    folder: &FolderRow,
    folders: &[FolderRow],
    files: &[FileRow],
) -> FolderPage {
    let path = path_below(share, folder);
    let head = head_of(share, links, &folder.folder_name, "Folder", &links.page(Some(&path), None));
    let entry = |folder: &FolderRow| FolderEntry {
        name: folder.folder_name.clone(),
        url: links.page(Some(&path_below(share, folder)), None),
    };
    let file_entry = |file: &FileRow| FileEntry {
        name: file.filename.clone(),
        size: unsigned(file.file_size),
        url: links.page(None, Some(share.shown_id(file.id))),
    };
    FolderPage {
        head,
        name: folder.folder_name.clone(),
        above: folders_above(share, links, &path),
        folders: folders.iter().map(entry).collect(),
        files: files.iter().map(file_entry).collect(),
        download: download_of(share, links.call("zip", Some(&path), None)),
    }
}

/// From the shared folder down to the parent of the one at this path; none for the shared folder itself.
fn folders_above(share: &OpenedShare, links: &Links<'_>, path: &str) -> Vec<FolderEntry> {
    if path.is_empty() {
        return Vec::new();
    }
    let top = FolderEntry { name: share.row.thing_name.clone(), url: links.page(None, None) };
    let between = path.match_indices('/').map(|(end, _)| {
        let above = &path[..end];
        let name = above.rsplit('/').next().unwrap_or_default().to_owned();
        FolderEntry { name, url: links.page(Some(above), None) }
    });
    std::iter::once(top).chain(between).collect()
}

/// Names from the shared folder down.
fn path_below(share: &OpenedShare, folder: &FolderRow) -> String {
    PublicFolderView::new(share, folder).path
}

fn upload_form(share: &OpenedShare, links: &Links<'_>, has_received: bool) -> UploadForm {
    let name = share.row.thing_name.clone();
    UploadForm {
        head: head_of(share, links, &name, "Upload files", &links.page(None, None)),
        name,
        action: links.call("upload", None, None),
        max_size: share.row.max_size.map(unsigned),
        has_received,
    }
}
