//! What a credential must be for each route: the one table that says what the scopes of an API key permit.
//!
//! A route that is not in it can't be used with an API key, and fails a test.

use crate::service::api_keys::Scope;
use actix_web::http::Method;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// A session, or an API key with this scope.
    Scope(Scope),
    /// A session only: what a program's key must not reach.
    Session,
    /// The session of an administrator.
    Administrator,
}

const PUBLIC: Access = Access::Public;
const READ: Access = Access::Scope(Scope::Read);
const UPLOAD: Access = Access::Scope(Scope::Upload);
const MANAGE: Access = Access::Scope(Scope::Manage);
const SESSION: Access = Access::Session;
const ADMINISTRATOR: Access = Access::Administrator;

/// Methods, route patterns without a slash at their end, access.
const TABLE: &[(&str, &str, Access)] = &[
    ("GET", "/healthz", PUBLIC),
    ("GET", "/readyz", PUBLIC),
    ("GET", "/metrics", PUBLIC),
    ("GET OPTIONS", "/f/{id}/{filename}", PUBLIC),
    ("GET", "/f/{id}/thumbnail", PUBLIC),
    ("GET POST", "/s/{token}", PUBLIC),
    ("GET", "/s/{token}/download", PUBLIC),
    ("GET", "/s/{token}/preview", PUBLIC),
    ("GET", "/s/{token}/zip", PUBLIC),
    ("POST", "/s/{token}/upload", PUBLIC),
    ("GET", "/api/openapi.json", PUBLIC),
    // Sign-in.
    ("POST", "/api/auth/login", PUBLIC),
    ("POST", "/api/auth/logout", PUBLIC),
    ("POST", "/api/auth/refresh", PUBLIC),
    ("POST", "/api/auth/retrieve", PUBLIC),
    ("GET", "/api/slack/login", PUBLIC),
    ("GET", "/api/slack/callback", PUBLIC),
    ("GET", "/api/auth/me", READ),
    ("POST", "/api/auth/reset_password", SESSION),
    ("GET", "/api/auth/sessions", SESSION),
    ("DELETE", "/api/auth/sessions/{id}", SESSION),
    ("GET POST", "/api/cdn/api-keys", SESSION),
    ("DELETE", "/api/cdn/api-keys/{id}", SESSION),
    // Administration.
    ("GET", "/api/admin/users", ADMINISTRATOR),
    ("GET PATCH", "/api/admin/users/{id}", ADMINISTRATOR),
    ("POST", "/api/admin/users/{id}/sign-out", ADMINISTRATOR),
    ("GET", "/api/admin/stats", ADMINISTRATOR),
    ("GET", "/api/admin/audit", ADMINISTRATOR),
    ("GET", "/api/admin/jobs", ADMINISTRATOR),
    // Folders.
    ("GET", "/api/cdn/folders", READ),
    ("POST", "/api/cdn/folders", UPLOAD),
    ("GET", "/api/cdn/folders/root", READ),
    ("GET", "/api/cdn/folders/{id}", READ),
    ("PUT PATCH DELETE", "/api/cdn/folders/{id}", MANAGE),
    ("GET", "/api/cdn/folders/{id}/contents", READ),
    ("GET", "/api/cdn/folders/{id}/zip", READ),
    ("POST", "/api/cdn/folders/{id}/star", MANAGE),
    // Files.
    ("GET", "/api/cdn/files", READ),
    ("GET", "/api/cdn/files/starred", READ),
    ("GET", "/api/cdn/files/recent", READ),
    ("POST", "/api/cdn/files/upload", UPLOAD),
    ("POST", "/api/cdn/uploads", UPLOAD),
    ("PUT", "/api/cdn/uploads/{filename}", UPLOAD),
    ("POST", "/api/cdn/upload-0x0", UPLOAD),
    ("GET", "/api/cdn/upload-0x0/status", READ),
    ("GET", "/api/cdn/files/{id}", READ),
    ("PUT PATCH DELETE", "/api/cdn/files/{id}", MANAGE),
    ("GET", "/api/cdn/files/{id}/download", READ),
    ("GET", "/api/cdn/files/{id}/thumbnail", READ),
    ("POST", "/api/cdn/files/{id}/star", MANAGE),
    ("GET", "/api/cdn/files/{id}/versions", READ),
    ("POST", "/api/cdn/files/{id}/versions", UPLOAD),
    ("GET", "/api/cdn/files/{id}/versions/{number}/download", READ),
    ("POST", "/api/cdn/files/{id}/versions/{number}/restore", MANAGE),
    ("DELETE", "/api/cdn/files/{id}/versions/{number}", MANAGE),
    ("POST", "/api/cdn/bulk", MANAGE),
    // Trash.
    ("GET", "/api/cdn/trash", READ),
    ("POST", "/api/cdn/trash/empty", MANAGE),
    ("POST", "/api/cdn/trash/{id}/restore", MANAGE),
    ("DELETE", "/api/cdn/trash/{id}", MANAGE),
    // Shares.
    ("GET", "/api/cdn/shares", READ),
    ("POST", "/api/cdn/shares", MANAGE),
    ("GET POST", "/api/cdn/shares/public", PUBLIC),
    ("GET", "/api/cdn/shares/public/download", PUBLIC),
    ("POST", "/api/cdn/shares/public/upload", PUBLIC),
    ("GET", "/api/cdn/shares/public/thumbnail", PUBLIC),
    ("GET", "/api/cdn/shares/public/zip", PUBLIC),
    ("GET", "/api/cdn/shares/status", READ),
    ("GET", "/api/cdn/shares/{id}", READ),
    ("PUT PATCH DELETE", "/api/cdn/shares/{id}", MANAGE),
    ("GET", "/api/cdn/shares/{id}/shared_users", READ),
    ("POST", "/api/cdn/shares/{id}/add_user", MANAGE),
    ("DELETE", "/api/cdn/shares/{id}/remove_user", MANAGE),
    ("GET", "/api/cdn/shares/{id}/access_logs", READ),
    // The rest.
    ("GET", "/api/cdn/dashboard", READ),
    ("GET", "/api/cdn/activity", READ),
    ("GET", "/api/cdn/analytics", READ),
    ("GET", "/api/cdn/search", READ),
    ("GET", "/api/cdn/events", READ),
    ("GET", "/api/cdn/processing", READ),
    ("GET", "/api/cdn/processing/{id}", READ),
    ("POST", "/api/cdn/processing/{id}/retry", MANAGE),
];

/// What the table says; `None` for a route that isn't in it.
pub fn find(method: &str, pattern: &str) -> Option<Access> {
    let pattern = pattern.trim_end_matches('/');
    // What may be read may be asked about.
    let method = if method == "HEAD" { "GET" } else { method };
    let is_row = |(methods, route, _): &&(&str, &str, Access)| {
        *route == pattern && methods.split(' ').any(|m| m == method)
    };
    TABLE.iter().find(is_row).map(|(_, _, access)| *access)
}

/// Whether an API key with these scopes may call a route.
pub fn permits(scopes: &[Scope], method: &Method, pattern: Option<&str>) -> bool {
    match pattern.and_then(|pattern| find(method.as_str(), pattern)) {
        Some(Access::Public) => true,
        Some(Access::Scope(scope)) => scopes.contains(&scope),
        Some(Access::Session | Access::Administrator) | None => false,
    }
}

impl Access {
    /// As the OpenAPI document names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Scope(scope) => scope.as_str(),
            Self::Session => "session",
            Self::Administrator => "administrator",
        }
    }
}
