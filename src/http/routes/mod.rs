//! Every route of the server, one file a resource.

mod admin;
mod api_keys;
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
mod processing;
mod search;
mod sessions;
mod share_links;
mod share_pages;
mod share_people;
mod shares;
mod slack;
mod stars;
mod thumbnails;
mod trash;
mod upload_0x0;
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
        .service(slack::begin_sign_in)
        .service(slack::finish_sign_in)
        .service(slack::retrieve_session)
        .service(sessions::list_sessions)
        .service(sessions::end_session)
        .service(api_keys::list_keys)
        .service(api_keys::create_key)
        .service(api_keys::delete_key)
        .service(admin::list_users)
        .service(admin::show_user)
        .service(admin::change_user)
        .service(admin::sign_out_user)
        .service(admin::show_stats)
        .service(admin::list_audit)
        .service(admin::list_all_jobs)
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
        .service(thumbnails::serve_given_thumbnail)
        .service(files::show_file)
        .service(files::change_file)
        .service(files::trash_file)
        .service(uploads::upload_form)
        .service(uploads::upload_raw)
        .service(upload_0x0::pass_upload_on)
        .service(upload_0x0::show_upload_status)
        .service(trash::list_trash)
        .service(trash::empty_trash)
        .service(trash::restore_item)
        .service(trash::delete_item)
        .service(insight::show_dashboard)
        .service(insight::list_activity)
        .service(insight::list_analytics)
        .service(processing::list_jobs)
        .service(processing::show_job)
        .service(processing::retry_job)
        .service(search::search)
        .service(events::stream_events)
        .service(bulk::change_many)
        .service(shares::list_shares)
        .service(shares::create_share)
        .service(shares::show_share_status)
        .service(share_links::show_public_share)
        .service(share_links::open_public_share)
        .service(share_links::download_public_share)
        .service(thumbnails::serve_shared_thumbnail)
        .service(share_links::upload_to_public_share)
        .service(share_links::download_public_share_zip)
        .service(share_people::list_shared_users)
        .service(share_people::add_shared_user)
        .service(share_people::remove_shared_user)
        .service(shares::list_access_logs)
        .service(shares::show_share)
        .service(shares::change_share)
        .service(shares::delete_share);
}

/// Adds what anybody may fetch from anywhere, and what operators look at.
pub fn register_public(config: &mut ServiceConfig) {
    config
        .service(health::check_liveness)
        .service(health::check_readiness)
        .service(health::show_metrics)
        .service(thumbnails::serve_thumbnail)
        .service(share_pages::show_share_page)
        .service(share_pages::unlock_share_page)
        .service(share_pages::download_from_page)
        .service(share_pages::preview_in_page)
        .service(share_pages::download_page_zip)
        .service(share_pages::upload_from_page)
        .service(content::serve_content)
        .service(content::answer_preflight);
}
