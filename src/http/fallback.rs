//! What no route took: 405 with `Allow` where the path exists, else 404, both as JSON.

use super::ApiError;
use actix_web::{HttpRequest, HttpResponse, dev::ResourceDef, web};
use utoipa::openapi::{OpenApi, PathItem};

/// Every path of the API with its methods, from the OpenAPI document.
#[derive(Clone)]
pub struct RouteTable(Vec<(ResourceDef, String)>);

impl RouteTable {
    pub fn of(document: &OpenApi) -> Self {
        let routes = document.paths.paths.iter();
        Self(
            routes
                .map(|(path, item)| (ResourceDef::new(path.trim_end_matches('/')), methods_of(item)))
                .collect(),
        )
    }

    fn allow(&self, path: &str) -> Option<&str> {
        self.0.iter().find(|(pattern, _)| pattern.is_match(path)).map(|(_, methods)| methods.as_str())
    }
}

fn methods_of(item: &PathItem) -> String {
    let methods = [
        ("GET", &item.get),
        ("HEAD", &item.head),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    let present = methods.into_iter().filter(|(_, operation)| operation.is_some()).map(|(name, _)| name);
    present.chain(["OPTIONS"]).collect::<Vec<_>>().join(", ")
}

pub async fn answer(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let table = request.app_data::<web::Data<RouteTable>>();
    match table.and_then(|table| table.allow(request.path()).map(str::to_owned)) {
        Some(allow) => Err(ApiError::MethodNotAllowed { allow }),
        None => Err(ApiError::NOT_FOUND),
    }
}
