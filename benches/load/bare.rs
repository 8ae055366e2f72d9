//! The floor: an actix-web server in this process that answers with constants.

use super::Failure;
use actix_web::{App, HttpResponse, HttpServer, rt::System, web};
use bytes::Bytes;
use std::{net::TcpListener, thread};

/// Starts it on a free port, for as long as the process lives; gives its URL.
pub fn start(me: Bytes, content: Bytes) -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let app = move || {
        let (me, content) = (me.clone(), content.clone());
        let answer = |content_type: &'static str, body: Bytes| {
            web::get().to(move || {
                let answer = HttpResponse::Ok().content_type(content_type).body(body.clone());
                async move { answer }
            })
        };
        App::new()
            .route("/me", answer("application/json", me))
            .route("/content", answer("application/octet-stream", content))
    };
    let serve = move || {
        System::new().block_on(async { HttpServer::new(app).disable_signals().listen(listener)?.run().await })
    };
    thread::Builder::new().name("bare".into()).spawn(serve)?;
    Ok(url)
}
