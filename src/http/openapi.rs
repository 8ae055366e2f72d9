//! The OpenAPI 3.1 document, put together from the routes themselves, and a page to try it.

use super::{access, routes};
use actix_web::web;
use utoipa::openapi::{
    Components, ContactBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem,
    ServerBuilder,
    extensions::ExtensionsBuilder,
    path::Operation,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// The document before the routes are in it.
pub fn base(base_url: &str) -> OpenApi {
    let info = InfoBuilder::new()
        .title("Hack Club CDN")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Upload a file, get a link that works."))
        .contact(Some(ContactBuilder::new().name(Some("Hack Club")).build()))
        .license(Some(LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build()))
        .build();
    let mut components = Components::new();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::new("access_token"));
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url(base_url).build()]))
        .security(Some([
            SecurityRequirement::new("bearer", Vec::<String>::new()),
            SecurityRequirement::new("cookie", Vec::<String>::new()),
        ]))
        .components(Some(components))
        .build()
}

/// The same document with every path as the contract writes it, and every operation under an id of its own.
pub fn canonical(mut document: OpenApi) -> OpenApi {
    let paths = std::mem::take(&mut document.paths.paths);
    let rename = |(path, mut item): (String, PathItem)| {
        // One handler may answer two methods, and ids are taken from handlers.
        tell_apart(&mut item.head, &item.get, "head");
        tell_apart(&mut item.put, &item.patch, "put");
        name_access(&path, &mut item);
        (canonical_path(&path), item)
    };
    document.paths.paths = paths.into_iter().map(rename).collect();
    document
}

/// Tells who may call each operation, as `x-access`: `public`, a scope of API keys, `session` or `administrator`.
fn name_access(path: &str, item: &mut PathItem) {
    let operations = [
        ("GET", &mut item.get),
        ("HEAD", &mut item.head),
        ("POST", &mut item.post),
        ("PUT", &mut item.put),
        ("PATCH", &mut item.patch),
        ("DELETE", &mut item.delete),
        ("OPTIONS", &mut item.options),
    ];
    for (method, operation) in operations {
        if let (Some(operation), Some(access)) = (operation, access::find(method, path)) {
            let named = ExtensionsBuilder::new().add("x-access", access.as_str()).build();
            operation.extensions.get_or_insert_default().merge(named);
        }
    }
}

fn tell_apart(operation: &mut Option<Operation>, twin: &Option<Operation>, method: &str) {
    let (Some(operation), Some(twin)) = (operation, twin) else { return };
    if operation.operation_id == twin.operation_id
        && let Some(id) = &mut operation.operation_id
    {
        *id = format!("{id}_{method}");
    }
}

/// Paths under `/api/cdn/`, `/api/admin/` and the documentation page end with a slash, but for one that ends with a file's name.
pub fn canonical_path(path: &str) -> String {
    let is_canonical_with_slash = path.starts_with("/api/cdn") || path.starts_with("/api/admin");
    let ends_with_slash = is_canonical_with_slash && !path.ends_with("{filename}") && !path.ends_with('/');
    if ends_with_slash { format!("{path}/") } else { path.to_owned() }
}

/// The whole document, without a server running.
pub fn document(base_url: &str) -> OpenApi {
    use utoipa_actix_web::AppExt;
    let (_, document) = actix_web::App::new()
        .into_utoipa_app()
        .openapi(base(base_url))
        .service(utoipa_actix_web::scope("/api").configure(routes::register_api))
        .configure(routes::register_public)
        .split_for_parts();
    canonical(document)
}

/// The page to try the API, from files in the binary.
pub fn serve_page(config: &mut web::ServiceConfig) {
    config.route("/api/docs", web::get().to(routes::docs::redirect_to_index));
    config.service(
        SwaggerUi::new("/api/docs/{_:.*}").config(Config::from("/api/openapi.json").try_it_out_enabled(true)),
    );
}
