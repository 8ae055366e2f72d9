//! Every route of the server, one file a resource.

mod archives;
mod auth;
mod bulk;
mod content;
pub mod docs;
mod events;
mod files;
mod folders;
mod health;
mod insight;
mod search;
mod stars;
mod trash;
mod uploads;
mod versions;

use utoipa_actix_web::service_config::ServiceConfig;

/// Adds what lies under `/api`; fixed paths before those with an id in their place.
pub fn register_api(config: &mut ServiceConfig) {
    config
        .service(docs::show_openapi)
        .service(auth::log_in)
        .service(auth::log_out)
        .service(auth::show_me)
        .service(auth::refresh_tokens)
        .service(auth::reset_password)
        .service(folders::list_folders)
        .service(folders::create_folder)
        .service(folders::show_root)
        .service(folders::show_contents)
        .service(archives::download_folder_zip)
        .service(folders::show_folder)
        .service(folders::change_folder)
        .service(folders::trash_folder)
        .service(files::list_files)
        .service(files::register_file)
        .service(stars::list_starred)
        .service(stars::list_recent)
        .service(stars::toggle_file_star)
        .service(stars::toggle_folder_star)
        .service(versions::list_versions)
        .service(versions::add_version)
        .service(versions::show_version_download)
        .service(versions::restore_version)
        .service(versions::delete_version)
        .service(files::show_download)
        .service(files::show_file)
        .service(files::change_file)
        .service(files::trash_file)
        .service(uploads::upload_form)
        .service(uploads::upload_raw)
        .service(trash::list_trash)
        .service(trash::empty_trash)
        .service(trash::restore_item)
        .service(trash::delete_item)
        .service(insight::show_dashboard)
        .service(insight::list_activity)
        .service(insight::list_analytics)
        .service(search::search)
        .service(events::stream_events)
        .service(bulk::change_many);
}

/// Adds what anybody may fetch from anywhere, and what operators look at.
pub fn register_public(config: &mut ServiceConfig) {
    config
        .service(health::check_liveness)
        .service(health::check_readiness)
        .service(health::show_metrics)
        .service(content::serve_content)
        .service(content::answer_preflight);
}
